"""Places of a batch edit as a list to tick: each before and after, acted on by its id, never by its position."""

from collections.abc import Mapping, Sequence

import streamlit as st

from app import marks, ways
from pipeline.desk import Place

PAGE = 15  # places that are drawn at once


def ticked(places: Sequence[Place], key: str) -> list[str]:
    """The ids of the places that are ticked; all are at first. `key` keeps the ticks of one list apart from others'.

    What is on a page that is not shown counts as it was left there.
    """
    return [place.id for place in places if st.session_state.get(_box(key, place), True)]


def boxes(places: Sequence[Place], key: str, links: Mapping[str, str]) -> None:
    """The list itself. What is done with the ticked ones stands above it, so that it is in sight."""
    some = len(ticked(places, key)) > 0
    st.button(
        "Untick all" if some else "Tick all",
        key=f"{key}-all",
        type="tertiary",
        icon=":material/remove_done:" if some else ":material/done_all:",
        on_click=_tick,
        args=(places, key, not some),
    )
    listed = st.container(gap="xsmall")
    page = st.pagination(-(-len(places) // PAGE), key=f"{key}-page") if len(places) > PAGE else 1
    with listed:
        for place in places[(page - 1) * PAGE : page * PAGE]:
            st.session_state.setdefault(_box(key, place), True)
            st.checkbox(label(place, links), key=_box(key, place), persist_state="page")


def _box(key: str, place: Place) -> str:
    return f"{key}-{place.id}"


def _tick(places: Sequence[Place], key: str, on: bool) -> None:
    for place in places:
        st.session_state[_box(key, place)] = on


def label(place: Place, links: Mapping[str, str]) -> str:
    """Where it is (its moment in the panel, its task in Label Studio) and what changes there, as Markdown."""
    at = f"{marks.plain(place.episode)} {marks.clock(place.at_seconds)}"
    where = f":gray[[{at}]({ways.moment(place.episode, place.at_seconds)})]"
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
