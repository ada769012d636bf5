"""Points that a training can go on from, kept in the store under all that decides them, so that none is overwritten."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.engine import fingerprint
from pipeline.engine.memo import Memo
from pipeline.engine.work import Workspace
from pipeline.schemas.training import Checkpoint, HoldoutLoss, Sampled
from pipeline.training.lora import Average


@dataclass
class State:
    """What changes from step to step. Random numbers and the place in the data are functions of the step, so that they
    need no saving (randomness.py, batches.py), and neither does the learning rate (schedules.py).
    """

    parameters: Mapping[str, nn.Parameter]
    optimizer: Optimizer
    average: Average | None = None
    log: list[str] = field(default_factory=list)

    def save(self, path: Path) -> None:
        torch.save(
            {
                "parameters": {name: each.detach().cpu() for name, each in self.parameters.items()},
                "optimizer": self.optimizer.state_dict(),
                "average": [each.cpu() for each in self.average.average] if self.average else None,
                "log": self.log,
            },
            path,
        )

    @torch.no_grad()
    def load(self, path: Path) -> None:
        saved = torch.load(path, weights_only=True, map_location="cpu")
        for name, parameter in self.parameters.items():
            parameter.copy_(saved["parameters"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average:
            averages: Sequence[Tensor] = saved["average"]
            for average, value in zip(self.average.average, averages, strict=True):
                average.copy_(value)
        self.log[:] = saved["log"]


class Shelf:
    """What one training has kept, under `decides`: the data, the weights and the settings that its steps depend on.

    `judging` is what a hold-out loss depends on beside the checkpoint; `prompts` are the samples that are wanted, each
    as all that its video depends on.
    """

    def __init__(self, work: Workspace, decides: Any, judging: Any, prompts: Sequence[Any]) -> None:
        self.work = work
        self.training = fingerprint.of_value("training", decides)
        self._judging = fingerprint.of_value("judging", judging)
        self.prompts = [fingerprint.of_value("prompt", each) for each in prompts]
        self._checkpoints: Memo[Checkpoint] = work.memo(Checkpoint)
        self._holdout: Memo[HoldoutLoss] = work.memo(HoldoutLoss)
        self._samples: Memo[Sampled] = work.memo(Sampled)

    def newest(self, upto: int) -> Checkpoint | None:
        return next((found for step in range(upto, 0, -1) if (found := self.checkpoint(step))), None)

    def checkpoints(self, upto: int) -> Iterator[Checkpoint]:
        yield from (found for step in range(1, upto + 1) if (found := self.checkpoint(step)))

    def checkpoint(self, step: int) -> Checkpoint | None:
        return self._checkpoints.find([self.training, step])

    def keep(self, checkpoint: Checkpoint) -> Checkpoint:
        return self._checkpoints.add([self.training, checkpoint.step], checkpoint)

    def judged(self, step: int) -> HoldoutLoss | None:
        return self._holdout.find([self.training, self._judging, step])

    def judge(self, loss: HoldoutLoss) -> HoldoutLoss:
        return self._holdout.add([self.training, self._judging, loss.step], loss)

    def sampled(self, step: int, prompt: int) -> Sampled | None:
        return self._samples.find([self.training, self.prompts[prompt], step])

    def sample(self, sampled: Sampled) -> Sampled:
        return self._samples.add([self.training, self.prompts[sampled.prompt], sampled.step], sampled)

    def samples(self, upto: int) -> Iterator[Sampled]:
        for step in range(upto + 1):
            for prompt in range(len(self.prompts)):
                if found := self.sampled(step, prompt):
                    yield found.model_copy(update={"prompt": prompt})
