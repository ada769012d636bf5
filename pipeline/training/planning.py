"""What training asks of a card, and the fastest setting that the card can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from pipeline.training import estimating

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
    sharding: Literal["auto", "on", "off"] = Field(
        "auto", description="With several GPUs: the base in parts, one on each. auto: where it fits no GPU whole."
    )
    max_memory_gb: float | None = Field(
        None, gt=0, description="Use no more of the card than this; None takes what is free.", title="max memory, GB"
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

    `is_turned` says that fp8 weights lie there twice, the second time as the way back reads them. `words` is the
    sentence to show; `estimated_bytes` the peak of one training step, base weights included.
    """

    model_config = ConfigDict(frozen=True)

    base: Base
    checkpointing: Kept
    checkpointed: int
    compile: bool
    attention: Literal["auto", "cudnn", "flash", "efficient", "math"]
    optimizer: Literal["adamw", "adamw8bit"]
    is_sharded: bool = False
    is_turned: bool = False
    estimated_bytes: int
    words: str


def plan(
    kind: Kind,
    transformer_config: Mapping[str, Any],
    shapes: Sequence[Shape],
    lora: Adapters,
    speed: Speed,
    card: Card,
    gpus: int = 1,
) -> Setting:
    """The fastest setting of those `speed` allows that fits `card`, one of `gpus`, at the largest of `shapes`.

    Raises ValueError with the numbers, and with what would fit, where none does.
    """
    model = estimating.Model.of(kind, transformer_config, lora.rank, tuple(lora.targets))
    on_card = card.device == "cuda"
    room = _room(speed, card)
    compiled = on_card if speed.compile == "auto" else speed.compile == "on"
    tried = []
    for base, shards in _bases(speed, on_card, gpus):
        for optimizer in ("adamw", "adamw8bit") if speed.optimizer == "auto" and on_card else (speed.optimizer,):
            state: Literal["adamw", "adamw8bit"] = "adamw8bit" if optimizer == "adamw8bit" else "adamw"
            for kept, count in _recomputing(speed, model.blocks, on_card):
                needed = max(model.peak(shape, base, kept, count, compiled, state, shards) for shape in shapes)
                tried.append((needed, base, kept, count, state, shards))
                if room is None or needed <= room:
                    second = model.counted.quantizable  # One byte each.
                    turns = base == "fp8" and compiled and (room is None or needed + second <= room)
                    found = (needed + second, *tried[-1][1:]) if turns else tried[-1]
                    return _setting(found, model.blocks, compiled, speed, card, room, is_turned=turns)
    least = min(tried)
    raise ValueError(_refusal(least, shapes, room or 0, card, _thriftier(model, shapes, compiled, room or 0, gpus)))


_GB = 1e9
_SPARE = 0.08  # Share of the room left for what the allocator cannot use for being in pieces.


def _room(speed: Speed, card: Card) -> float | None:
    rooms = [each for each in (card.free_bytes, speed.max_memory_gb and speed.max_memory_gb * _GB) if each]
    return min(rooms) * (1 - _SPARE) if rooms else None


def _bases(speed: Speed, on_card: bool, gpus: int) -> list[tuple[Base, int]]:
    """Precisions, each with the parts that the base is in, from the one to prefer on. Of itself the planner goes below
    bf16 only where bf16 does not fit, not even in parts: those change no result. What is in 8 bits stays whole.
    """
    if speed.base != "auto":
        bases: tuple[Base, ...] = (speed.base,)
    else:
        bases = ("bf16", "int8") if on_card else ("fp32",)
    if speed.sharding == "on" and gpus > 1 and bases[0] not in SHARDED:
        raise ValueError(f"a base in {bases[0]} cannot be sharded: set speed.base to one of {', '.join(SHARDED)}")
    parts = {"on": (gpus,), "off": (1,), "auto": (1, gpus) if gpus > 1 and on_card else (1,)}[speed.sharding]
    found = [(base, count) for base in bases for count in (parts if base in SHARDED else (1,))]
    return found[:1] if speed.sharding == "on" else found


def _recomputing(speed: Speed, blocks: int, on_card: bool) -> list[tuple[Kept, int]]:
    """From the fastest on. All blocks do the same: a mix of two kinds compiles twice and was never seen faster."""
    asked = speed.checkpointing
    if asked == "none" or (asked == "auto" and not on_card):
        return [("none", 0)]
    if asked == "full":
        return [("full", blocks)]
    if asked == "selective":
        return [("selective", blocks)]
    return [("none", 0), ("selective", blocks), ("full", blocks)]


SHARDED: tuple[Base, ...] = ("bf16", "fp32")

_Tried = tuple[float, Base, Kept, int, Literal["adamw", "adamw8bit"], int]


def _setting(
    found: _Tried, blocks: int, compiled: bool, speed: Speed, card: Card, room: float | None, *, is_turned: bool
) -> Setting:
    needed, base, kept, count, state, shards = found
    recomputed = {
        "none": "nothing is computed twice",
        "selective": f"{count} of {blocks} blocks compute all but attention twice",
        "full": "every block is computed twice",
    }[kept]
    parts = f", a part of {shards} on each GPU" if shards > 1 else " for both ways" if is_turned else ""
    of = f" of {room / _GB:.1f} GB" if room else ""
    return Setting(
        base=base,
        checkpointing=kept,
        checkpointed=count,
        compile=compiled,
        attention=speed.attention,
        optimizer=state,
        is_sharded=shards > 1,
        is_turned=is_turned,
        estimated_bytes=round(needed),
        words=f"base weights in {base}{parts}, {recomputed}, {state}: about {needed / _GB:.1f} GB{of} on {card.name}",
    )


def _refusal(least: _Tried, shapes: Sequence[Shape], room: float, card: Card, remedy: str) -> str:
    needed, base, kept, *_ = least
    largest = max(shapes, key=lambda shape: shape.batch * shape.video_tokens)
    return (
        f"{largest.batch} x {largest.video_tokens} tokens of video take {needed / _GB:.1f} GB even with the base in "
        f"{base}, checkpointing {kept}, and {card.name} has room for {room / _GB:.1f} GB: {remedy}"
    )


def _thriftier(model: estimating.Model, shapes: Sequence[Shape], compiled: bool, room: float, gpus: int) -> str:
    """What would fit: other weights first, then a smaller batch or fewer tokens."""
    for base in ("bf16", "int8"):
        if max(model.peak(shape, base, "full", model.blocks, compiled, "adamw8bit") for shape in shapes) <= room:
            return f'speed.base = "{base}" with speed.checkpointing = "full" and the optimizer adamw8bit would fit'
    for count in (2, 4, 8):
        peak = max(model.peak(each, "bf16", "full", model.blocks, compiled, "adamw8bit", count) for each in shapes)
        if count > gpus and peak <= room:
            return f'gpus = {count} with speed.base = "bf16" and sharding would fit'
    for parts in (2, 4, 8, 16):
        smaller = [shape._replace(batch=1, video_tokens=shape.video_tokens // parts) for shape in shapes]
        if max(model.peak(shape, "int8", "full", model.blocks, compiled, "adamw8bit") for shape in smaller) <= room:
            return f'batches of 1 with 1/{parts} of the tokens and speed.base = "int8" would fit'
    return "no setting of this model would fit"
