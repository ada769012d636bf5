"""What a model's own file says of its training: batches with all that is random settled, and their losses."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Generator, Tensor, nn


@dataclass(frozen=True)
class Drawn:
    """A batch with all that is random about it settled: `tensors` for the model, the samples' sigmas beside."""

    samples: tuple[str, ...]
    sigmas: tuple[float, ...]
    tensors: dict[str, Tensor]
    shape: Any
    share: float = 1.0


class Task(Protocol):
    """`names`, `shapes` and `tokens` have an entry for each sample of the training split, `held_out` for each other."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def shapes(self) -> Sequence[Any]: ...
    @property
    def tokens(self) -> Sequence[int]: ...
    @property
    def held_out(self) -> Sequence[str]: ...

    def draw(self, indexes: Sequence[int], generators: Sequence[Generator]) -> Drawn:
        """A batch of the training split; everything random comes from its sample's own generator."""

    def question(self, index: int, sigma: float, generator: Generator) -> Drawn:
        """One held-out sample at `sigma`, as it is: its caption said, no frame given."""

    def losses(self, model: nn.Module, batch: Drawn) -> Tensor:
        """(B,) fp32."""
