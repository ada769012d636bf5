"""What every page of the panel shares: the show it looks at, the words and colours for states.

Nothing here draws, and nothing heavy is imported: the panel's process reads what the store says and leaves the work
to `dailies`.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from app import beside
from pipeline import control, dag, runs
from pipeline.control import Desk, Forecast, Link, UnitStatus

Named = Literal["failed", "running", "stale", "missing", "fresh", "review"]
Palette = Literal["red", "blue", "orange", "gray", "green", "violet"]

NEAR = 4  # of the newest runs, those that are looked at: more do not go on beside each other
SHOW = "show"
"""The unit of what is made once for the whole show."""


@dataclass(frozen=True, slots=True)
class Node:
    """A step, or a source: something that people bring. `needs` are the names of what it reads."""

    name: str
    needs: tuple[str, ...]
    is_source: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """How a state is shown. `mark` stands beside the colour everywhere, so that nobody has to tell colours apart.

    `colour` is a middle tone, readable on the light and on the dark background; the theme has it as `palette`.
    """

    name: Named
    mark: str
    icon: str
    palette: Palette
    colour: str
    meaning: str


# In the order of concern: a step's colour is that of its most concerning unit.
STATES: dict[str, State] = {
    state.name: state
    for state in (
        State("failed", "✕", ":material/error:", "red", "#D0534A", "stopped with an error"),
        State("running", "►", ":material/play_circle:", "blue", "#4A86D8", "being made now"),
        State("stale", "◐", ":material/contrast:", "orange", "#C78A1E", "made, but from something that has changed"),
        State("missing", "○", ":material/circle:", "gray", "#8B93A1", "not made yet"),
        State("fresh", "✓", ":material/check_circle:", "green", "#3C9A72", "made, and nothing has changed since"),
    )
}
REVIEW = State("review", "∥", ":material/rate_review:", "violet", "#8F6CC8", "people are to answer")


def show_folder() -> Path:
    """The show this panel looks at: `DAILIES_SHOW`, else the folder it was started in."""
    return Path(os.environ.get("DAILIES_SHOW") or Path.cwd())


def worst(units: Iterable[UnitStatus]) -> State:
    """The state that stands for all: the most concerning one, so that a roll-up never hides a part."""
    found = {unit.state for unit in units}
    return next(state for name, state in STATES.items() if name in found)


def counts(units: Iterable[UnitStatus]) -> dict[str, int]:
    """How many units are in each state, for the states that occur, in the order of concern."""
    states = [unit.state for unit in units]
    return {name: states.count(name) for name in STATES if name in states}


def named(unit: UnitStatus) -> str:
    return unit.step if unit.unit == SHOW else f"{unit.step} of {unit.unit}"


def duration(seconds: float | None) -> str:
    """`under 0.1 s`, `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`; a dash where it is not known."""
    if seconds is None:
        return "–"
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a page draws: the show as it stood at one moment."""

    name: str
    folder: Path
    steps: tuple[Node, ...]
    units: tuple[UnitStatus, ...]
    desk: Desk
    """How Label Studio stands."""
    left: Forecast
    pulled: bool
    """Whether reviewers' answers were ever fetched."""
    goes: str
    """The newest run that goes on, by its id; empty where none does. Between two of its jobs no unit is running."""

    @property
    def episodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(unit.unit for unit in self.units if unit.unit != SHOW))

    @property
    def reviewed(self) -> frozenset[str]:
        """The steps that build on what reviewers decide: they read it, themselves or through another step, and are not
        needed for what reviewers are shown (which gets better by answers, and does without).
        """
        found, shown = {"review"}, {control.SHOWN}
        for step in self.steps:
            if found.intersection(step.needs):
                found.add(step.name)
        for step in reversed(self.steps):
            if step.name in shown:
                shown.update(step.needs)
        return frozenset(found - shown | {"review"})

    @property
    def links(self) -> tuple[Link, ...]:
        """The review projects; none before the first push, or while Label Studio does not run."""
        return self.desk.links


def look(folder: Path) -> Snapshot:
    """Read how the show stands. Raises ValueError, with the remedy, for a folder or a show.toml that is not right."""
    show = control.open_show(folder)
    sources = [Node(source.name, (), is_source=True) for source in dag.SOURCES]
    steps = [Node(step.name, tuple(need.producer for need in step.needs.values())) for step in dag.STEPS]
    used = {need for step in steps for need in step.needs}
    units, left = control.outlook(show)
    return Snapshot(
        name=show.file.name,
        folder=folder,
        steps=(*(source for source in sources if source.name in used), *steps),
        units=tuple(units),
        desk=beside.desk(show),
        left=left,
        pulled=show.latest_snapshot() is not None,
        goes=next(
            (each.id for each in map(partial(runs.read, show), runs.ids(show)[:NEAR]) if each.state == "running"), ""
        ),
    )


def most_telling(units: Sequence[UnitStatus]) -> UnitStatus | None:
    """The result to show before anybody has chosen one: the most concerning, or else the last that was made."""
    if not units:
        return None
    state = worst(units).name
    found = [unit for unit in units if unit.state == state]
    return found[-1] if state == "fresh" else found[0]
