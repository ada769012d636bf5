"""Places of a batch edit as a list to tick: each before and after, acted on by its id, never by its position."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app import marks
from pipeline.desk import Place

PAGE = 20  # places that are drawn at once


def choose(places: Sequence[Place], key: str, links: Mapping[str, str]) -> list[str]:
    """The ids of the places that are ticked; all are at first. `key` keeps the ticks of one list apart from others'.

    What is on a page that is not shown counts as it was left there.
    """
    page = 1
    if len(places) > PAGE:
        page = st.pagination(-(-len(places) // PAGE), key=f"{key}-page")
    boxes = {place.id: f"{key}-{place.id}" for place in places}
    for place in places[(page - 1) * PAGE : page * PAGE]:
        st.session_state.setdefault(boxes[place.id], True)
        st.checkbox(label(place, links), key=boxes[place.id], persist_state="page")
    return [id_ for id_, box in boxes.items() if st.session_state.get(box, True)]


def label(place: Place, links: Mapping[str, str]) -> str:
    """Where it is, and what changes there, as Markdown."""
    where = f":gray[{marks.plain(place.episode)} {marks.clock(place.at_seconds)}]"
    url = links.get(f"{place.episode}/{place.clip}")
    way = f" [:material/open_in_new:]({url})" if url else ""
    return f"{where}  {told(place)}{way}"


def told(place: Place) -> str:
    """What changes there, as Markdown."""
    if place.about == "clip":
        return marks.plain(place.clip or place.episode)
    if place.about == "speaker":
        who = f":red[~~{marks.plain(place.before)}~~] :green[**{marks.plain(place.after)}**]"
        return f"{who} {marks.plain(place.line)}"
    return marks.changed(place.line, place.line_after)
