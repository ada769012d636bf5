"""What past runs cost, read from their events: one `Measured` for each job that was started.

A run's folder is read once: when the run is over, what it told is kept beside it in `measured.json`. Of a run that goes
on only what is new is read at the next look.
"""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.engine import fingerprint
from pipeline.engine.events import Reader
from pipeline.engine.run import recipe_path
from pipeline.forecasting import Range, Truth, shares, truth
from pipeline.places import LOCAL

State = Literal["open", "done", "stood", "failed"]

FORECAST, KEPT, VERSION = "forecast.json", "measured.json", 2
_PLANNED = ("setting", "estimated_bytes", "card", "card_bytes")
DECISIVE = ("backend", "method", "model", "models", "profile")
"""Settings that say who does the work: times of another model say nothing of this one."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One job. `seconds` so far, or in all. `hardware` is the card's name for a step of the GPU, "" for the CPU; at a
    `place` other than this machine, the host's.

    `done` of `total` are the items of the stretch that it told last, `kept` those that stood before; `made` is the
    share of all items that it made itself. For a training, `steps` are those it took, `reached` the last one that a
    checkpoint keeps, and `at_step` of `of_steps` where it is. `episodes` is how many it gathered. `forecast` is what
    was foretold: (low, likely, high) seconds. `price` is per hour, as it was then; None where none was set. A host is
    paid for as a whole: jobs beside each other on it share its time, and `held` is what of it was this one's.
    """

    run: str
    step: str
    unit: str
    name: str
    device: str
    hardware: str
    state: State
    began: float
    seconds: float
    by: str = ""
    episodes: int = 1
    done: int = 0
    total: int = 0
    made: float = 1.0
    steps: int = 0
    reached: int = 0
    at_step: int = 0
    of_steps: int = 0
    step_seconds: float = 0.0
    memory_bytes: int = 0
    planned: Mapping[str, Any] = field(default_factory=dict)
    forecast: tuple[float, float, float] | None = None
    price: float | None = None
    place: str = LOCAL
    held: float | None = None

    @property
    def ended(self) -> float:
        return self.began + self.seconds

    @property
    def taken(self) -> float:
        """Seconds of its hardware that were its own: those that are paid for, and that forecasts count."""
        return self.seconds if self.held is None else self.held

    @property
    def money(self) -> float:
        """What its time on a priced card or host cost; on the CPU of this machine, nothing."""
        return (self.price or 0.0) * self.taken / 3600 if self.hardware else 0.0


def who_works(config: Mapping[str, Any]) -> str:
    """A name for the settings that say who does the work; "" where a step has none."""
    found = {name: config[name] for name in DECISIVE if name in config}
    return fingerprint.of_value("who works", found)[:12] if found else ""


def host_hardware(name: str, gpus: int) -> str:
    """What times on a host belong to: other GPUs behind the same name would be another pace."""
    return f"{name} ({gpus} GPU{'' if gpus == 1 else 's'})"


def jobs(runs: Path) -> list[Measured]:
    """All jobs of all runs below `runs`, the oldest run first."""
    found = [job for path in sorted(runs.glob("*/events.jsonl")) for job in _of_run(path.parent)]
    for place in {job.place for job in found} - {LOCAL}:
        there = [index for index, job in enumerate(found) if job.place == place and job.state != "stood"]
        held = shares([(found[index].began, found[index].ended) for index in there])
        for index, seconds in zip(there, held, strict=True):
            found[index] = replace(found[index], held=seconds)
    return found


def of_run(runs: Path, run: str) -> list[Measured]:
    """The jobs of one run; what of a host's time was theirs is known from all runs that were on it."""
    return [job for job in jobs(runs) if job.run == run]


def foretold(found: Iterable[Measured]) -> list[tuple[Range, float]]:
    """What was foretold of the jobs that are done, each beside the seconds that it took."""
    return [(Range(*job.forecast), job.taken) for job in found if job.forecast and job.state == "done"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A step of a run that is over: the seconds that it took in all, those that were foretold, and how that fared."""

    step: str
    took: float
    foretold: float
    error: Truth


def compared(runs: Path, run: str) -> list[Compared]:
    """The forecasts of one run's jobs beside what they took, by step; those of which nothing was foretold aside."""
    by_step: dict[str, list[tuple[Range, float]]] = {}
    for job in of_run(runs, run):
        by_step.setdefault(job.step, []).extend(foretold([job]))
    return [
        Compared(step, sum(took for _, took in pairs), sum(range_.likely for range_, _ in pairs), error)
        for step, pairs in by_step.items()
        if (error := truth(pairs)) is not None
    ]


_FOLDS: dict[Path, "Fold"] = {}
_GUARD = threading.Lock()  # Pages of several people look at once.


def _of_run(folder: Path) -> list[Measured]:
    with _GUARD:
        fold = _FOLDS.get(folder)
        if fold is None:
            kept = _kept(folder)
            fold = _FOLDS[folder] = Fold(folder) if kept is None else Fold(folder, ended=True, jobs=kept)
        if not fold.ended:
            fold.take(fold.reader.poll())
            if fold.ended:
                _keep(folder, fold.jobs)
        return list(fold.jobs.values())


def _kept(folder: Path) -> dict[tuple[str, str], Measured] | None:
    """What was kept of a run that is over; None where nothing was, or by another release."""
    try:
        found = json.loads((folder / KEPT).read_text())
        if found["version"] != VERSION:
            return None
        jobs = [Measured(**{**job, "forecast": _range(job["forecast"])}) for job in found["jobs"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return {(job.step, job.unit): job for job in jobs}


def _keep(folder: Path, jobs: Mapping[tuple[str, str], Measured]) -> None:
    aside = folder / f".{KEPT}.{os.getpid()}"
    aside.write_text(json.dumps({"version": VERSION, "jobs": [asdict(job) for job in jobs.values()]}))
    aside.replace(folder / KEPT)


def _range(values: Any) -> tuple[float, float, float] | None:
    return (values[0], values[1], values[2]) if values else None


@dataclass(slots=True)
class Fold:
    """A run's jobs as its events tell them, one after the other."""

    folder: Path
    ended: bool = False
    jobs: dict[tuple[str, str], Measured] = field(default_factory=dict)
    gpu: str = ""
    price: float | None = None
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)
    reader: Reader = field(init=False)
    _forecast: dict[str, Any] | None = None
    _items: dict[tuple[str, str], list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reader = Reader(self.folder / "events.jsonl")

    def take(self, events: Iterator[dict[str, Any]]) -> None:
        for event in events:
            kind, node = event["event"], (event.get("step", ""), event.get("unit", ""))
            if kind == "started":
                self.gpu = event.get("gpu", "")
                self.price = float(event["gpu_price"]) if event.get("gpu_price") else None
                self.hosts = event.get("hosts", {})
            elif kind == "finished":
                self.ended = True
            elif kind == "job started":
                self.jobs[node] = self._begun(node, event)
            elif node in self.jobs:
                job = self.jobs[node]
                job = replace(job, seconds=round(event["t"] - job.began, 3)) if job.state == "open" else job
                self.jobs[node] = self._told(node, job, kind, event)

    def _begun(self, node: tuple[str, str], event: Mapping[str, Any]) -> Measured:
        recipe = _json(recipe_path(self.folder, node))
        gathered = [len(each) for each in recipe.get("inputs", {}).values() if isinstance(each, dict)]
        if self._forecast is None:
            self._forecast = _json(self.folder / FORECAST)
        place, hardware, price = event.get("place", LOCAL), self.gpu if event["device"] == "cuda" else "", self.price
        if place != LOCAL:
            host = self.hosts.get(place, {})
            hardware, price = host_hardware(place, host.get("gpus", 1)), host.get("price_per_hour")
        return Measured(
            run=self.folder.name,
            step=node[0],
            unit=node[1],
            name=event["name"],
            device=event["device"],
            hardware=hardware,
            state="open",
            began=event["t"],
            seconds=0.0,
            by=who_works(recipe.get("config", {})),
            episodes=max([1, *gathered]),
            forecast=_range(self._forecast.get("/".join(node))),
            price=price,
            place=place,
        )

    def _told(self, node: tuple[str, str], job: Measured, kind: str, event: Mapping[str, Any]) -> Measured:
        match kind:
            case "items":
                stretches = self._items.setdefault(node, [])
                if "kept" in event or not stretches or event["total"] != job.total or event["done"] < job.done:
                    stretches += [event.get("kept", 0), event["total"]]
                total = sum(stretches[1::2])
                made = 1 - sum(stretches[::2]) / total if total else 1.0
                return replace(job, done=event["done"], total=event["total"], made=made)
            case "metric":
                memory = max(job.memory_bytes, event.get("gpu_memory_bytes") or 0)
                steps = {"at_step": event["at_step"], "of_steps": event["of"], "step_seconds": event["step_seconds"]}
                job = replace(job, steps=job.steps + 1, memory_bytes=memory, **steps)
            case "checkpoint" | "resumed":
                job = replace(job, reached=max(job.reached, event["at_step"]))
            case "planned":
                job = replace(job, planned={name: event.get(name) for name in _PLANNED})
            case "job finished":
                job = replace(job, state="done" if event["made"] else "stood", seconds=event["seconds"])
            case "job failed" | "job stopped" | "job sampled":
                job = replace(job, state="failed")
        return job


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):  # A run of an earlier release, or a record that was just being written.
        return {}
    return found
