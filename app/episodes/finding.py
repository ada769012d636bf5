"""Search across the show: what is looked for, and the clips that fit as a contact sheet that opens each moment."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import streamlit as st

from app import desk, marks, media, sheet, shell, ways
from pipeline.control import Show
from pipeline.schemas.story import UNKNOWN
from pipeline.search import Doubts, Hit, Query, State

PAGE = 24
KEY = "sheet"
NUMBER = "found-page"
DOUBTS = {"": "Any line", "any": "Doubted", "text": "Words doubted", "speaker": "Speaker doubted"}
REVIEWED = {"": "Reviewed or not", "yes": "Reviewed", "no": "Not reviewed"}


def part(show: Show, names: Mapping[str, str], open_: Callable[[str, float], None]) -> None:
    query = asked(names)
    if query == Query():  # A long show is read for nobody who has not asked anything yet.
        shell.nothing(
            "What are you looking for?",
            "Words that are said or written, who speaks, who is seen, what is doubted, what people reviewed.",
            ":material/search:",
        )
        return
    wanted = int(st.session_state.get(NUMBER) or 1)
    with st.skeleton(height=200):
        total, shown = desk.found(show, query, wanted, PAGE)
        if not shown and total:  # Another search had more pages.
            st.session_state.pop(NUMBER, None)
            total, shown = desk.found(show, query, 1, PAGE)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{marks.count(total, 'clip')}**")
        if total > PAGE:
            st.pagination(-(-total // PAGE), key=NUMBER)
    if not shown:
        shell.nothing("No clip fits", "Fewer words, or another speaker. Words match from their beginning.")
        return

    def opened() -> None:
        if wish := sheet.opened(KEY):
            open_(str(wish["episode"]), float(wish["t"]))

    sheet.sheet([picture(hit, names) for hit in shown], KEY, opened)


def asked(names: Mapping[str, str]) -> Query:
    """The form; every part of it is in the address, so that a search can be sent to somebody."""
    words, speaker, character, doubt, reviewed = st.columns([3, 2, 2, 2, 2], gap="small")
    cast_ = ["", *names]
    return Query(
        words=words.text_input("Words", key="words", bind="query-params", placeholder="cone diner", max_chars=200),
        speaker=speaker.selectbox(
            "Who speaks",
            [*cast_, UNKNOWN],
            key="speaker",
            bind="query-params",
            format_func=lambda id_: {"": "Anybody", UNKNOWN: "Not known"}.get(id_) or names[id_],
        ),
        character=character.selectbox(
            "In the caption",
            cast_,
            key="character",
            bind="query-params",
            format_func=lambda id_: names[id_] if id_ else "Any character",
        ),
        doubt=doubt.selectbox(
            "Doubts", get_args(Doubts), key="doubt", bind="query-params", format_func=lambda kind: DOUBTS[kind]
        ),
        reviewed=reviewed.selectbox(
            "Review", get_args(State), key="reviewed", bind="query-params", format_func=lambda kind: REVIEWED[kind]
        ),
    )


def picture(hit: Hit, names: Mapping[str, str]) -> dict[str, Any]:
    """A clip on the sheet."""
    more = f" · {hit.more} more" if hit.more else ""
    known = names.get(hit.line.speaker or "", hit.line.speaker or "") if hit.line else ""
    return {
        "url": ways.moment(hit.episode, hit.at_seconds),
        "open": {"episode": hit.episode, "t": hit.at_seconds},
        "still": media.url(hit.clip.still) if hit.clip.still else "",
        "where": f"{hit.episode} {marks.clock(hit.at_seconds)}{' · reviewed' if hit.reviewed else ''}{more}",
        "lead": known,
        "text": hit.line.text if hit.line else (hit.clip.caption or "")[:160],
    }
