"""The learning rate as a function of the step, so that nothing of it has to be saved."""

import math

from torch import Tensor
from torch.optim import Optimizer

from pipeline.training.training_config import Schedule

LEAST = 0.1
"""What is left at the end of a falling schedule: a tenth, as with the official LTX-2 trainer's linear one."""


def factor(schedule: Schedule, step: int, *, warmup: int, steps: int) -> float:
    """By what the learning rate is multiplied at `step`, counted from 1."""
    if step <= warmup:
        return step / (warmup + 1)
    progress = min((step - 1 - warmup) / max(steps - 1 - warmup, 1), 1.0)
    match schedule:
        case "constant":
            return 1.0
        case "linear":
            return 1 - (1 - LEAST) * progress
        case "cosine":
            return LEAST + (1 - LEAST) * (1 + math.cos(math.pi * progress)) / 2


def set_rate(optimizer: Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # Compiled optimizers read it from a tensor.
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
