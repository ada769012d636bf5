"""What a run has told of itself, folded from its events one by one: jobs, progress, and the course of trainings. Pure.

It stays small however long a run is: curves are kept as means over stretches of steps that grow with it, words as the
last of them. So a page never reads 20,000 steps again, and what was folded can be written down and gone on from.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.engine.records import Record
from pipeline.places import LOCAL
from pipeline.schemas.training import Checkpoint, HoldoutLoss, Metric, Planned, Sampled

JobState = Literal["running", "done", "fresh", "failed", "stopped", "sampled", "blocked"]
Event = Mapping[str, Any]

MOST_POINTS = 400
"""Of a curve: more than a chart has pixels for."""
MOST_LINES = 40
_RECENT = 64  # steps whose median says what a step usually takes

R = TypeVar("R", bound=Record)


class _Folded(BaseModel):
    # A loss that ran away is no number, and must come back as such.
    model_config = ConfigDict(ser_json_inf_nan="constants", extra="forbid")


class Point(_Folded):
    """The means over `count` optimizer steps that follow each other, up to `step`; `low` and `high` are of the loss.

    `bands`: by tenth of sigma, sum of the losses and how many they are. Memory is the highest, in bytes.
    """

    step: int
    count: int
    loss: float
    low: float
    high: float
    lr: float
    grad_norm: float
    step_seconds: float
    tokens: float
    memory: int | None = None
    use: float | None = None
    bands: dict[int, tuple[float, int]] = {}

    def with_(self, later: "Point") -> "Point":
        """This stretch and the next in one."""
        count = self.count + later.count

        def mean(name: str) -> float:
            return float((getattr(self, name) * self.count + getattr(later, name) * later.count) / count)

        bands = dict(self.bands)
        for band, (total, number) in later.bands.items():
            before = bands.get(band, (0.0, 0))
            bands[band] = (before[0] + total, before[1] + number)
        uses = [each for each in (self.use, later.use) if each is not None]
        return Point(
            step=later.step,
            count=count,
            loss=mean("loss"),
            low=min(self.low, later.low),
            high=max(self.high, later.high),
            lr=later.lr,
            grad_norm=mean("grad_norm"),
            step_seconds=mean("step_seconds"),
            tokens=mean("tokens"),
            memory=max((each for each in (self.memory, later.memory) if each is not None), default=None),
            use=sum(uses) / len(uses) if uses else None,
            bands=bands,
        )


class Curve(_Folded):
    """The course of a training in at most `MOST_POINTS` points; each but the last stands for `stride` steps."""

    stride: int = 1
    points: list[Point] = []

    def add(self, metric: Metric) -> None:
        new = Point(
            step=metric.step,
            count=1,
            loss=metric.loss,
            low=metric.loss,
            high=metric.loss,
            lr=metric.lr,
            grad_norm=metric.grad_norm,
            step_seconds=metric.step_seconds,
            tokens=metric.tokens,
            memory=metric.gpu_memory_bytes,
            use=metric.gpu_use_percent,
            bands={band: (loss, 1) for band, loss in metric.bands.items()},
        )
        if self.points and self.points[-1].count < self.stride:
            self.points[-1] = self.points[-1].with_(new)
        else:
            self.points.append(new)
        if len(self.points) > MOST_POINTS:
            ends = [*self.points[1::2]] + ([None] if len(self.points) % 2 else [])
            self.points = [
                first.with_(second) if second else first for first, second in zip(self.points[::2], ends, strict=True)
            ]
            self.stride *= 2


class Kept(_Folded):
    """A checkpoint and when it was told."""

    at: float
    checkpoint: Checkpoint


class Training(_Folded):
    """A training as it told itself. `first` and `last`: (moment, step) of its first and last optimizer step here."""

    of: int = 0
    first: tuple[float, int] | None = None
    last: tuple[float, int] | None = None
    epoch: float = 0
    recent: list[float] = []
    planned: Planned | None = None
    resumed: int | None = None
    curve: Curve = Curve()
    holdout: list[HoldoutLoss] = []
    samples: list[Sampled] = []
    checkpoints: list[Kept] = []

    @property
    def best(self) -> HoldoutLoss | None:
        """The checkpoint with the lowest hold-out loss; the base model is none."""
        return min((each for each in self.holdout if each.step and math.isfinite(each.loss)),
                   key=lambda each: each.loss, default=None)  # fmt: skip


class Job(_Folded):
    """One step of one unit within a run, at its `place`: "local", or a host's name. `first_item`: (moment, done) of its
    first progress here, what was kept from before included; `at` is when it was last heard of.
    """

    step: str
    unit: str
    state: JobState
    began: float
    at: float
    name: str = ""
    device: str = ""
    place: str = LOCAL
    ended: float | None = None
    done: int = 0
    total: int = 0
    first_item: tuple[float, int] | None = None
    progress: float | None = None
    lines: list[tuple[float, str]] = []
    words: str = ""
    training: Training | None = None


class Told(_Folded):
    """One run. `jobs` by "step/unit", in the order in which they began. `unread` lines were not whole, or of a shape
    that nobody knows.
    """

    id: str
    began: float = 0
    at: float = 0
    pid: int = 0
    host: str = ""
    by: str = ""
    job: str = ""
    nodes: int = 0
    stopped: bool = False
    ended: float | None = None
    unread: int = 0
    jobs: dict[str, Job] = {}

    def take(self, event: Event) -> None:
        """Fold one more event in."""
        kind, moment = event["event"], event["t"]
        self.at = max(self.at, moment)
        if kind == "started":
            self.began = moment
            for name in ("pid", "host", "by", "job", "nodes"):
                setattr(self, name, event.get(name, getattr(self, name)))
        elif kind == "stopped":
            self.stopped = True
        elif kind == "finished":
            self.ended = moment
        elif "step" in event and "unit" in event:
            self._take_of_job(kind, moment, event)

    def _take_of_job(self, kind: str, moment: float, event: Event) -> None:
        key = f"{event['step']}/{event['unit']}"
        job = self.jobs.get(key)
        if kind == "job started":
            self.jobs[key] = Job(
                step=event["step"],
                unit=event["unit"],
                state="running",
                began=moment,
                at=moment,
                name=event.get("name", ""),
                device=event.get("device", ""),
                place=event.get("place", LOCAL),
            )
        elif kind == "blocked":
            self.jobs[key] = Job(
                step=event["step"], unit=event["unit"], state="blocked", began=moment, at=moment, words=event["why"]
            )
        elif job is not None:
            job.at = moment
            _take(job, kind, moment, event)


def _take(job: Job, kind: str, moment: float, event: Event) -> None:
    match kind:
        case "items":
            restarted = job.first_item is None or event["done"] < job.done or event["total"] != job.total
            if restarted:  # A job may pass its total several times, once for each kind of item.
                job.first_item = (moment, event["done"])
            job.done, job.total = event["done"], event["total"]
            job.progress = moment
        case "log":
            job.lines = [*job.lines[1 - MOST_LINES :], (moment, event["message"])]
        case "job finished":
            job.state = "done" if event.get("made", True) else "fresh"
            job.ended = moment
        case "job failed":
            # Who is asked to stop says so itself; its end is then told once more as that of a job without an output.
            if job.state != "stopped":
                job.state, job.words = "failed", event["error"]
            job.ended = moment
        case "job stopped":
            job.state, job.words, job.ended = "stopped", event["message"], moment
        case "job sampled":
            job.state, job.ended = "sampled", moment
        case _:
            _take_of_training(job, kind, moment, event)


_ABOUT = {"t", "event", "step", "unit"}


def _take_of_training(job: Job, kind: str, moment: float, event: Event) -> None:
    fields = {("step" if name == "at_step" else name): value for name, value in event.items() if name not in _ABOUT}
    training = job.training or Training(curve=Curve())
    match kind:
        case "metric":
            _take_metric(training, moment, Metric.model_validate(fields))
        case "holdout loss":
            training.holdout = _with(training.holdout, HoldoutLoss.model_validate(fields))
        case "sampled":
            made = Sampled.model_validate(fields)
            others = [one for one in training.samples if (one.step, one.prompt) != (made.step, made.prompt)]
            training.samples = [*others, made]
        case "checkpoint":
            kept = Kept(at=moment, checkpoint=Checkpoint.model_validate(fields))
            others_kept = [one for one in training.checkpoints if one.checkpoint.step != kept.checkpoint.step]
            training.checkpoints = [*others_kept, kept]
        case "planned":
            training.planned = Planned.model_validate(fields)
        case "resumed":
            training.resumed = int(fields["step"])
        case _:
            return
    job.training, job.progress = training, moment


def _take_metric(training: Training, moment: float, metric: Metric) -> None:
    training.of, training.epoch = metric.of, metric.epoch
    training.first = training.first or (moment, metric.step)
    training.last = (moment, metric.step)
    training.recent = [*training.recent[1 - _RECENT :], metric.step_seconds]
    training.curve.add(metric)


def _with(losses: list[HoldoutLoss], new: HoldoutLoss) -> list[HoldoutLoss]:
    return sorted([*(each for each in losses if each.step != new.step), new], key=lambda each: each.step)


UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, ValidationError)
"""What a line raises that was cut off by a full disk, or written by another version."""
