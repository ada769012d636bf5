"""Loss and gradients of a batch as one CUDA graph for each shape: launched at once, not kernel by kernel.

A large model in small batches has its GPU wait for the processor, which launches tens of thousands of kernels a step. A
graph remembers addresses: what it reads and writes stays where it was, gradients too (`zero_grad(set_to_none=False)`).
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.training.planning import Setting

Work = Callable[[Mapping[str, Tensor]], Tensor]

_LAUNCHED = 2  # So many batches of a shape run without a graph first: compiling, choosing kernels, making workspaces.
_SHAPES = 4  # Of more, each would hardly come again before its graph had to be let go.


def possible(
    device: torch.device, setting: Setting, *, processes: int, shapes: int, is_mixed: bool, dropout: float
) -> bool:
    """Whether steps can be graphs. Not where processes exchange gradients inside the step, where some batches leave a
    part of the LoRA out (gradients that stay in place would move it), nor where dropout is computed again: its random
    numbers come from streams that a graph would have to be told of.
    """
    is_drawn_again = dropout > 0 and setting.checkpointing != "none"
    same = processes == 1 and shapes <= _SHAPES and not is_mixed
    return device.type == "cuda" and setting.compile and same and not is_drawn_again


class Recorded(Protocol):
    """Work that was recorded on tensors of its own: `run` does it again on whatever those hold by then."""

    tensors: Mapping[str, Tensor]
    losses_B: Tensor

    def run(self) -> None: ...


Record = Callable[[Mapping[str, Tensor], Work, Any], Recorded]
"""Records the work with tensors that it may keep and runs nothing. The last argument is one recorded before, or None,
whose memory it may use: nothing has to stay there but its losses.
"""


class Graphs:
    """Runs `work(tensors)`, which adds to the gradients of `parameters` and returns losses.

    What is random in the work is drawn anew each time, from the seed that the generator has by then.
    """

    def __init__(self, parameters: Sequence[nn.Parameter], log: Callable[[str], None], record: Record) -> None:
        self.parameters, self.log, self.record = parameters, log, record
        for each in parameters:
            each.grad = torch.zeros_like(each)
        self._known: dict[Hashable, tuple[Recorded, list[int | None]]] = {}
        self._launched: Counter[Hashable] = Counter()
        self._is_off = False

    def run(self, kind: Hashable, tensors: Mapping[str, Tensor], work: Work) -> Tensor:
        """What `work` returns. All of one `kind` do the same with tensors of the same shapes."""
        asked = (kind, tuple((name, each.shape, each.dtype) for name, each in sorted(tensors.items())))
        if self._is_off or self._launched[asked] < _LAUNCHED:
            self.release()
            self._launched[asked] += 1
            return work(tensors)
        recorded, addresses = self._known.get(asked, (None, []))
        if recorded is not None and addresses != self._addresses():
            recorded = None
            self.release()
        if recorded is None:
            recorded = self._tried(asked, tensors, work)
        if recorded is None:
            return work(tensors)
        for name, each in tensors.items():
            recorded.tensors[name].copy_(each)
        recorded.run()
        return recorded.losses_B.clone()

    def release(self) -> None:
        """Let the memory of all graphs go, for what else is to run on the device; they are recorded anew."""
        if self._known:
            self._known.clear()
            _empty()

    def _tried(self, asked: Hashable, tensors: Mapping[str, Tensor], work: Work) -> Recorded | None:
        """The graph, or None where there can be none: nothing ran yet then, so that nothing is lost."""
        try:
            own = {name: each.clone() for name, each in tensors.items()}
            _empty()  # What launched steps used: a graph cannot take it from them.
            beside = next((each for each, _ in self._known.values()), None)
            self._known[asked] = self.record(own, work, beside), self._addresses()
        except RuntimeError as error:  # Out of memory is one of them.
            self._is_off = True
            self.log(f"steps run without CUDA graphs, slower: {str(error).splitlines()[0]}")
        if self._is_off:  # Only here, when the error no longer holds what the attempt had made.
            self._known.clear()
            _empty()
            return None
        return self._known[asked][0]

    def _addresses(self) -> list[int | None]:
        tensors = (where for each in self.parameters for where in (each.data, each.grad))
        return [None if each is None else each.data_ptr() for each in tensors]


@dataclass
class CudaGraph:
    """Loss and gradients as one launch."""

    graph: torch.cuda.CUDAGraph
    tensors: Mapping[str, Tensor]
    losses_B: Tensor

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], work: Work, beside: CudaGraph | None) -> CudaGraph:
        graph = torch.cuda.CUDAGraph()
        pool = beside.graph.pool() if beside else None
        # Another thread pins the next batches' memory meanwhile, which the default would take for a part of this.
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            losses_B = work(tensors)
        return cls(graph, tensors, losses_B)

    def run(self) -> None:
        self.graph.replay()


def _empty() -> None:
    """Give back to the device all that nothing holds any more."""
    gc.collect()
    torch.cuda.empty_cache()
