"""Episodes: watch one with its lines, doubts and decisions, or find clips in all of them."""

import math
import time

import streamlit as st

from app import marks, sheet, shell
from app.episodes import clip, finding, player
from pipeline import control, search, timelines
from pipeline.control import Show
from pipeline.timelines import Outcome, Timeline

WATCH, SEARCH = "Watch", "Search"
SHEET = 32  # stills of an episode at once


def page() -> None:
    show = shell.show()
    if show is None:
        return
    shell.heading("Episodes", marks.plain(show.file.name))
    try:
        content(show)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))
    except OSError as error:  # An object that is gone: the store names it, and can be mended.
        shell.problem("The store lacks a part of this show.", str(error), "`dailies store verify --repair` mends it.")


def content(show: Show) -> None:
    names = {each.id: each.short for each in timelines.bible(show).characters}
    with st.container(horizontal=True, vertical_alignment="center"):
        part = st.segmented_control(
            "Watch or search",
            [WATCH, SEARCH],
            default=WATCH,
            required=True,
            key="look",
            bind="query-params",
            label_visibility="collapsed",
        )
        episode = chosen_episode(show) if part == WATCH else ""
    if part == SEARCH:
        if not search.any_clips(show):
            shell.nothing(
                "No episode was cut into clips yet", "`dailies run step1-scenes` does it.", ":material/search:"
            )
            return
        finding.part(show, names, open_at)
        return
    found = timelines.timelines(show, [episode])
    if not found or not found[0].clips:
        shell.nothing(
            f"{episode} has no clips yet",
            "`dailies run step1-scenes` finds its shots and scenes; `dailies run` does all that follows.",
            ":material/movie:",
        )
        return
    watch(show, found[0], names)


def chosen_episode(show: Show) -> str:
    """Which episode to watch. It is always in the address: a link must not mean another one when some are added."""
    episodes = list(show.episodes())
    asked = st.query_params.get("episode", "")
    if st.session_state.get("episode") not in episodes:
        st.session_state.episode = asked if asked in episodes else episodes[0]
    if asked and asked not in episodes:
        st.toast(f"There is no episode {asked[:80]}.", icon=":material/error:")
    st.selectbox("Episode", episodes, key="episode", on_change=from_the_start, label_visibility="collapsed", width=240)
    st.query_params["episode"] = st.session_state.episode
    return str(st.session_state.episode)


@st.fragment
def watch(show: Show, timeline: Timeline, names: dict[str, str]) -> None:
    """The player, and beside it the clip that somebody chose; runs again only when somebody chooses."""
    shell.tell()
    outcome = timelines.outcome_of(show, timeline)
    places = {each.id: each.name for each in timelines.bible(show).places}
    at = moment(timeline)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        shown = player.data(timeline, outcome, names, places, at, st.session_state.get("sought", "address"))
        player.player(shown, chosen)
        if st.session_state.pop("link-asked", False):
            st.toast("The address of this page is the link to this moment.", icon=":material/link:")
    here = timeline.clip_at(at)
    with right, st.container(height=700, border=False):
        if here:
            clip.part(show, timeline.episode, here, outcome, names)
    every_clip(show, timeline, outcome, here.id if here else "")


def every_clip(show: Show, timeline: Timeline, outcome: Outcome, chosen_id: str) -> None:
    """The episode at one look; a still leads to its clip."""
    clips = timeline.clips
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{marks.count(len(clips), 'clip')}**", width="content")
        page_ = st.pagination(-(-len(clips) // SHEET), key="episode-sheet") if len(clips) > SHEET else 1
    shown = clips[(page_ - 1) * SHEET : page_ * SHEET]
    said = [(timeline.episode, each.id, player.WORDS[player.state(each, outcome)]) for each in shown]
    sheet.clips(show, said, "episode-clips", chosen_id)


def moment(timeline: Timeline) -> float:
    """The second that the address asks for, within the episode; the start where it says nothing that can be read."""
    named = next((each for each in timeline.clips if each.id == st.query_params.get("clip")), None)
    before, st.session_state["clip-asked"] = st.session_state.get("clip-asked"), named.id if named else None
    if named:
        if before != named.id:  # Another address: the player goes there, once.
            st.session_state["sought"] = f"{named.id} {time.monotonic_ns()}"
        return named.span.start
    try:
        asked = float(st.query_params.get("t", "0"))
    except ValueError:
        asked = 0.0
    return min(max(asked, 0.0), timeline.seconds) if math.isfinite(asked) else 0.0


def chosen() -> None:
    """The player was asked where it is."""
    if found := player.chosen():
        st.query_params["t"] = f"{float(found['t']):.2f}"
        st.query_params.pop("clip", None)
        st.session_state["link-asked"] = found.get("why") == "link"


def from_the_start() -> None:
    st.query_params.pop("t", None)
    st.query_params.pop("clip", None)


def open_at(episode: str, at: float) -> None:
    """Somebody clicked what was found."""
    st.session_state.look, st.session_state.episode = WATCH, episode
    st.query_params["t"] = f"{at:.2f}"
    st.session_state["sought"] = f"{episode} {at:.2f} {st.session_state.get('sought', '')[-6:]}"


page()
