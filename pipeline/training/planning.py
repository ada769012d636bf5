"""What training asks of a card, and the fastest setting that the card can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["ltx2", "wan21"]
Base = Literal["bf16", "fp8", "fp8-storage", "int8", "fp32"]
Kept = Literal["none", "selective", "full"]


class Speed(BaseModel):
    """How to train fast within the card's memory; "auto" is the planner's choice. Only `base` and `optimizer` change
    results beyond rounding.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Literal["auto", "bf16", "fp8", "fp8-storage", "int8", "fp32"] = Field(
        "auto",
        description="Precision of the frozen base; fp8 multiplies in fp8, the others only store.",
    )
    checkpointing: Literal["auto", "none", "selective", "full"] = Field(
        "auto", description="What is computed again in the backward pass: nothing, all but attention, or everything."
    )
    attention: Literal["auto", "cudnn", "flash", "efficient", "math"] = Field(
        "auto", description="Attention kernel; auto measures them on the dataset's shapes at start."
    )
    compile: Literal["auto", "on", "off"] = Field("auto", description="torch.compile of the transformer's blocks.")
    optimizer: Literal["auto", "adamw", "adamw8bit"] = Field("auto", description="AdamW, or with its state in 8 bits.")
    max_memory_gb: float | None = Field(
        None, gt=0, description="Use no more of the card than this; None takes what is free."
    )


class Shape(NamedTuple):
    """One batch as the transformer sees it, in tokens."""

    batch: int
    video_tokens: int
    audio_tokens: int
    text_tokens: int


class Adapters(NamedTuple):
    """LoRA of `rank` on every linear layer whose name ends with one of `targets`, as peft reads them."""

    rank: int
    targets: Sequence[str]


@dataclass(frozen=True)
class Card:
    """A device: `free_bytes` can still be had of `total_bytes`; None where memory is not limited by the device (CPU).

    `capability` is CUDA's, (9, 0) for Hopper; None without CUDA.
    """

    name: str
    device: str
    total_bytes: int | None = None
    free_bytes: int | None = None
    capability: tuple[int, int] | None = None

    @classmethod
    def here(cls, device: str | None = None) -> Card:
        """The device training would run on: the current CUDA device, else the CPU."""
        import torch

        if not torch.cuda.is_available() or (device or "cuda").startswith("cpu"):
            return cls("CPU", "cpu")
        free, total = torch.cuda.mem_get_info()
        held = torch.cuda.memory_reserved()
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        return cls(properties.name, "cuda", total, free + held, (properties.major, properties.minor))


class Setting(BaseModel):
    """What the planner settled. `checkpointed` blocks from the first on recompute as it says, others keep all.

    `words` is the sentence to show; `estimated_bytes` the peak of one training step, base weights included.
    """

    model_config = ConfigDict(frozen=True)

    base: Base
    checkpointing: Kept
    checkpointed: int
    compile: bool
    attention: Literal["auto", "cudnn", "flash", "efficient", "math"]
    optimizer: Literal["adamw", "adamw8bit"]
    estimated_bytes: int
    words: str


def plan(
    kind: Kind,
    transformer_config: Mapping[str, Any],
    shapes: Sequence[Shape],
    lora: Adapters,
    speed: Speed,
    card: Card,
) -> Setting:
    """The fastest setting of those `speed` allows that fits `card` at the largest of `shapes`.

    Raises ValueError with the numbers, and with what would fit, where none does.
    """
    on_card = card.device == "cuda"
    base: Base = ("bf16" if on_card else "fp32") if speed.base == "auto" else speed.base
    checkpointing: Kept = ("selective" if on_card else "none") if speed.checkpointing == "auto" else speed.checkpointing
    return Setting(
        base=base,
        checkpointing=checkpointing,
        checkpointed=0 if checkpointing == "none" else int(transformer_config["num_layers"]),
        compile=on_card if speed.compile == "auto" else speed.compile == "on",
        attention=speed.attention,
        optimizer="adamw" if speed.optimizer == "auto" else speed.optimizer,
        estimated_bytes=0,
        words=f"base weights in {base}, checkpointing {checkpointing}",
    )
