"""Review, the log of batch edits: what was done to many places at once, by whom, and taken back."""

from collections import Counter

import streamlit as st

from app import desk, marks, shell
from app.review import places
from pipeline.control import Show
from pipeline.desk import Edit

PAGE = 15
LAST = "last-edit"

ICONS = {
    "answer": ":material/done_all:",
    "refusal": ":material/do_not_disturb_on:",
    "replace": ":material/find_replace:",
    "speaker": ":material/record_voice_over:",
    "undo": ":material/undo:",
    "send back": ":material/reply:",
    "glossary": ":material/menu_book:",
}


def done(edit: Edit) -> str:
    """Remember an edit that was just made here, so that it can be taken back at once; what to say of it."""
    st.session_state[LAST] = edit.id
    return first_upper(edit.title)


def last(show: Show) -> None:
    """The last edit of this session with its undo, as long as it stands."""
    wanted = st.session_state.get(LAST)
    edit = next((each for each in desk.edits_made(show) if each.id == wanted), None) if wanted else None
    if edit is None or edit.undone_by or edit.what in ("undo", "glossary"):
        return
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f":green[:material/check_circle:] {marks.plain(first_upper(edit.title))}")
        undo(show, [edit.id], "Undo", f"undo-last-{edit.id}")


def undo(show: Show, ids: list[str], label: str, key: str, *, disabled: bool = False) -> None:
    def take_back(person: str) -> str:
        taken = desk.undo(show, ids, person)
        st.session_state.pop(LAST, None)
        return first_upper("; ".join(edit.title for edit in taken))

    shell.act(label, ":material/undo:", key, take_back, disabled=disabled or not ids)


def part(show: Show) -> None:
    """All edits, the newest first, with what became of their places; those ticked can be taken back together."""
    edits = desk.edits_made(show)
    if not edits:
        shell.nothing(
            "Nothing was done to many places yet",
            "What you accept, replace, rename or send back stands here and can be taken back.",
            ":material/history:",
        )
        return
    page = st.pagination(-(-len(edits) // PAGE), key="log-page") if len(edits) > PAGE else 1
    ticked = [edit.id for edit in edits if st.session_state.get(f"undo-{edit.id}") and can_undo(edit)]
    with st.container(horizontal=True, vertical_alignment="center"):
        undo(show, ticked, f"Undo {len(ticked)}" if ticked else "Undo", "undo-ticked")
        st.caption("What reviewers answered since stays theirs. An undo can be undone.")
    for edit in edits[(page - 1) * PAGE : page * PAGE]:
        entry(edit)


def can_undo(edit: Edit) -> bool:
    return not edit.undone_by and edit.what != "glossary"


def entry(edit: Edit) -> None:
    with st.container(border=True, gap="xsmall"):
        head = f"{ICONS[edit.what]} {marks.plain(first_upper(edit.title))}"
        if edit.undone_by:
            head = f":gray[{ICONS[edit.what]} ~~{marks.plain(first_upper(edit.title))}~~]"
        with st.container(horizontal=True, vertical_alignment="center"):
            if can_undo(edit):
                st.checkbox(head, key=f"undo-{edit.id}", persist_state="page")
            else:
                st.markdown(head)
            st.caption(
                f"{marks.plain(edit.by)}, {edit.at.astimezone():%d %b %H:%M}"
                + (f" · undone by {marks.plain(edit.undone_by)}" if edit.undone_by else ""),
                text_alignment="right",
            )
        if became := account(edit):
            st.caption(became)
        if edit.places:
            with st.expander(marks.count(len(edit.places), "place"), type="compact"):
                for place in edit.places[: places.PAGE]:
                    st.markdown(places.label(place, {}))
                if len(edit.places) > places.PAGE:
                    st.caption(f"and {marks.count(len(edit.places) - places.PAGE, 'more place')}")


def account(edit: Edit) -> str:
    """What became of its places, where that is more than that all of them count."""
    if edit.account is None:
        return ""
    states = ("applied", "carried", "superseded", "waiting", "undone")
    counts = Counter({state: getattr(edit.account, state) for state in states})
    said = ", ".join(f"{number} {state}" for state, number in counts.items() if number)
    return said + (f": {marks.plain('; '.join(edit.account.why[:2]))}" if edit.account.why else "")


def first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
