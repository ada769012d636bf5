"""peft's LoRA layers with less to multiply and to launch: the scale between A and B, shared inputs read once.

Shapes by name: T tokens, K inputs, R rank, N outputs.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.training.lora import Half


def fuse(transformer: nn.Module) -> int:
    """Let peft's LoRA layers scale the small matrix between A and B, not the output; how many could be changed so."""
    from peft.tuners.lora import Linear

    found = [each for each in transformer.modules() if type(each) is Linear]
    for layer in found:
        layer.__class__ = _fused()  # type: ignore[assignment]
    return len(found)


def together(layers: Sequence[Any], x_TK: Tensor) -> list[Tensor]:
    """What each of `layers` makes of the same inputs. The A of those with a LoRA are one product, forward and backward:
    each alone is so thin that reading its inputs takes all its time.
    """
    names = [layer.working() if getattr(layer, "is_fused", False) else None for layer in layers]
    if None in names:
        return [layer(x_TK) for layer in layers]
    outputs = [layer.base_layer(x_TK) for layer in layers]
    downs = [_matrix(layer.lora_A[name], outputs[0].dtype) for layer, name in zip(layers, names, strict=True)]
    inners = torch.split(functional.linear(x_TK, torch.cat(downs)), [len(down) for down in downs], dim=-1)
    pairs = zip(layers, names, outputs, inners, strict=True)
    return [layer.added(name, output, inner) for layer, name, output, inner in pairs]


def _matrix(half: nn.Module, dtype: torch.dtype) -> Tensor:
    return half.matrix(dtype) if isinstance(half, Half) else half.get_parameter("weight").to(dtype)


@functools.cache
def _fused() -> type[nn.Module]:
    from peft.tuners.lora import Linear

    class Fused(Linear):
        """peft's layer, with its scale where there is least to multiply. A product that adds by itself (addmm) is no
        faster: it copies the sum first, and the compiler adds where the output is read next anyway.
        """

        is_fused = True

        def working(self) -> str | None:
            """The adapter that works alone and without dropout. None: whatever there is, is peft's to do."""
            names = self.active_adapters
            if len(names) != 1 or self.disable_adapters or self.merged or self.lora_variant:
                return None
            return names[0] if isinstance(self.lora_dropout[names[0]], nn.Identity) else None

        def added(self, name: str, base_TN: Tensor, inner_TR: Tensor) -> Tensor:
            if self.scaling[name] != 1:
                inner_TR = inner_TR * self.scaling[name]
            return base_TN + functional.linear(inner_TR, _matrix(self.lora_B[name], base_TN.dtype))

        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            name = None if kwargs else self.working()
            if name is None:
                return super().forward(x, *args, **kwargs)
            base_TN = self.base_layer(x)
            return self.added(name, base_TN, functional.linear(x, _matrix(self.lora_A[name], base_TN.dtype)))

    return Fused
