"""Is it going well? Losses as they come in, a step late, so that the GPU is never waited for."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import torch
from torch import Tensor

from pipeline.training.flow_matching import BANDS, band


@dataclass(frozen=True, slots=True)
class Seen:
    """One sample in one step."""

    sample: str
    sigma: float
    loss: float


class Watch:
    """Raises ValueError where the loss is no number or leaps, with the samples that were trained on.

    How large a loss is depends on sigma above all, so each is measured by the median of its band. A step leaps where
    its mean is more than `spike` times what these medians let expect; a band says nothing before it was seen `LEAST`
    times.
    """

    LEAST = 20
    REMEMBERED = 200

    def __init__(self, spike: float) -> None:
        self.spike = spike
        self._bands = [deque[float](maxlen=self.REMEMBERED) for _ in range(BANDS)]

    def see(self, step: int, seen: Sequence[Seen], grad_norm: float) -> None:
        broken = [each for each in seen if not math.isfinite(each.loss)]
        if broken or not math.isfinite(grad_norm):
            what = "loss" if broken else "gradient"
            raise ValueError(
                f"step {step}: the {what} is not a number any more; it was at {_named(broken or seen)}. Look at what "
                "is peculiar about them and leave them out, or lower learning_rate; the checkpoints before it are kept"
            )
        known = [each for each in seen if len(self._bands[band(each.sigma)]) >= self.LEAST]
        usual = [median(self._bands[band(each.sigma)]) for each in known]
        if self.spike and known and (found := fmean(each.loss for each in known)) > self.spike * fmean(usual):
            worst = sorted(known, key=lambda each: -each.loss)
            raise ValueError(
                f"step {step}: the loss is {found:.3g}, where {fmean(usual):.3g} is usual; it was at {_named(worst)}. "
                "Look at what is peculiar about them, lower learning_rate, or set spike higher (0: never stop); the "
                "checkpoints before it are kept"
            )
        for each in seen:
            self._bands[band(each.sigma)].append(each.loss)


def _named(seen: Sequence[Seen]) -> str:
    shown = [f"{each.sample} (sigma {each.sigma:.2f})" for each in seen[:8]]
    return ", ".join(shown) + (f" and {len(seen) - 8} more" if len(seen) > 8 else "")


def by_band(seen: Sequence[Seen]) -> dict[int, float]:
    """Mean loss by band of sigma, of those that occurred."""
    bands: dict[int, list[float]] = {}
    for each in seen:
        bands.setdefault(band(each.sigma), []).append(each.loss)
    return {number: fmean(losses) for number, losses in sorted(bands.items())}


class Reading:
    """Numbers on their way from the GPU. `values` waits for them; asked for a step later, they are there."""

    def __init__(self, numbers: Tensor) -> None:
        self._numbers = numbers.detach()
        self._arrived = None
        if numbers.is_cuda:
            self._numbers = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
            self._numbers.copy_(numbers.detach(), non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record()

    def values(self) -> list[float]:
        if self._arrived is not None:
            self._arrived.synchronize()
        found: list[float] = self._numbers.tolist()
        return found
