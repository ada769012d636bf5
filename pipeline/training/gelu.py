"""The feed-forward's GELU without its hyperbolic tangent, which the compiler's code would take long over.

gelu(x) = x / 2 (1 + tanh(u)) is x sigmoid(2 u), with u = sqrt(2 / pi) (x + 0.044715 x^3): the same function, of one
exponential and one division, forward and backward.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn

_TWICE = 2 * math.sqrt(2 / math.pi)


def by_sigmoid(transformer: nn.Module) -> int:
    """Let the GELUs of diffusers' feed-forwards that take the tangent do so where they are compiled; how many."""
    from diffusers.models.activations import GELU

    found = [each for each in transformer.modules() if type(each) is GELU and each.approximate == "tanh"]
    for each in found:
        each.__class__ = _ours()  # type: ignore[assignment]
    return len(found)


def gelu(x: Tensor) -> Tensor:
    """In fp32, in the precision of `x` at its end."""
    wide = x.float()
    return (wide * torch.sigmoid(wide * (_TWICE + _TWICE * 0.044715 * wide * wide))).to(x.dtype)


@functools.cache
def _ours() -> type[nn.Module]:
    from diffusers.models.activations import GELU

    class BySigmoid(GELU):
        def gelu(self, gate: Tensor) -> Tensor:
            # Launched one by one, the steps in fp32 would move several times what torch's own does.
            return gelu(gate) if torch.compiler.is_compiling() else super().gelu(gate)

    return BySigmoid
