"""Review, more like this: what somebody settled in one place, offered for all other places with the same doubt."""

from collections.abc import Sequence

import streamlit as st

from app import desk, marks, shell, ways
from app.review import log, places
from pipeline import control
from pipeline.control import Show
from pipeline.desk import Group

MOST_GROUPS = 30  # in the list at once; the others follow as these are settled

GROUP = "group"
"""The address's name for the group that is open."""


def part(show: Show) -> None:
    log.last(show)
    groups = desk.suggestions(show)
    if not groups:
        shell.nothing(
            "Nothing is waiting here",
            "When a reviewer settles a name, a mishearing or a speaker, every other place with the same doubt is"
            " offered here, after the next pull.",
            ":material/done_all:",
        )
        return
    left, right = st.columns([2, 5], gap="medium")
    with left:
        chosen = listed(groups)
    with right:
        opened(show, chosen)


def listed(groups: Sequence[Group]) -> Group:
    """The groups by name, the one with the most places first; the one that is open."""
    wanted = st.query_params.get(GROUP)
    chosen = next((group for group in groups if group.id == wanted), groups[0])
    if wanted and chosen.id != wanted:
        del st.query_params[GROUP]  # It was settled, or the address is an old one.
    count = sum(len(group.places) for group in groups)
    st.caption(f"{marks.count(count, 'place')} in {marks.count(len(groups), 'group')}")
    shown = list(groups[:MOST_GROUPS])
    if chosen not in shown:
        shown.append(chosen)
    by_id = {group.id: group for group in shown}
    # With another set of groups it is another list: a choice is kept by position.
    key = f"groups-{hash(tuple(by_id))}"
    st.session_state.setdefault(key, chosen.id)
    st.radio(
        "Groups",
        list(by_id),
        key=key,
        format_func=lambda id_: title(by_id[id_]),
        captions=[marks.count(len(group.places), "place") for group in shown],
        on_change=lambda: st.query_params.update({GROUP: st.session_state[key]}),
        label_visibility="collapsed",
    )
    if len(groups) > len(shown):
        st.caption(f"{marks.count(len(groups) - len(shown), 'more group')} after these")
    return chosen


def title(group: Group) -> str:
    if group.kind == "speaker":
        return f"{marks.plain(group.value)} speaks"
    return f"{marks.plain(group.heard)} → **{marks.plain(group.value)}**"


def opened(show: Show, group: Group) -> None:
    """One group: who settled it where, each other place before and after, and what to do with those ticked."""
    links = control.task_links(show)
    with st.container(border=True):
        st.subheader(f"{marks.count(len(group.places), 'more place')} like this", anchor=False)
        origin = f"[{marks.plain(group.from_place)}]({ways.task(group.from_place)})"
        if url := links.get(group.from_place):
            origin += f" [:material/open_in_new:]({url})"
        st.markdown(f":gray[{marks.plain(group.said)} · {origin}, {group.at.astimezone():%d %b %H:%M}]")
        chosen = places.ticked(group.places, f"take-{group.id}")
        with st.container(horizontal=True, vertical_alignment="center"):
            every = len(chosen) == len(group.places)
            shell.act(
                f"Accept {len(chosen):,}" if not every else "Accept all",
                ":material/check:",
                f"accept-{group.id}",
                lambda person: log.done(desk.accept(show, group.id, chosen, person)),
                primary=True,
                disabled=not chosen,
            )
            shell.act(
                "Refuse for good" if every else f"Refuse {len(chosen):,}",
                ":material/close:",
                f"refuse-{group.id}",
                lambda person: log.done(desk.refuse(show, group.id, None if every else chosen, person)),
                disabled=not chosen,
                help="They are not suggested again; reviewers are still asked about them one by one.",
            )
            st.caption("Text that a person has edited is never changed.")
        places.boxes(group.places, f"take-{group.id}", links)
