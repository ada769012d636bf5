"""What is left to do and what it costs: seconds with a range, and money, from what past runs took.

An episode's length is the size of its work; a training's is its optimizer steps. Only times of the same step, on the
same hardware and by the same model are taken; where there are none, the answer is that nothing was measured yet.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from statistics import mean, median

from pipeline import gpus, measured, places
from pipeline.engine import explain, plan
from pipeline.engine.explain import UnitStatus
from pipeline.engine.plan import SHOW, Node, Plan
from pipeline.engine.step import StepConfig
from pipeline.forecasting import Pace, Range, Truth, by_the_clock, pace, total, truth
from pipeline.measured import Measured, who_works
from pipeline.show import Show

_TELLING = 0.05  # a job that took nearly all of its items from the memo tells no pace
_HEADS = 12  # results of a step, at most, that stand in for runs whose events are gone
_NEARLY = 0.1  # of its likely time, what is left of a job that takes longer than was foretold
_BYTES_A_SECOND = 250_000.0  # of video, about, where no episode was cut yet; only their ratio matters then


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of one step: `units` to make, `left` seconds of its device, None where nothing was measured yet.
    `places` are where it may run: "local", or hosts; `place` is that of them by whose times it is reckoned.

    `kept` of `items` stand in the memo already, of units that were begun and not finished. `waiting` units may turn
    out not to be needed: what they wait for may come out the same. `error` is how past forecasts fared.
    """

    step: str
    device: str
    place: str
    places: tuple[str, ...]
    units: int
    waiting: int
    left: Range | None
    money: Range | None
    kept: int
    items: int
    count: int
    error: Truth | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is left: by step, of the GPU or the hosts, and by the clock. `unmeasured` are the steps whose time nobody
    knows yet; no sum has them.

    `gpu` is None where nothing of it runs on a GPU or a host, `money` also where that has no price.
    """

    steps: tuple[Left, ...]
    gpu: Range | None
    clock: Range | None
    money: Range | None
    unmeasured: tuple[str, ...]
    error: Truth | None
    currency: str

    @property
    def units(self) -> int:
        return sum(each.units for each in self.steps)


@dataclass(slots=True)
class Outlook:
    """A show as it stands, with all that was measured of it: what forecasts are made of."""

    show: Show
    plan: Plan
    units: list[UnitStatus]
    jobs: list[Measured]
    lengths: dict[str, float]
    _paces: dict[str, Pace | None] = field(default_factory=dict)
    _last: dict[Node, Measured] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)

    @property
    def hardware(self) -> str:
        """This machine's card, "" where it has none."""
        return gpus.name()

    def places(self, step: str) -> tuple[str, ...]:
        """Where a step may run: "local", or hosts by name, the best first."""
        return places.places_of(step, self.plan.device(step), self.show.file.hosts, self.show.file.places)

    def place(self, step: str) -> str:
        """The first of them that the step ran on before; where there is none, the first."""
        if step not in self._places:
            may = self.places(step)
            ran = {job.place for job in self.jobs if job.step == step}
            self._places[step] = next((each for each in may if each in ran), may[0])
        return self._places[step]

    def runs_on(self, step: str) -> str:
        """What times of a step belong to: a host, this machine's card, or "" for its CPU."""
        if (place := self.place(step)) != places.LOCAL:
            return measured.host_hardware(place, self.show.file.hosts[place].gpus)
        return self.hardware if self.plan.device(step) == "cuda" else ""

    def price(self, step: str) -> float | None:
        """What an hour of a step costs: that of its host, whole, or of this machine's GPU; None for nothing."""
        if (place := self.place(step)) != places.LOCAL:
            return self.show.file.hosts[place].price_per_hour
        return self.show.settings.gpu_price_per_hour if self.runs_on(step) else None

    def under(self, show: Show, what: Plan, units: list[UnitStatus]) -> "Outlook":
        """The same measurements for other settings: `show` has them, `units` are those of a survey of `what`."""
        return replace(self, show=show, plan=what, units=units, _paces={}, _places={})

    def left(self, nodes: Iterable[Node] | None = None) -> Forecast:
        """What of `nodes` (default: everything) is left to make."""
        wanted = set(nodes) if nodes is not None else None
        units = [each for each in self.units if wanted is None or (each.step, each.unit) in wanted]
        return self._forecast([each for each in units if each.state != "fresh"])

    def range_of(self, unit: UnitStatus) -> Range | None:
        """How long one unit takes, from now."""
        found = self._pace(unit.step)
        return None if found is None else total([(found, [self._size(unit)])])

    def _forecast(self, units: Sequence[UnitStatus]) -> Forecast:
        by_step: dict[str, list[UnitStatus]] = defaultdict(list)
        for unit in units:
            by_step[unit.step].append(unit)
        steps = tuple(self._left(step, of) for step, of in by_step.items())
        parts = {step: (found, [self._size(unit) for unit in of])
                 for step, of in by_step.items() if (found := self._pace(step)) is not None}  # fmt: skip
        on_gpu = [part for step, part in parts.items() if self.runs_on(step)]
        paid = [(found, [size * price / 3600 for size in sizes])
                for step, (found, sizes) in parts.items() if (price := self.price(step))]  # fmt: skip
        sizes = {step: dict(zip([unit.unit for unit in by_step[step]], part[1], strict=True))
                 for step, part in parts.items()}  # fmt: skip
        seconds = {
            (unit.step, unit.unit): parts[unit.step][0].rate * sizes[unit.step][unit.unit]
            for unit in units
            if unit.step in parts
        }
        whole = total(parts.values())
        slots: dict[str, int] = {"cpu": self.show.settings.cpu_slots, "cuda": self.show.settings.cuda_slots}
        # Jobs beside each other on a host share its time, and their pace is that of their share.
        slots |= dict.fromkeys(self.show.file.hosts, 1)
        clock = by_the_clock(seconds, self.plan.needs, lambda node: self._lanes(node[0]), slots)
        return Forecast(
            steps=steps,
            gpu=total(on_gpu) if on_gpu else None,
            clock=whole.times(clock / sum(seconds.values())) if whole.likely else None,
            money=total(paid) if paid else None,
            unmeasured=tuple(step for step in by_step if step not in parts),
            error=truth(measured.foretold(self.jobs)),
            currency=self.show.settings.currency,
        )

    def _lanes(self, step: str) -> list[str]:
        """What a step waits for: a slot of the CPU or the GPU of this machine, or a host."""
        return [self.plan.device(step) if each == places.LOCAL else each for each in self.places(step)]

    def _left(self, step: str, of: Sequence[UnitStatus]) -> Left:
        found, price = self._pace(step), self.price(step)
        left = None if found is None else total([(found, [self._size(unit) for unit in of])])
        begun = [job for unit in of if (job := self._begun(unit)) is not None and job.total]
        return Left(
            step=step,
            device=self.plan.device(step),
            place=self.place(step),
            places=self.places(step),
            units=len(of),
            waiting=sum(self._waits(unit) for unit in of),
            left=left,
            money=left.times(price / 3600) if left is not None and price else None,
            kept=sum(job.done for job in begun),
            items=sum(job.total for job in begun),
            count=found.count if found else 0,
            error=truth(measured.foretold(job for job in self.jobs if job.step == step)),
        )

    def _waits(self, unit: UnitStatus) -> bool:
        """Whether it stands, and is made anew only if what it reads comes out differently."""
        return unit.state == "stale" and unit.store_path is not None and unit.why.startswith("waits for ")

    def _begun(self, unit: UnitStatus) -> Measured | None:
        """The last job that was to make just this and did not finish: what it kept is found again."""
        node = unit.step, unit.unit
        if not self._last:
            self._last = {(job.step, job.unit): job for job in self.jobs if job.state != "stood"}
        job = self._last.get(node)
        if job is None or job.state == "done" or (recipe := self.plan.recipe(node)) is None:
            return None
        return job if job.name == plan.run_name(self.plan.show, node, recipe) else None

    def _size(self, unit: UnitStatus) -> float:
        """What is left of a unit, in its step's measure: seconds of video, or steps of training."""
        begun = self._begun(unit)
        if steps := self._training_steps(unit.step):
            if begun is None:
                return steps
            return max(1.0, steps - (begun.at_step if unit.state == "running" else begun.reached))
        size = self._length(unit.unit, len(self.lengths))
        if begun is not None and begun.total:
            size *= max(1 - begun.done / begun.total, _NEARLY if unit.state == "running" else 0.01)
        return size

    def _length(self, unit: str, episodes: int) -> float:
        if unit == SHOW:
            return episodes * mean(self.lengths.values()) if self.lengths else 1.0
        return self.lengths.get(unit) or mean(self.lengths.values() or [1.0])

    def _training_steps(self, step: str) -> float:
        """How many optimizer steps a step's settings ask for; 0 for what is no training."""
        steps = getattr(self.plan.configs[step], "steps", None)
        return float(steps) if isinstance(steps, int) else 0.0

    def _pace(self, step: str) -> Pace | None:
        if step not in self._paces:
            self._paces[step] = pace(self._times(step))
        return self._paces[step]

    def _times(self, step: str) -> list[tuple[float, float]]:
        """(seconds, size) of past jobs of this step, on what it would run on now."""
        hardware = self.runs_on(step)
        by = who_works(self.plan.configs[step].model_dump(mode="json"))
        jobs = [job for job in self.jobs if job.step == step and job.hardware == hardware and job.by in ("", by)]
        if self._training_steps(step):
            return [(job.taken, job.steps) for job in jobs if job.steps > 1]
        found = [
            (job.taken, job.made * self._length(job.unit, job.episodes))
            for job in jobs
            if job.state == "done" and job.made > _TELLING
        ]
        # A store that came from elsewhere has results and no events; what made those of the GPU is not known.
        return found or ([] if hardware else self._heads(step, by))

    def _heads(self, step: str, by: str) -> list[tuple[float, float]]:
        units = self.plan.units(self.plan.steps[step].per)[:_HEADS]
        runs = [run for unit in units if (run := self.plan.store.head(step, unit)) is not None]
        same = [run for run in runs if who_works(run.recipe["config"]) == by]
        return [(run.seconds, self._length(run.unit, len(self.lengths))) for run in same]


def outlook(show: Show, what: Plan | None = None, units: list[UnitStatus] | None = None) -> Outlook:
    """All that forecasts of a show need; `units` are those of a survey of `what`, where one was made already."""
    what = what or show.plan()
    if units is None:
        units = explain.survey(what)
    return Outlook(show, what, units, measured.jobs(show.state / "runs"), lengths(show))


def lengths(show: Show) -> dict[str, float]:
    """Seconds of video by episode; of those that are not cut yet, judged by the size of their files."""
    sizes = {name: path.stat().st_size for name, path in show.episodes().items()}
    known = {
        name: _seconds(show.store.object_path(run.output))
        for name in sizes
        if (run := show.store.head("step1-scenes", name)) is not None
    }
    rates = [sizes[name] / seconds for name, seconds in known.items() if seconds]
    rate = median(rates) if rates else _BYTES_A_SECOND
    return {name: known.get(name) or max(size / rate, 1.0) for name, size in sizes.items()}


@lru_cache(maxsize=4096)
def _seconds(scenes: Path) -> float:
    """The length of the episode whose scenes lie there; only the one figure is wanted, so nothing is checked."""
    return float(json.loads(scenes.read_bytes())["media"]["seconds"])


def keep(show: Show, what: Plan, nodes: Sequence[Node], runs: Path) -> None:
    """Write beside a run that begins what is foretold of its jobs, to be held against the truth."""
    found = outlook(show, untouched(what))
    wanted = set(nodes)
    ranges = {
        f"{unit.step}/{unit.unit}": [round(each, 3) for each in (range_.low, range_.likely, range_.high)]
        for unit in found.units
        if unit.state != "fresh" and (unit.step, unit.unit) in wanted and (range_ := found.range_of(unit))
    }
    runs.mkdir(parents=True, exist_ok=True)
    (runs / measured.FORECAST).write_text(json.dumps(ranges))


def untouched(what: Plan, configs: Mapping[str, StepConfig] | None = None) -> Plan:
    """The same plan, or one of other settings, with nothing known but its sources: a survey leaves the first alone."""
    outputs = {node: digest for node, digest in what.outputs.items() if node[0] in what.sources}
    return replace(what, outputs=outputs, given_up=set(), configs=what.configs if configs is None else configs)
