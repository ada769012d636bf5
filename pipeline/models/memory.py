"""A GPU's memory: giving back what is done with, and making do with what there is."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def free() -> None:
    """Give back what nothing holds any more: cycles on this side, and the GPU's cache, which its next user may need."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def in_halves(work: "Callable[[Tensor], Tensor]", batch: "Tensor") -> "Tensor":
    """`work` of a batch, of its halves where the whole does not fit the GPU, and so on.

    Raises ValueError where not even one alone fits.
    """
    import torch

    try:
        return work(batch)
    except torch.OutOfMemoryError as error:
        if len(batch) == 1:
            shape = "x".join(str(side) for side in batch.shape[1:])
            raise ValueError(
                f"one sample of {shape} does not fit the GPU's memory: close what else is on it, or make smaller or "
                "shorter clips (`width`, `height`, `max_frames` of the dataset)"
            ) from error
    free()  # Out here nothing holds what the failed attempt had made.
    return torch.cat([in_halves(work, half) for half in batch.chunk(2)])
