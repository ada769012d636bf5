"""Launch: choose what is to be made, see what that would do and cost, change its settings, and start it."""

from functools import partial
from typing import Any

import streamlit as st

from app import marks, shell
from app.launch import choosing, fields, foretold, form, going
from pipeline import control, forecast, launching
from pipeline.control import Show
from pipeline.forecast import Outlook
from pipeline.launching import Path_, Preview, Request

FOLLOW_SECONDS = 3.0  # between two looks; what is typed and not yet sent stays as it is
LOOK_SECONDS = 4.0  # pages that look at the same moment read the store once


@st.cache_resource(ttl=LOOK_SECONDS, max_entries=4, show_spinner=False)
def outlook(folder: str, text: str, _show: Show) -> Outlook:
    return forecast.outlook(_show)


def page() -> None:
    show = shell.show()
    if show is None:
        return
    shell.heading("Launch", marks.plain(show.file.name))
    # All of it, so that nothing has to be drawn anew from outside when a launch begins or ends.
    st.fragment(follow, run_every=FOLLOW_SECONDS)()


def follow() -> None:
    """Everything on the page: a launch changes how each choice stands, and what may be pressed."""
    show = shell.show()
    if show is None:
        return
    shell.tell()
    try:
        content(show)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


def content(show: Show) -> None:
    text = launching.file_text(show)
    now = outlook(str(show.folder), text, show)
    name, request = choosing.part(now)
    left, right = st.columns([5, 4], gap="large")
    with left:
        new, typed, is_right = settings(show, request, text)
    with right, st.container(border=True):
        if is_right:
            launch(show, name, launching.preview(now, request, text, new), text, typed)
        else:
            state = ":material/error:"
            st.markdown(f":red[{state}] **Some settings are not right yet**")
            st.caption("Each is marked, with what it should be. Nothing is saved and nothing runs until then.")
    going.part(show)


def settings(show: Show, request: Request, text: str) -> tuple[str, dict[str, dict[Path_, Any]], bool]:
    """The forms of the steps: show.toml with what was typed, what that was, and whether all of it is right."""
    st.subheader("Settings", anchor=False)
    typed: dict[str, dict[Path_, Any]] = {}
    is_right = True
    tabs = st.tabs(list(request.steps)) if len(request.steps) > 1 else [st.container()]
    for step, tab in zip(request.steps, tabs, strict=True):
        with tab:
            words = launching.sentence(step).rstrip(".")
            st.caption(marks.plain(f"{words[:1].upper()}{words[1:]}."))
            found, result = form.part(show, step)
        typed[step] = form.typed(step, found)
        is_right = is_right and not result.errors
        text = launching.with_values(text, step, result.edits)
    return text, typed, is_right


def launch(show: Show, name: str, of: Preview, seen: str, typed: dict[str, dict[Path_, Any]]) -> None:
    """What would happen, and the button."""
    foretold.headline(of)
    if of.to_make:
        foretold.figures(of)
    foretold.changes(of)
    if of.running is not None:
        st.badge(
            f"runs since {of.running.at:%H:%M}, started by {of.running.by}",
            icon=":material/play_circle:",
            color="blue",
            width="content",
        )
    with st.container(horizontal=True, vertical_alignment="center"):
        shell.act(
            f"Save and launch {name}" if of.diff else f"Launch {name}",
            ":material/rocket_launch:",
            "launch",
            partial(begin, show, name, of, seen, typed),
            primary=True,
            disabled=not of.to_make or of.running is not None,
            help=of.request.command,
        )
        st.code(of.request.command, language=None, wrap_lines=True)
    if of.to_make:
        foretold.steps(of)


def begin(show: Show, name: str, of: Preview, seen: str, typed: dict[str, dict[Path_, Any]], person: str) -> str:
    """Save what was typed and start it, unless more was typed than the preview shows: nobody has looked at that."""
    for step, values in typed.items():
        found = fields.fields(show.written()[step])
        if form.typed(step, found) != values:
            raise ValueError("A setting was changed just now: look at what that would do, then launch it.")
    launching.launch(show, of.request, by=person, text=of.text if of.diff else None, seen=seen)
    return f"{name}: begun. It goes on when this page is closed."


page()
