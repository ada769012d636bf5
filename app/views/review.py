"""Review: how far people are, where else what they settled holds, what to change everywhere, what it all tells."""

import streamlit as st

from app import desk, marks, shell
from app.review import alike, everywhere, flagged, glossary, log, people, progress, telling
from pipeline import control
from pipeline.control import Show
from pipeline.quality import Quality

FOLLOW_SECONDS = 3.0  # between two looks

PARTS = (
    "Progress",
    "More like this",
    "Change everywhere",
    "Flagged",
    "Glossary",
    "People",
    "What it tells",
    "Log",
)


def page() -> None:
    show = shell.show()
    if show is None:
        return
    shell.heading("Review", marks.plain(show.file.name))
    opened = st.segmented_control(
        "Part of the review",
        PARTS,
        default="Progress",
        required=True,
        key="part",
        bind="query-params",
        label_visibility="collapsed",
    )
    if opened == "Progress":
        # Always as often: to change that, the whole page is drawn anew, and a click that comes meanwhile may be lost.
        st.fragment(follow, run_every=FOLLOW_SECONDS)()
        return
    shell.tell()
    try:
        # Of a large show it is all read once, in a process beside this one.
        with st.spinner("The review is being read."):
            content(show, opened)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


def content(show: Show, opened: str) -> None:
    match opened:
        case "More like this":
            alike.part(show)
        case "Change everywhere":
            everywhere.part(show)
        case "Flagged":
            flagged.part(show)
        case "Glossary":
            glossary.part(show)
        case "People":
            people.part(show, figures(show))
        case "What it tells":
            telling.part(figures(show))
        case "Log":
            log.part(show)


def follow() -> None:
    """The part that changes while one watches; runs again by itself."""
    show = shell.show()
    if show is None:
        return
    shell.tell()
    try:
        progress.part(show, figures(show))
        desk.warm(show)  # For the other parts; nobody waits for it here.
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


def figures(show: Show) -> Quality:
    with st.skeleton(height=120):
        found, is_now = desk.figures(show)
    if not is_now:
        st.caption(":material/sync: Counted before the last change; the new figures come by themselves.")
    return found


page()
