"""Overview: how the show stands, what to do next, and where everything lies."""

import pandas as pd
import streamlit as st

from app import advice, components, done_here, drawing, marks, remaining, shared, shell, ways
from app.advice import Advice, Verb
from app.shared import SHOW, STATES, Snapshot
from pipeline import control, foretold
from pipeline.control import UnitStatus

FOLLOW_SECONDS = 3.0  # between two looks; a run may be started from a terminal at any time
DEVICES = {"cpu": "CPU", "cuda": "GPU"}
VERBS: dict[Verb, tuple[str, str]] = {
    "run": ("Run", ":material/play_arrow:"),
    "prepare": ("Run", ":material/play_arrow:"),
    "push": ("Push", ":material/upload:"),
    "pull": ("Pull", ":material/download:"),
    "label-studio": ("Start Label Studio", ":material/play_arrow:"),
}
TOLD = ("running", "failed", "died")
_NO_REVIEW = {
    "asked": "Label Studio is being asked.",
    "down": "Label Studio does not run, so nobody knows how far it is: `dailies up` starts it.",
    "never started": "Label Studio was never started here: `dailies up` does it, and `dailies push` makes its tasks.",
    "empty": "Nothing has been sent to Label Studio yet: `dailies push` makes the projects and their tasks.",
}
WHOLE_SHOW = "whole show"  # the grid's column for what is made once


def page() -> None:
    # Always as often: to change that, the whole page is drawn anew, and a click that comes meanwhile may be lost.
    st.fragment(content, run_every=FOLLOW_SECONDS)()


def content() -> None:
    """All that changes while one watches; runs again by itself."""
    folder = shared.show_folder()
    try:
        now = shared.look(folder)
    except ValueError as problem:
        shell.cannot_read(folder, str(problem))
        return
    shell.heading(now.name, f"{marks.count(len(now.episodes), 'episode')} in `{now.folder}`")
    shell.tell()
    next_step(now, advice.advice(now.units, now.desk, now.reviewed, pulled=now.pulled, goes=bool(now.goes)))
    pipeline(now)
    time_left(now)
    review(now)
    results(now)
    done_here.part(now.folder)


def next_step(now: Snapshot, what: Advice) -> None:
    """The one thing to do now, before anything else on the page, and how it fares where it was begun."""
    show = control.open_show(now.folder)
    jobs = control.latest_jobs(show)
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        state = what.state
        st.badge(state.name, icon=state.icon, color=state.palette, width="content")
        with st.container(gap=None):
            st.markdown(f"**{what.headline}**")
            st.caption(what.detail)
        if what.link is not None:
            st.link_button(
                "Open in Label Studio", what.link.url, icon=":material/rate_review:", type="primary", width="content"
            )
        if now.goes:
            way = f'<a class="choose" href="/runs?run={now.goes}" data-here>Progress and log</a>'
            components.drawing(way, key="goes")
        if what.verb is not None:
            st.code(what.command, language=None, width="content")
            label, icon = VERBS[what.verb]
            is_wanted = what.link is None and state.name != "fresh"
            shell.start(show, what.verb, label, icon, jobs, primary=is_wanted)
    if what.verb in ("push", "pull", "label-studio") and (job := jobs.get(what.verb)) and job.state in TOLD:
        shell.job(show, job)


def pipeline(now: Snapshot) -> None:
    done, total = sum(link.done for link in now.links), sum(link.total for link in now.links)
    notes = {"review": f"{done:,} of {total:,} answered"} if total else {}
    picture = drawing.picture(now.steps, now.units, notes)
    components.drawing(picture + drawing.legend(now.units), key="pipeline")


def time_left(now: Snapshot) -> None:
    """What is left of each step, in time and money, from what past runs took."""
    if not now.left.units:
        return
    st.subheader("Time left", anchor=False)
    if now.left.clock is None:
        st.caption("None of what is left was made here before: the first run tells how long each step takes.")
        return
    said = foretold.words(now.left)
    st.markdown(f"{marks.plain(said[:1].upper() + said[1:])}.")
    components.drawing(remaining.bars(now.left), key="left")
    if now.left.error is not None:
        st.caption(f":material/target: Past forecasts were {foretold.accuracy(now.left.error)}.")


def review(now: Snapshot) -> None:
    st.subheader("Review", anchor=False)
    if not now.links:
        st.caption(_NO_REVIEW[now.desk.state])
        return
    for column, link in zip(st.columns(max(len(now.links), 2)), now.links, strict=False):
        with column.container(border=True):
            st.progress(
                link.done / link.total if link.total else 0.0,
                text=f"**{link.title}** {link.done:,} of {link.total:,} answered",
            )
            st.link_button("Open in Label Studio", link.url, icon=":material/open_in_new:", width="stretch")


def results(now: Snapshot) -> None:
    st.subheader("Results", anchor=False)
    grid, table = st.tabs(["By step and episode", "All, with store paths"])
    with grid:
        left, right = st.columns([5, 3], gap="medium")
        with left:
            chosen = cell_grid(now)
        with right:
            if chosen := chosen or addressed(now) or shared.most_telling(now.units):
                details(chosen)
            st.caption("Click a cell, or a card of the picture, for another result.")
    inside = f"{now.folder.resolve()}/"
    with table:
        st.dataframe(
            pd.DataFrame(
                [
                    {
                        "Step": unit.step,
                        "Unit": unit.unit,
                        "State": f"{STATES[unit.state].mark} {unit.state}",
                        "Why": unit.why,
                        "Device": DEVICES[unit.device],
                        "Time": shared.duration(unit.seconds),
                        "Address": ways.result(unit.step, unit.unit),
                        "Store path, from the show's folder": unit.store_path and unit.store_path.removeprefix(inside),
                    }
                    for unit in now.units
                ]
            ),
            hide_index=True,
            column_config={"Address": st.column_config.LinkColumn(display_text=":material/link:", width="small")},
        )


def cell_grid(now: Snapshot) -> UnitStatus | None:
    """Steps by episodes. Returns the result whose cell was clicked."""
    steps = [step.name for step in now.steps if not step.is_source]
    columns = [*now.episodes, *([WHOLE_SHOW] if any(unit.unit == SHOW for unit in now.units) else [])]
    by_cell = {(unit.step, WHOLE_SHOW if unit.unit == SHOW else unit.unit): unit for unit in now.units}
    words = pd.DataFrame(
        [[_word(by_cell.get((step, column))) for column in columns] for step in steps], index=steps, columns=columns
    )
    event = st.dataframe(
        words.style.map(_colour),
        on_select="rerun",
        selection_mode="single-cell",
        height="content",
        # A selection is kept by position: with another set of rows it would point at another result.
        key=f"grid-{hash((*steps, *columns))}",
    )
    if not event.selection.cells:
        return None
    row, column = event.selection.cells[0]
    return by_cell.get((steps[row], column))


def addressed(now: Snapshot) -> UnitStatus | None:
    """The result that the address names; of a step alone, its most telling one."""
    step, unit = st.query_params.get("step", ""), st.query_params.get("unit", "")
    return shared.most_telling([each for each in now.units if each.step == step and unit in ("", each.unit)])


def _word(unit: UnitStatus | None) -> str:
    return "" if unit is None else f"{STATES[unit.state].mark} {unit.state}"


def _colour(word: object) -> str:
    state = STATES.get(str(word).partition(" ")[2])
    return f"color: {state.colour}" if state else ""


def details(unit: UnitStatus) -> None:
    """Why a result is as it is, what it cost, and where its files lie."""
    state = STATES[unit.state]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{shared.named(unit)}**", width="content")
            st.badge(unit.state, icon=state.icon, color=state.palette, width="content")
            link = ways.result(unit.step, unit.unit)
            st.markdown(f"[:material/link:]({link})", help="The address of this result", width="content")
        st.markdown(unit.why or f"{state.meaning.capitalize()}.")
        if unit.store_path:
            st.caption(f"A step for the {DEVICES[unit.device]}, took {shared.duration(unit.seconds)}; its files lie in")
            st.code(unit.store_path, language=None, wrap_lines=True)


page()
