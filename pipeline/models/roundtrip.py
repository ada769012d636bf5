"""How much of a clip its latents keep: decoded again and compared, in decibels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from pipeline.models.memory import in_halves
from pipeline.schemas.training import RoundTrip

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


def chosen(total: int, count: int) -> list[int]:
    """The numbers of `count` of `total` items, evenly spread; all of them where there are no more."""
    count = min(count, total)
    return [number * total // count for number in range(count)]


def compared(
    names: Iterable[str],
    clips: Iterable[NDArray[np.uint8]],
    latents: Iterable[Tensor],
    decode: Callable[[Tensor], Tensor],
    log: Callable[[str], None],
) -> Iterator[RoundTrip]:
    """Of each clip, (F, H, W, 3) RGB, and its latents, which `decode` takes in batches of one."""
    import torch

    for name, before, stored in zip(names, clips, latents, strict=True):
        after = in_halves(decode, stored[None])[0]
        found = RoundTrip(sample=name, psnr_db=round(psnr_db(torch.from_numpy(before), after), 2))
        log(f"{name}: its latents keep {found.psnr_db} dB")
        yield found


def psnr_db(one_FHWC: Tensor, other_FHWC: Tensor) -> float:
    """Peak signal to noise ratio of two uint8 videos of one shape; 100 where they are the same."""
    error = (one_FHWC.float() - other_FHWC.float()).square().mean().item()
    return 10 * math.log10(255**2 / error) if error > 255**2 * 1e-10 else 100.0
