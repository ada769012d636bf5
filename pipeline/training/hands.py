"""What only the first process of a training has: where things are kept, who is told, and what came of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.engine.records import Record
from pipeline.engine.work import Workspace
from pipeline.schemas.training import Checkpoint, HoldoutLoss, Planned, Sampled, Usage
from pipeline.training.checkpoints import Shelf
from pipeline.training.trackers import Tracker


@dataclass
class Hands:
    """`save(lora, step, path)` writes the weights as others load them; `sample(transformer, prompt, step)` makes the
    video of prompt number `prompt`.
    """

    work: Workspace
    shelf: Shelf
    save: Callable[[dict[str, Tensor], int, Path], None]
    sample: Callable[[Any, int, int], Sampled] | None = None
    planned: Planned | None = None
    trackers: list[Tracker] = field(default_factory=list)

    def tell(self, record: Record) -> None:
        """To the run's events and to all trackers. One that fails is left out from then on, and training goes on."""
        self.work.tell(record)
        for tracker in list(self.trackers):
            try:
                tracker.see(record)
            except Exception as error:
                self.trackers.remove(tracker)
                self.work.log(f"{tracker.name} gets no more figures, for it failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Every tracker's run; what they fail with changes nothing of the training."""
        for tracker in self.trackers:
            try:
                tracker.close()
            except Exception as error:
                self.work.log(f"{tracker.name} did not end well: {type(error).__name__}: {error}")


@dataclass
class Trained:
    best: Checkpoint
    checkpoints: tuple[Checkpoint, ...]
    holdout: tuple[HoldoutLoss, ...]
    samples: tuple[Sampled, ...]
    usage: tuple[Usage, ...]
    log: list[str]
    planned: Planned | None = None
