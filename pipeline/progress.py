"""`dailies report`, its first half: how the show stands, what changed since the last one, what failed, what it costs.

What the last report saw is kept in `.dailies/reports/last.json`.
"""

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from pipeline import foretold, hosts
from pipeline.engine.explain import UnitStatus
from pipeline.engine.plan import SHOW
from pipeline.forecast import Forecast, Left, Outlook
from pipeline.hosts import Host
from pipeline.places import LOCAL
from pipeline.quality import Quality
from pipeline.report import Section, review_progress
from pipeline.show import Show

MARKS = {"fresh": "✅", "running": "▶️", "stale": "🔁", "failed": "❌", "missing": "⏳"}
"""Beside each state's word, which says the same."""

_DONE = "nothing: everything is up to date"
_MOST = 12  # lines of one kind of change; the table above has all


@dataclass(frozen=True, slots=True)
class Seen:
    """What a report saw, for the next to tell what changed. `units`: state and store path by `step/unit`."""

    at: float
    units: Mapping[str, tuple[str, str | None]]
    spent: float
    answered: int


def seen(now: Outlook, places: Sequence[Host], quality: Quality) -> Seen:
    units = {f"{unit.step}/{unit.unit}": (unit.state, _name(unit)) for unit in now.units}
    return Seen(time.time(), units, round(sum(host.spent for host in places), 4), _answered(quality))


def last(show: Show) -> Seen | None:
    """What the last report saw; None before the first."""
    path = _path(show)
    return Seen(**json.loads(path.read_text())) if path.exists() else None


def keep(show: Show, what: Seen) -> None:
    _path(show).parent.mkdir(parents=True, exist_ok=True)
    show.store.replace(_path(show), json.dumps(asdict(what)).encode())


def _path(show: Show) -> Path:
    return show.state / "reports" / "last.json"


def sections(now: Outlook, places: Sequence[Host], quality: Quality, before: Seen | None) -> list[Section]:
    """The report's parts, of a show as it stands `now`; `before` is what the last report saw."""
    left = now.left()
    made = (
        pipeline(now),
        changed(now, before, seen(now, places, quality)),
        failures(now),
        machines(places, left),
        review_progress(quality),
        remaining(left),
        next_actions(now, places, quality, left),
    )
    return [section for section in made if section.rows]


def pipeline(now: Outlook) -> Section:
    """Each step: where it runs, the state of its results, and where the newest lies."""

    def row(step: str, units: list[UnitStatus]) -> tuple[Any, ...]:
        counts: Counter[str] = Counter(unit.state for unit in units)
        words = ", ".join(
            f"{MARKS[state]} {state}" if counts[state] == len(units) else f"{MARKS[state]} {counts[state]} {state}"
            for state in MARKS
            if counts[state]
        )
        why = next((unit.why for state in ("failed", "stale", "missing") for unit in units if unit.state == state), "")
        paths = [unit.store_path for unit in units if unit.store_path]
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        place = now.place(step)
        device = "GPU" if units[0].device == "cuda" else "CPU"
        path = f"`{Path(paths[-1]).name}`{more}" if paths else ""
        return (step, device if place == LOCAL else f"{device} on {place}", words, _short(why), path)

    rows = tuple(row(step, list(units)) for step, units in groupby(now.units, key=lambda unit: unit.step))
    fresh = sum(unit.state == "fresh" for unit in now.units)
    note = f"{fresh} of {len(now.units)} results stand. Store paths lie in `.dailies/store/runs`."
    return Section("Pipeline", ("step", "device", "state", "why", "store path"), rows, note)


def changed(now: Outlook, before: Seen | None, after: Seen) -> Section:
    """What is different from what the last report saw."""
    if before is None:
        return Section("Since the last report", ("change",), (("this is the first",),))
    at = datetime.fromtimestamp(before.at).astimezone()
    lines = list(_changes(before, after))
    if (spent := after.spent - before.spent) > 0.005:
        lines.append(f"{foretold.amount(spent, now.show.settings.currency)} spent")
    if answers := after.answered - before.answered:
        lines.append(f"{answers:+,} tasks of the review answered")
    title = f"Since the last report, {at:%Y-%m-%d %H:%M}"
    return Section(title, ("change",), tuple((line,) for line in lines or ["nothing changed"]))


def _changes(before: Seen, after: Seen) -> Iterator[str]:
    kinds: dict[str, list[str]] = {}
    for unit, (state, path) in after.units.items():
        was, stood = before.units.get(unit, ("new", None))
        name = unit.removesuffix(f"/{SHOW}").replace("/", " of ")
        if state == "fresh" and (was != "fresh" or path != stood):
            kinds.setdefault("made", []).append(name)
        elif state != was and (state != "missing" or was != "new"):
            kinds.setdefault(f"now {state}", []).append(f"{name} (was {was})")
    gone = [unit.replace("/", " of ") for unit in before.units if unit not in after.units]
    for kind, names in (*kinds.items(), *((("no longer part of the show", gone),) if gone else ())):
        more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
        yield f"{kind}: {', '.join(names[:_MOST])}{more}"


def failures(now: Outlook) -> Section:
    """What failed, with its cause and its log."""
    logs = {(job.step, job.unit): f"`runs/{job.run}/{job.step}-{job.unit}.log`" for job in now.jobs}
    rows = tuple(
        (_named(unit), unit.why, logs.get((unit.step, unit.unit), "")) for unit in now.units if unit.state == "failed"
    )
    return Section("Failures", ("result", "cause", "log, in .dailies"), rows)


def machines(places: Sequence[Host], left: Forecast) -> Section:
    """Where work runs, what it costs and has cost."""

    def row(host: Host) -> tuple[Any, ...]:
        cards = Counter(card.name for card in host.gpus)
        gpus = ", ".join(f"{count} x {name}" for name, count in cards.items())
        if host.is_remote and not gpus:
            gpus = f"{host.gpus_declared} declared"
        price = "" if host.price is None else f"{foretold.amount(host.price, host.currency)} an hour"
        spent = f"{foretold.amount(host.spent, host.currency)} for {foretold.duration(host.spent_seconds)}"
        idle = "" if host.idle_seconds is None else foretold.duration(host.idle_seconds)
        state = f"not reached: {host.problem}" if host.problem else host.state
        wanted = (hosts.needed(left.steps, host.place) or "nothing") if gpus else ""
        return (host.name, state, gpus or "none", price, spent if host.spent_seconds else "", idle, wanted)

    columns = ("host", "state", "GPUs", "price", "spent so far", "idle for", "results left for its GPUs")
    return Section("Hosts and money", columns, tuple(row(host) for host in places))


def remaining(left: Forecast) -> Section:
    """Time and money by step; the GPU's first, which is what is rented."""
    order = sorted(left.steps, key=lambda each: (each.place == LOCAL, each.device == "cpu"))
    columns = ("step", "runs on", "to make", "time left", "in 8 of 10 cases", "money", "past forecasts were")

    def row(each: Left) -> tuple[Any, ...]:
        step, *rest = foretold.row(each, left.currency)
        device = "GPU" if each.device == "cuda" else "CPU"
        return (step, device if each.place == LOCAL else f"{device} on {each.place}", *rest)

    return Section("Time left", columns, tuple(row(each) for each in order), foretold.words(left))


def next_actions(now: Outlook, places: Sequence[Host], quality: Quality, left: Forecast) -> Section:
    """What to do, the most urgent first."""
    lines: list[str] = []
    failed = [unit for unit in now.units if unit.state == "failed"]
    for step, units in groupby(failed, key=lambda unit: unit.step):
        lines.append(f"mend {step}: {_short(next(units).why)}; then `dailies run {step}`")
    running = [unit for unit in now.units if unit.state == "running"]
    if running:
        lines.append(f"wait for {', '.join(_named(unit) for unit in running[:3])}: made now")
    todo = [unit for unit in now.units if unit.state in ("stale", "missing")]
    if todo:
        lines.append(f"`dailies run`: {len(todo)} results to make, {foretold.words(left)}")
    for each in quality.progress:
        if each.left:
            minutes = f", about {each.minutes_left:.0f} minutes" if each.minutes_left else ""
            lines.append(f"review {each.left} of {each.tasks} {each.kind} tasks{minutes}; then `dailies pull`")
    shown = [unit for unit in now.units if unit.step == "step2-caption"]
    if not any(each.tasks for each in quality.progress) and shown and all(unit.state == "fresh" for unit in shown):
        lines.append("`dailies push`: everything that reviewers are shown is made")
    for host in places:
        if not (host.is_remote or (host.price and host.gpus)):
            continue
        if host.problem:
            lines.append(f"look after {host.name}, which may cost: {host.problem}")
        elif not hosts.needed(left.steps, host.place):
            lines.append(f"nothing is left for the GPU of {host.name}: give it back")
        elif host.is_idle_for_long:
            idle = foretold.duration(host.idle_seconds or 0)
            lines.append(f"{host.name} is idle for {idle}: run what is left for it, or give it back")
    return Section("Next actions", ("action",), tuple((line,) for line in lines or [_DONE]))


def _answered(quality: Quality) -> int:
    return sum(each.done for each in quality.progress)


def _name(unit: UnitStatus) -> str | None:
    return Path(unit.store_path).name if unit.store_path else None


def _named(unit: UnitStatus) -> str:
    return unit.step if unit.unit == SHOW else f"{unit.step} of {unit.unit}"


def _short(why: str) -> str:
    return why if len(why) <= 120 else f"{why[:117]}..."
