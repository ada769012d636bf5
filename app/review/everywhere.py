"""Review, change everywhere: find and replace across the show, and speakers renamed or merged, with preview."""

import streamlit as st

from app import desk, marks, shell
from app.review import log, places
from pipeline import control
from pipeline.control import Show


def part(show: Show) -> None:
    log.last(show)
    words, speakers = st.columns(2, gap="medium")
    with words.container(border=True, height="stretch"):
        st.subheader("Find and replace", anchor=False)
        replace(show)
    with speakers.container(border=True, height="stretch"):
        st.subheader("Rename or merge speakers", anchor=False)
        rename(show)


def replace(show: Show) -> None:
    find_box, with_box = st.columns(2)
    find = find_box.text_input("Find", key="find", bind="query-params", placeholder="Margo").strip()
    new = with_box.text_input("Replace with", key="with", bind="query-params", placeholder="Margaux").strip()
    with st.container(horizontal=True):
        whole = st.checkbox("Whole words", value=True, key="whole-words")
        case = st.checkbox("Match case", value=True, key="match-case")
    if not find:
        st.caption("Every place is shown before anything changes. Leave the second box empty to take words out.")
        return
    found = desk.preview_replace(show, find, new, whole, case)
    if not found:
        st.markdown(f":gray[“{marks.plain(find)}” stands nowhere in the lines as people left them.]")
        return
    episodes = len({place.episode for place in found})
    st.markdown(f"**{marks.count(len(found), 'place')}** in {marks.count(episodes, 'episode')}")
    key = f"replace-{find}-{new}"
    chosen = places.ticked(found, key)
    shell.act(
        f"Replace {len(chosen)}",
        ":material/find_replace:",
        "replace-all",
        lambda person: log.done(
            desk.replace(show, find, new, person, whole_words=whole, match_case=case, places=chosen)
        ),
        primary=True,
        disabled=not chosen,
    )
    places.boxes(found, key, control.task_links(show))


def rename(show: Show) -> None:
    counts = desk.speakers(show)
    spoken = sorted((name for name, count in counts.items() if count), key=lambda name: -counts[name])
    if not spoken:
        st.caption("No line has a speaker yet.")
        return
    old_box, new_box = st.columns(2)
    old = old_box.selectbox(
        "Lines of",
        spoken,
        index=None,
        key="from-speaker",
        placeholder="Choose",
        format_func=lambda name: f"{name} · {marks.count(counts[name], 'line')}",
    )
    new = new_box.selectbox(
        "are spoken by", [name for name in counts if name != old], index=None, key="to-speaker", placeholder="Choose"
    )
    if not old or not new:
        st.caption("All lines of one speaker become another's: a rename, or two merged into one.")
        return
    found = desk.preview_speaker(show, old, new)
    st.markdown(f"**{marks.count(len(found), 'line')}**")
    key = f"rename-{old}-{new}"
    chosen = places.ticked(found, key)
    shell.act(
        f"Change {len(chosen)}",
        ":material/record_voice_over:",
        "rename-all",
        lambda person: log.done(desk.change_speaker(show, old, new, person, places=chosen)),
        primary=True,
        disabled=not chosen,
    )
    places.boxes(found, key, control.task_links(show))
