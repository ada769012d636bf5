"""Loss and gradients of a batch as one CUDA graph for each shape: launched at once, not kernel by kernel.

A large model in small batches has its GPU wait for the processor, which launches tens of thousands of kernels a step. A
graph remembers addresses: what it reads and writes stays where it was, gradients too (`zero_grad(set_to_none=False)`).
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

Work = Callable[[Mapping[str, Tensor]], Tensor]

_LAUNCHED = 2  # So many batches of a shape run without a graph first: compiling, choosing kernels, making workspaces.
_SHAPES = 4  # Of more, each would hardly come again before its graph had to be let go.


def possible(device: torch.device, *, compiled: bool, processes: int, shapes: int, is_mixed: bool) -> bool:
    """Whether steps can be graphs. Not where processes exchange gradients inside the step, and not where some batches
    leave a part of the LoRA out: gradients that stay in place would move it.
    """
    return device.type == "cuda" and compiled and processes == 1 and shapes <= _SHAPES and not is_mixed


class Graphs:
    """Runs `work(tensors)`, which adds to the gradients of `parameters` and returns losses."""

    def __init__(self, parameters: Sequence[nn.Parameter], log: Callable[[str], None]) -> None:
        self.parameters, self.log = parameters, log
        for each in parameters:
            each.grad = torch.zeros_like(each)
        self._known: dict[Hashable, _Graph] = {}
        self._launched: Counter[Hashable] = Counter()
        self._is_off = False
        self._pool: Any = None

    def run(self, kind: Hashable, tensors: Mapping[str, Tensor], work: Work) -> Tensor:
        """What `work` returns. All of one `kind` do the same with tensors of the same shapes."""
        asked = (kind, tuple((name, each.shape, each.dtype) for name, each in sorted(tensors.items())))
        if self._is_off or self._launched[asked] < _LAUNCHED:
            self.release()
            self._launched[asked] += 1
            return work(tensors)
        graph = self._known.get(asked)
        if graph is not None and graph.addresses != self._addresses():
            graph = None
            self.release()
        if graph is None:
            graph = self._tried(asked, tensors, work)
        if graph is None:
            return work(tensors)
        for name, each in tensors.items():
            graph.tensors[name].copy_(each)
        graph.graph.replay()
        return graph.losses_B.clone()

    def release(self) -> None:
        """Let the memory of all graphs go, for what else is to run on the device; they are captured anew."""
        if self._known:
            self._known.clear()
            self._pool = None
            _empty()

    def _tried(self, asked: Hashable, tensors: Mapping[str, Tensor], work: Work) -> _Graph | None:
        """The graph, or None where there can be none: nothing ran yet then, so that nothing is lost."""
        try:
            self._known[asked] = self._captured(tensors, work)
        except RuntimeError as error:  # Out of memory is one of them.
            self._is_off = True
            self.log(f"steps run without CUDA graphs, slower: {str(error).splitlines()[0]}")
        if self._is_off:  # Only here, when the error no longer holds what the attempt had made.
            self._known.clear()
            _empty()
        return self._known.get(asked)

    def _captured(self, tensors: Mapping[str, Tensor], work: Work) -> _Graph:
        own = {name: each.clone() for name, each in tensors.items()}
        _empty()  # What launched steps used: a graph cannot take it from them.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        graph = torch.cuda.CUDAGraph()
        # Another thread pins the next batches' memory meanwhile, which the default would take for a part of this.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            losses_B = work(own)
        return _Graph(graph, own, losses_B, self._addresses())

    def _addresses(self) -> list[int | None]:
        tensors = (where for each in self.parameters for where in (each.data, each.grad))
        return [None if each is None else each.data_ptr() for each in tensors]


class _Graph(NamedTuple):
    graph: torch.cuda.CUDAGraph
    tensors: Mapping[str, Tensor]
    losses_B: Tensor
    addresses: list[int | None]


def _empty() -> None:
    """Give back to the device all that nothing holds any more."""
    gc.collect()
    torch.cuda.empty_cache()
