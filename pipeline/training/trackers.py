"""Where the figures of a training go beside the panel: TensorBoard's files, and W&B or trackio where asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pipeline.engine.records import Record
from pipeline.schemas.training import HoldoutLoss, Metric

Name = Literal["wandb", "trackio"]

EVENTS = "tensorboard/events.out.tfevents.0.dailies"
"""TensorBoard finds files by the middle of their names."""

PROJECT = "dailies"


def figures(told: Record) -> dict[str, float]:
    """A metric or a hold-out loss as named numbers; nothing of any other record."""
    if isinstance(told, HoldoutLoss):
        return {"holdout/loss": told.loss, **_bands("holdout", told.bands)}
    if not isinstance(told, Metric):
        return {}
    found = {
        "train/loss": told.loss,
        "train/learning_rate": told.lr,
        "train/gradient_norm": told.grad_norm,
        "train/epoch": told.epoch,
        "speed/step_seconds": told.step_seconds,
        **_bands("train", told.bands),
    }
    if told.step_seconds:
        found["speed/tokens_per_second"] = told.tokens / told.step_seconds
    if told.gpu_memory_bytes is not None:
        found["gpu/memory_gib"] = told.gpu_memory_bytes / 2**30
    if told.gpu_use_percent is not None:
        found["gpu/use_percent"] = told.gpu_use_percent
    return found


def tensorboard(path: Path, log: Iterable[Metric], holdout: Iterable[HoldoutLoss]) -> None:
    """Write an event file of everything. Of time only what steps took is known: its clock begins at 0."""
    from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
    from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
    from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

    judged = {each.step: each for each in holdout}
    seconds = 0.0
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=0.0, file_version="brain.Event:2").SerializeToString())

        def put(step: int, told: Record) -> None:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in figures(told).items()]
            event = Event(wall_time=seconds, step=step, summary=Summary(value=values))
            writer.write(event.SerializeToString(deterministic=True))

        if base := judged.pop(0, None):
            put(0, base)
        for metric in log:
            seconds += metric.step_seconds
            put(metric.step, metric)
            if found := judged.pop(metric.step, None):
                put(found.step, found)


class Tracker:
    """One of the services that take figures as they come. `module` is its package, which all have the same functions.

    `run` names the run for ever: a training that goes on writes where it left off.
    """

    def __init__(self, module: Any, name: Name, run: str, config: Mapping[str, Any]) -> None:
        again = {"id": run} if name == "wandb" else {}
        self.name, self._module = name, module
        module.init(project=PROJECT, name=run, config=dict(config), resume="allow", **again)

    def see(self, told: Record) -> None:
        """Send the figures of a metric or a hold-out loss."""
        if (found := figures(told)) and isinstance(told, Metric | HoldoutLoss):
            self._module.log(found, step=told.step)

    def close(self) -> None:
        self._module.finish()


def check(names: Iterable[Name]) -> None:
    """Raise ValueError where a service is asked for whose package is not installed."""
    for name in names:
        if find_spec(name) is None:
            raise ValueError(
                f'track = ["{name}"] needs the package {name}, which is not here: pip install {name} and log in '
                "as it says; or leave it out: TensorBoard's files are always written"
            )


def trackers(names: Iterable[Name], run: str, config: Mapping[str, Any]) -> list[Tracker]:
    """All that are asked for, begun; raises ValueError like `check`."""
    names = list(names)
    check(names)
    return [Tracker(import_module(name), name, run, config) for name in names]


def _bands(what: str, bands: Mapping[int, float]) -> dict[str, float]:
    return {f"{what}_loss_by_sigma/{band / 10:.1f}-{(band + 1) / 10:.1f}": loss for band, loss in sorted(bands.items())}
