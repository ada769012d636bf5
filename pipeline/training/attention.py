"""Which attention kernel is fastest here: tried and timed forward and backward on the shapes that training has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

Name = Literal["cudnn", "flash", "efficient", "math"]

BACKENDS: dict[Name, SDPBackend] = {
    "cudnn": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "math": SDPBackend.MATH,
}
_REPEATS = 3
_MATH_TOKENS = 4096  # The plain formula holds the whole matrix of scores; past this it is neither fast nor small.


class Attention(NamedTuple):
    """Shape of one self-attention: (batch, heads, tokens, channels of a head)."""

    batch: int
    heads: int
    tokens: int
    channels: int


class Timed(NamedTuple):
    """`seconds` of one forward and backward; None where the kernel cannot, with the reason."""

    name: Name
    seconds: float | None
    why: str = ""


def measure(shape: Attention, dtype: torch.dtype, device: torch.device | str) -> list[Timed]:
    """Every kernel, the fastest first, those that cannot last."""
    found = [_timed(name, shape, dtype, device) for name in BACKENDS]
    return sorted(found, key=lambda each: float("inf") if each.seconds is None else each.seconds)


def order(first: Name) -> list[SDPBackend]:
    """`first`, and behind it the others for inputs it does not take (a mask, say)."""
    return [BACKENDS[first], *(each for name, each in BACKENDS.items() if name != first)]


def in_words(found: list[Timed]) -> str:
    """`cudnn 4.1 ms, flash 6.0 ms; not efficient (no kernel), math (4290 tokens)`."""
    could = ", ".join(f"{each.name} {each.seconds * 1000:.1f} ms" for each in found if each.seconds is not None)
    could_not = ", ".join(f"{each.name} ({each.why})" for each in found if each.seconds is None)
    return could + (f"; not {could_not}" if could_not else "")


def _timed(name: Name, shape: Attention, dtype: torch.dtype, device: torch.device | str) -> Timed:
    if name == "math" and shape.tokens > _MATH_TOKENS:
        return Timed(name, None, f"{shape.tokens} tokens")
    # In memory the heads of a token lie together, as the models' projections leave them.
    size = (shape.batch, shape.tokens, shape.heads, shape.channels)
    query, key, value, gradient = (torch.randn(size, dtype=dtype, device=device).transpose(1, 2) for _ in range(4))
    for each in (query, key, value):
        each.requires_grad_()

    def once() -> None:
        with sdpa_kernel(BACKENDS[name]):
            out = functional.scaled_dot_product_attention(query, key, value)
        torch.autograd.grad(out, (query, key, value), gradient)

    try:
        once()
        return Timed(name, statistics.median(_seconds(once, device) for _ in range(_REPEATS)))
    except RuntimeError as error:
        return Timed(name, None, str(error).splitlines()[0].strip().rstrip("."))


def _seconds(run: Callable[[], None], device: torch.device | str) -> float:
    cuda = torch.device(device).type == "cuda"
    if cuda:
        torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    if cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - start
