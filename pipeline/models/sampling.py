"""What samples of every model need while it is being trained: to leave the training as it was found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor


@contextmanager
def aside(transformer: Any) -> Iterator[None]:
    """The inside of a `with` draws from no stream of others, compiles nothing and keeps nothing for a way back."""
    import torch

    was_training = transformer.training
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), torch.compiler.set_stance("force_eager"), torch.no_grad():
        transformer.eval()
        try:
            yield
        finally:
            transformer.train(was_training)


def as_pictures(pixels_BCFHW: Tensor) -> NDArray[np.uint8]:
    """pictures_FHWC, RGB, of what a VAE decoded, in [-1, 1], with one video in it."""
    import torch

    pixels_FHWC = pixels_BCFHW[0].permute(1, 2, 3, 0).float()
    pictures_FHWC: NDArray[np.uint8] = ((pixels_FHWC + 1) * 127.5).round().clamp(0, 255).to("cpu", torch.uint8).numpy()
    return pictures_FHWC
