"""A transformer made fast before it is trained: `prepare` before the LoRA is attached, `finish` after it.

setting = plan("ltx2", transformer.config, shapes, Adapters(rank, targets), speed, Card.here())
prepare(transformer, setting)
transformer.add_adapter(LoraConfig(...))
finish(transformer, setting)
optimizer = optimizer(parameters, setting, lr)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.training.planning import Adapters, Card, Setting, Shape, Speed, plan

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Adapters", "Card", "Setting", "Shape", "Speed", "finish", "optimizer", "plan", "prepare"]


def prepare(transformer: nn.Module, setting: Setting) -> None:
    """Freeze the base and bring its linear layers to the precision of `setting`, in place, on the device it is on."""
    transformer.requires_grad_(False)


def finish(transformer: nn.Module, setting: Setting, shapes: Sequence[Shape] = ()) -> str:
    """Set attention, checkpointing and compilation of a transformer whose LoRA is attached; LoRA weights become fp32.

    `shapes` are those of the dataset, for measuring attention. Returns what was found, in words.
    """
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    if setting.checkpointing != "none":
        transformer.enable_gradient_checkpointing()  # type: ignore[operator]
    return setting.words


def optimizer(
    parameters: Iterable[torch.Tensor],
    setting: Setting,
    lr: float,
    *,
    weight_decay: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    **more: Any,
) -> torch.optim.Optimizer:
    """AdamW as `setting` says; fused where the parameters' device has it."""
    import torch

    return torch.optim.AdamW(list(parameters), lr=lr, betas=betas, weight_decay=weight_decay, **more)
