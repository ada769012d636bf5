"""The LoRA's matrices in the precision of the base, made once a batch and not by every layer for itself.

A layer that turns fp32 matrices into bf16 and their gradients back does so in kernels of microseconds, two for each
matrix forward and three on the way back: of the 30,000 that LTX-2 launches a step they were 11,000. Here all matrices
are turned in a few dozen launches, and so are their gradients. What is rounded is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.training.lora import Half

_TOGETHER = 64
"""Gradients that are turned into fp32 at once: the memory for that is a small part of all that the LoRA takes."""


class Copies:
    """Of the `Half`s of `transformer`, in `dtype`; of none where they are in it themselves."""

    def __init__(self, transformer: nn.Module, dtype: torch.dtype) -> None:
        halves = [each for each in transformer.modules() if isinstance(each, Half) and each.weight.requires_grad]
        self._halves = [half for half in halves if half.weight.dtype != dtype]
        for half in self._halves:
            half.copy = torch.empty_like(half.weight, dtype=dtype).requires_grad_()
        self._chunks = [self._halves[at : at + _TOGETHER] for at in range(0, len(self._halves), _TOGETHER)]
        largest = max((sum(half.weight.numel() for half in chunk) for chunk in self._chunks), default=0)
        self._wide = torch.empty(largest, device=halves[0].weight.device if halves else None)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """While a batch's loss and gradients are made. These are added to those of the fp32 matrices, which are there
        already, at its end; where it ends by an error, nothing is.
        """
        if self._halves:
            with torch.no_grad():
                torch._foreach_copy_([_copy(half) for half in self._halves], [half.weight for half in self._halves])
        try:
            yield
            for chunk in self._chunks:
                self._add([half for half in chunk if _copy(half).grad is not None])
        finally:
            for half in self._halves:
                _copy(half).grad = None

    @torch.no_grad()
    def _add(self, halves: Sequence[Half]) -> None:
        if not halves:
            return
        matrices: list[Tensor] = [half.weight for half in halves]
        pieces = torch.split(self._wide[: sum(map(torch.numel, matrices))], [each.numel() for each in matrices])
        wide = [piece.view_as(each) for piece, each in zip(pieces, matrices, strict=True)]
        torch._foreach_copy_(wide, [_gradient(_copy(half)) for half in halves])
        torch._foreach_add_([_gradient(each) for each in matrices], wide)


def _copy(half: Half) -> Tensor:
    assert half.copy is not None
    return half.copy


def _gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad
