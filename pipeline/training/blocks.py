"""The repeated blocks of a transformer, made fast where they are: attention kernel, recomputation, compilation.

A block keeps its place and its names and becomes a subclass of its class, the way torch's `fully_shard` changes
modules, so that state dicts, LoRA targets and the model's own forward know nothing of it. Recomputation happens inside
the block's forward and thus inside the compiled graph, which lets the compiler choose among what is recomputed.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import torch
from torch import nn
from torch._functorch import config as partitioning
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

Kept = Literal["none", "selective", "full"]

# What costs most for what it gives is never computed twice: all fused attention kernels. `selective` keeps what they
# return, the output and the logarithms of the sums, from which the backward pass goes on by itself.
_ATTENTION = {
    getattr(torch.ops.aten, name).default
    for name in (
        "_scaled_dot_product_cudnn_attention",
        "_scaled_dot_product_flash_attention",
        "_scaled_dot_product_efficient_attention",
        "_scaled_dot_product_flash_attention_for_cpu",
    )
}


def of(transformer: nn.Module) -> nn.ModuleList:
    """The repeated blocks of a diffusers transformer, those its `_repeated_blocks` names."""
    names = set(transformer._repeated_blocks)  # type: ignore[arg-type]
    for child in transformer.children():
        if isinstance(child, nn.ModuleList) and any(type(each).__name__ in names for each in child):
            return child
    raise ValueError(f"{type(transformer).__name__} has no list of {', '.join(sorted(names))}")


def recompute(blocks: Iterable[nn.Module], kept: Kept, count: int, attention: Sequence[SDPBackend]) -> None:
    """Let the first `count` of `blocks` keep only what `kept` says; all of them attend by the first of `attention` that
    can take the inputs, in this order (empty: torch's own).
    """
    for number, block in enumerate(blocks):
        block.__class__ = _fast(type(block), kept if number < count else "none", tuple(attention))  # type: ignore[arg-type]


def compile_all(blocks: Iterable[nn.Module], several_shapes: bool, *, is_sharded: bool = False) -> None:
    """Compile each block; blocks of one kind share the code. Shapes stay fixed in it unless there are several.

    Of blocks that are to be sharded, only what stands between the gathering of their weights and letting them go.
    """
    # A model has variants: training and sampling, blocks that recompute and such that do not, and every shape anew.
    torch._dynamo.config.recompile_limit = max(64, torch._dynamo.config.recompile_limit)
    dynamic = None if several_shapes else False
    for block in blocks:
        if is_sharded:
            block.forward = torch.compile(block.forward, backend=_thrifty, fullgraph=True, dynamic=dynamic)
        else:
            block.compile(backend=_thrifty, fullgraph=True, dynamic=dynamic)


COMPILER = "inductor"
"""torch's name for what makes code of the graphs."""

# Elementwise values and sums of rows are computed again on the way back: that reads what is read there anyway, and
# keeping them takes a fifth to a third more memory. What products and attention give is kept.
_CHEAP = {
    "ban_recompute_used_far_apart": False,
    "ban_recompute_long_fusible_chains": False,
    "ban_recompute_materialized_backward": False,
    "ban_recompute_reductions": False,
}


def _thrifty(graph: Any, inputs: Any, **options: Any) -> Any:
    """The compiler, told what it may compute again; nothing else that is compiled in this process is."""
    with partitioning.patch(_CHEAP):
        return torch._dynamo.lookup_backend(COMPILER)(graph, inputs, **options)


def begin_gradients(projections: Sequence[nn.Module]) -> None:
    """Let the first block's inputs ask for gradients as all others' do.

    Nothing needs them, and they cost a part of one block, but the first block would be compiled apart otherwise.
    """
    for projection in projections:
        projection.register_forward_hook(lambda module, inputs, output: output.requires_grad_(torch.is_grad_enabled()))


@functools.lru_cache(None)
def _fast(cls: type[nn.Module], kept: Kept, attention: tuple[SDPBackend, ...]) -> type[nn.Module]:
    theirs = cls.forward  # Named here: the compiler takes a class like Wan's block for a thing it must not look into.

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        run = functools.partial(theirs, self)
        if kept != "none" and torch.is_grad_enabled():
            contexts = {} if kept == "full" else {"context_fn": _keep_attention}
            run = functools.partial(checkpoint, run, use_reentrant=False, **contexts)
        if not attention:
            return run(*args, **kwargs)
        with sdpa_kernel(list(attention), set_priority=True):
            return run(*args, **kwargs)

    return type(cls.__name__, (cls,), {"forward": forward, "__module__": cls.__module__})


def _policy(ctx: Any, op: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if op in _ATTENTION else CheckpointPolicy.PREFER_RECOMPUTE


_keep_attention = functools.partial(create_selective_checkpoint_contexts, _policy)
