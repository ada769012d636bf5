"""Review, flagged: tasks by why they may need another look, and sent back to their reviewer with a reason."""

import re
from collections.abc import Mapping, Sequence

import streamlit as st

from app import desk, marks, sheet, shell, ways
from app.review import log
from pipeline import control
from pipeline.control import Show

PAGE = 20
_COUNTED = re.compile(r": \d+( of \d+)?$")
CLIP = "clip"
"""The address's name for the one task that is looked at."""


def part(show: Show) -> None:
    log.last(show)
    found = reasons(desk.flagged(show))
    if not found:
        shell.nothing("No task is flagged", "The machine doubts nothing, and nobody flagged or dropped a clip.")
        return
    if key := st.query_params.get(CLIP):
        one(show, key, [why for why, keys in found.items() if key in keys])
        return
    why = st.pills(
        "Why",
        list(found),
        default=next((each for each in found if each.startswith("reviewer")), next(iter(found))),
        key="why",
        bind="query-params",
        label_visibility="collapsed",
    )
    if why not in found:
        st.caption("Choose why: everything flagged for that reason is listed, and can be sent back together.")
        return
    listed(show, why, found[why])


def reasons(found: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The tasks by why, without the counts that a reason may end with: "2 of 3" and "1 of 1" are one reason."""
    gathered: dict[str, list[str]] = {}
    for why, keys in found.items():
        gathered.setdefault(_COUNTED.sub("", why), []).extend(keys)
    return {why: tuple(dict.fromkeys(keys)) for why, keys in gathered.items()}


def one(show: Show, key: str, reasons: Sequence[str]) -> None:
    """One task, as an address names it."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(marks.plain(key), anchor=False)
            st.button("All that is flagged", icon=":material/arrow_back:", on_click=forget, type="tertiary")
        seen(show, [key], key)
        st.markdown(marks.plain(", ".join(reasons)) if reasons else ":gray[Nothing is flagged in it.]")
        if url := control.task_links(show).get(key):
            st.link_button("Open in Label Studio", url, icon=":material/open_in_new:", width="content")
        back(show, [key], desk.answered(show))


def forget() -> None:
    del st.query_params[CLIP]


def listed(show: Show, why: str, keys: Sequence[str]) -> None:
    links, answered = control.task_links(show), desk.answered(show)
    page = st.pagination(-(-len(keys) // PAGE), key=f"flagged-{why}-page") if len(keys) > PAGE else 1
    seen(show, keys[(page - 1) * PAGE : page * PAGE], why)
    boxes = {key: f"flag-{why}-{key}" for key in keys}
    with st.container(border=True, gap="xsmall"):
        for key in keys[(page - 1) * PAGE : page * PAGE]:
            by = answered.get(key)
            said = f"answered by {marks.plain(by)}" if by else "not answered yet"
            way = f" [:material/open_in_new:]({links[key]})" if key in links else ""
            st.checkbox(
                f"[{marks.plain(key)}]({ways.task(key)}) :gray[{said}]{way}",
                key=boxes[key],
                persist_state="page",
                disabled=by is None,
            )
    back(show, [key for key in keys if st.session_state.get(boxes[key])], answered)


def seen(show: Show, keys: Sequence[str], key: str) -> None:
    """The clips of these tasks as stills, once each."""
    found = dict.fromkeys(task.partition("#")[0] for task in keys)
    sheet.clips(show, [(each.partition("/")[0], each.partition("/")[2], "") for each in found], f"stills-{key}")


def back(show: Show, keys: Sequence[str], answered: Mapping[str, str]) -> None:
    """Send these back: the next push asks their reviewers again, with the reason and the old answer."""
    ready = [key for key in keys if key in answered]

    def send(person: str) -> str:
        reason = str(st.session_state.get("reason", ""))
        said = log.done(desk.send_back(show, ready, reason, person))
        st.session_state.reason = ""
        for key in [name for name in st.session_state if str(name).startswith("flag-")]:
            del st.session_state[key]
        return f"{said}. Push, and reviewers are asked again."

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Reason, for the reviewer", key="reason", placeholder="The second line is Reyes, not Cohen")
        shell.act(
            f"Send {len(ready)} back" if len(ready) > 1 else "Send back",
            ":material/reply:",
            "send-back",
            send,
            primary=True,
            disabled=not ready,
            help="" if ready else "Tick what somebody has answered.",
        )
