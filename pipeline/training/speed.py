"""A transformer made fast before it is trained: `prepare` before the LoRA is attached, `finish` after it.

    setting = plan("ltx2", transformer.config, shapes, Adapters(rank, targets), speed, Card.here())
    prepare(transformer, setting, device)
    transformer.add_adapter(LoraConfig(...))
    finish(transformer, setting, shapes)
    optimizer = optimizer(parameters, setting, lr)

What samples between steps does so below `plainly()`, since other shapes are not worth compiling for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pipeline.training.planning import Adapters, Card, Setting, Shape, Speed, plan

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = [
    "Adapters", "Card", "Setting", "Shape", "Speed", "dtype", "finish", "optimizer", "plainly", "plan", "prepare",
]  # fmt: skip

_SEVERAL_SHAPES = 4  # So many are compiled one by one; more would be compiled longer than they gain.


def prepare(transformer: nn.Module, setting: Setting, device: torch.device | None = None) -> None:
    """Freeze the base and bring the linears of its blocks to the precision of `setting`, in place.

    A base of fp32 or bf16 is loaded as such by whoever loads it. Where `device`, on which it will train (None: it is
    there already), cannot multiply fp8, fp8 is only stored.
    """
    from pipeline.training import blocks, quantizing

    transformer.requires_grad_(False)
    if setting.base in {"fp8", "fp8-storage", "int8"}:
        storage = setting.base
        if storage == "fp8" and not quantizing.multiplies_fp8(device or next(transformer.parameters()).device):
            storage = "fp8-storage"
        quantizing.quantize(blocks.of(transformer), storage, is_turned=setting.is_turned)


def finish(transformer: nn.Module, setting: Setting, shapes: Sequence[Shape] = ()) -> str:
    """Set attention, recomputation and compilation of a transformer whose LoRA is attached; LoRA weights become fp32.

    `shapes` are those of the dataset, for measuring attention. Returns what was found, in words.
    """
    from pipeline.training import adapters, attention, attention_processors, blocks, gelu

    trained = [each for each in transformer.parameters() if each.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    repeated = blocks.of(transformer)
    said = []
    if setting.base == "fp8" and any(getattr(each, "storage", "") == "fp8-storage" for each in transformer.modules()):
        said.append("this device does not multiply fp8: the base is only stored so")
    kernels = []
    if setting.attention != "auto":
        kernels = attention.order(setting.attention)
    elif shapes and trained and trained[0].is_cuda:
        found = attention.measure(_attention(transformer, shapes), dtype(transformer), trained[0].device)
        kernels = attention.order(found[0].name)
        said.append(f"attention forward and backward: {attention.in_words(found)}")
    adapters.fuse(transformer)
    attention_processors.install(transformer)
    gelu.by_sigmoid(transformer)
    blocks.recompute(repeated, setting.checkpointing, setting.checkpointed, kernels)
    if setting.compile:
        entries = ("proj_in", "audio_proj_in", "patch_embedding")
        blocks.begin_gradients([getattr(transformer, name) for name in entries if hasattr(transformer, name)])
        blocks.compile_all(repeated, len(set(shapes)) > _SEVERAL_SHAPES, is_sharded=setting.is_sharded)
    return "; ".join(said)


def optimizer(
    parameters: Iterable[torch.Tensor],
    setting: Setting,
    lr: float,
    *,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
) -> torch.optim.Optimizer:
    """AdamW as `setting` says: torch's in one kernel for all parameters, or torchao's with states in 8 bits."""
    import torch

    trained = list(parameters)
    if setting.optimizer == "adamw8bit":
        from torchao.optim import AdamW8bit  # type: ignore[import-untyped]

        return AdamW8bit(trained, lr=lr, betas=betas, weight_decay=weight_decay)  # type: ignore[no-any-return]
    return torch.optim.AdamW(trained, lr=lr, betas=betas, weight_decay=weight_decay, fused=True)


@contextmanager
def plainly() -> Iterator[None]:
    """Within it, compiled blocks run uncompiled."""
    import torch

    with torch.compiler.set_stance("force_eager"):
        yield


def _attention(transformer: Any, shapes: Sequence[Shape]) -> Any:
    from pipeline.training.attention import Attention

    largest = max(shapes, key=lambda shape: shape.batch * shape.video_tokens**2)
    config = transformer.config
    return Attention(largest.batch, config.num_attention_heads, largest.video_tokens, config.attention_head_dim)


def dtype(transformer: nn.Module) -> torch.dtype:
    """What most of the model computes in: the projection at its end is never quantised."""
    return transformer.proj_out.weight.dtype  # type: ignore[return-value,union-attr]
