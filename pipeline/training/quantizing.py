"""Frozen linear layers in 8 bits: stored so, or multiplied so, forward and backward, where the card can.

Weights have one scale for each output channel. Where fp8 is multiplied, activations and gradients get one for each
token, taken anew each time, so that a single large token costs the others nothing. Only layers inside the repeated
blocks are brought to 8 bits, 97 % and more of the weights; what brings data in and out of the model, the timestep's
embedding and its modulation stay as they are (as in LTX-2's own recipe), as do gates of single heads.

Shapes by name: T tokens, N outputs, K inputs of a layer.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

Storage = Literal["fp8", "fp8-storage", "int8"]

FP8 = torch.float8_e4m3fn
FP8_MAX = (
    448.0  # The largest finite e4m3fn; also for gradients, since with a scale a token range is not what they lack.
)
INT8_MAX = 127.0
_TINY = 1e-12  # No scale is smaller, so that a token of zeros divides by something.
_ALIGNED = 16  # cuBLASLt multiplies fp8 only where both sides of a weight are multiples of it.


def quantize(blocks: nn.ModuleList, storage: Storage, *, is_turned: bool = False) -> int:
    """Replace the linears of `blocks` in place, one at a time so that memory never holds both; how many there were.

    With `is_turned` what is multiplied in fp8 lies there a second time, in the order in which the way back reads it.
    """
    found = [
        (parent, name, linear)
        for parent in blocks.modules()
        for name, linear in parent.named_children()
        if type(linear) is nn.Linear and quantizable(name, linear.in_features, linear.out_features)
    ]
    for parent, name, linear in found:
        setattr(parent, name, Quantized(linear, storage, is_turned=is_turned))
    return len(found)


def quantizable(name: str, inputs: int, outputs: int) -> bool:
    return inputs % _ALIGNED == 0 and outputs % _ALIGNED == 0 and not name.endswith("gate_logits")


def multiplies_fp8(device: torch.device | str) -> bool:
    """Whether the device multiplies fp8 by rows with a scale each, tried on a small product."""
    ones = torch.ones(32, 32, device=device).to(FP8)
    scale = torch.ones(32, 1, device=device)
    try:
        product = torch._scaled_mm(ones, ones.t(), scale_a=scale, scale_b=scale.t(), out_dtype=torch.bfloat16)
    except (RuntimeError, NotImplementedError, ValueError):
        return False
    return bool((product == 32).all())


class Quantized(nn.Linear):
    """A frozen linear layer of `packed` bytes [N, K] and `scale` [N, 1] fp32. Its `weight` is what they stand for.

    `turned` are the same bytes as [K, N], or None: then they are turned in each backward pass.
    """

    packed: Tensor
    scale: Tensor
    turned: Tensor | None

    def __init__(self, linear: nn.Linear, storage: Storage, *, is_turned: bool = False) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.storage, self.dtype = storage, linear.weight.dtype
        weight = linear.weight.detach()
        largest = weight.abs().amax(1, keepdim=True).float().clamp(min=_TINY)
        if storage == "int8":
            scale = largest / INT8_MAX
            packed = (weight.float() / scale).round().to(torch.int8)
        else:
            scale = largest / FP8_MAX
            packed = (weight.float() / scale).to(FP8)
        # Bytes of no floating type, so that a later `.to(dtype)` of the whole model leaves them alone.
        self.register_buffer("packed", packed.view(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("turned", self.packed.t().contiguous() if is_turned and storage == "fp8" else None)
        self.bias = linear.bias
        if self.bias is not None:
            self.bias.requires_grad_(False)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        return _dense(self.packed, self.scale, self.storage, self.dtype)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - nn.Linear's name
        if self.storage == "fp8":
            with torch.no_grad():
                values_TK, scale_T1 = _by_rows(input.reshape(-1, input.shape[-1]))
            return _linear_fp8(input, values_TK, scale_T1, self.packed, self.scale, self.bias, self.turned)  # type: ignore[no-any-return]
        if torch.compiler.is_compiling():  # The compiler keeps the bytes and unpacks again by itself.
            return functional.linear(input, _dense(self.packed, self.scale, self.storage, input.dtype), self.bias)
        return _MultipliedDense.apply(input, self.packed, self.scale, self.bias, self.storage)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, storage={self.storage}"


def _dense(packed: Tensor, scale: Tensor, storage: Storage, dtype: torch.dtype) -> Tensor:
    values = packed.view(torch.int8 if storage == "int8" else FP8)
    return (values.to(torch.float32) * scale).to(dtype)


class _MultipliedDense(torch.autograd.Function):
    """x @ W.T + b with W unpacked for the moment of each product, never kept for the way back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, packed: Tensor, scale: Tensor, bias: Tensor | None, storage: Storage) -> Tensor:
        ctx.save_for_backward(packed, scale)
        ctx.storage = storage
        return functional.linear(x, _dense(packed, scale, storage, x.dtype), bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        if not ctx.needs_input_grad[0]:
            return None, None, None, None, None
        packed, scale = ctx.saved_tensors
        (gradient,) = gradients
        return gradient @ _dense(packed, scale, ctx.storage, gradient.dtype), None, None, None, None


@torch.library.custom_op("dailies::linear_fp8", mutates_args=())
def _linear_fp8(
    x: Tensor,
    values_TK: Tensor,
    scale_T1: Tensor,
    packed: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    turned: Tensor | None,
) -> Tensor:
    """x @ W.T + b from x in fp8 rows. `x` itself is what the gradient goes to.

    It is an operator and not an autograd function, since only operators are seen where it is settled what the backward
    pass computes again: an autograd function's products would all be kept. The quantising stays outside, where the
    compiler joins it with what made x.
    """
    out_TN = torch._scaled_mm(
        values_TK,
        packed.view(FP8).t(),
        scale_a=scale_T1,
        scale_b=scale.t(),
        bias=None if bias is None else bias.to(torch.bfloat16),
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )
    return out_TN.to(x.dtype, copy=x.dtype != torch.bfloat16).reshape(*x.shape[:-1], -1)


@_linear_fp8.register_fake
def _(
    x: Tensor,
    values_TK: Tensor,
    scale_T1: Tensor,
    packed: Tensor,
    scale: Tensor,
    bias: Tensor | None,
    turned: Tensor | None,
) -> Tensor:
    return x.new_empty(*x.shape[:-1], packed.shape[0])


def _setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    packed, turned = inputs[3], inputs[6]
    ctx.is_turned = turned is not None
    ctx.save_for_backward(turned if ctx.is_turned else packed, inputs[4])


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    if not ctx.needs_input_grad[0]:
        return None, None, None, None, None, None, None
    weight, scale = ctx.saved_tensors
    # The sum runs over N here, so that the weight's scales cannot be taken out of it: they go into the gradient.
    values_TN, scale_T1 = _by_rows(gradient.reshape(-1, gradient.shape[-1]).float() * scale.t())
    # The units read the weight along N: where it does not lie there so, it is turned for the moment.
    turned_KN = weight if ctx.is_turned else weight.t().contiguous()
    ones_1K = torch.ones(1, len(turned_KN), device=weight.device, dtype=torch.float32)
    out_TK = torch._scaled_mm(
        values_TN,
        turned_KN.t().view(FP8),
        scale_a=scale_T1,
        scale_b=ones_1K,
        out_dtype=torch.bfloat16,
        use_fast_accum=True,
    )
    return out_TK.to(gradient.dtype).reshape(*gradient.shape[:-1], -1), None, None, None, None, None, None


_linear_fp8.register_autograd(_backward, setup_context=_setup)


def _by_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """fp8 values and the scale [T, 1] fp32 that each row of them is multiplied by."""
    scale = rows.abs().amax(1, keepdim=True).float().clamp(min=_TINY) / FP8_MAX
    return (rows.float() / scale).clamp(-FP8_MAX, FP8_MAX).to(FP8), scale
