"""Several LoRAs of one model as one: exactly, with their ranks put side by side, or as near as a smaller rank comes.

A LoRA adds B A to a weight. The weighted sum of two is [w1 B1, w2 B2] times [A1; A2], whose rank is the sum of theirs;
its singular values say what a smaller rank leaves out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.training.export import About, pairs

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Lora:
    """A file that was loaded: `state` by peft's names, at scale 1."""

    name: str
    state: Mapping[str, Tensor]
    about: About


@dataclass(frozen=True, slots=True)
class Merged:
    """`kept` is the share of the sum's squared norm that its rank holds: 1 where nothing was left out."""

    state: dict[str, Tensor]
    about: About
    kept: float


@dataclass(frozen=True, slots=True)
class Block:
    """What a LoRA does to one block of the model: its norm, and how that is shared among the block's layers."""

    block: str
    norm: float
    layers: Mapping[str, float]


def merge(loras: Sequence[Lora], weights: Sequence[float], rank: int | None = None) -> Merged:
    """The weighted sum of `loras`, in fp32; of rank `rank` where one is given and the sum's is larger.

    Raises ValueError unless all are of one model and change the same of its modules.
    """
    _check(loras, weights)
    halves = [pairs(lora.state) for lora in loras]
    state: dict[str, Tensor] = {}
    whole = held = 0.0
    for module in halves[0]:
        up, down = _beside([(each[module], weight) for each, weight in zip(halves, weights, strict=True)])
        energy = _squared_norm(up, down)
        if rank is not None and rank < up.shape[1]:
            up, down = _nearest(up, down, rank)
        whole, held = whole + energy, held + min(energy, _squared_norm(up, down))
        state |= {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}
    first = loras[0].about
    triggers = dict.fromkeys(each.about.trigger for each in loras if each.about.trigger)
    about = About(
        kind=first.kind,
        base=first.base,
        revision=first.revision,
        trigger=" ".join(triggers),
        merged=tuple(_said(lora, weight) for lora, weight in zip(loras, weights, strict=True)),
    )
    return Merged(state, about, held / whole if whole else 1.0)


def rank_of(state: Mapping[str, Tensor]) -> int:
    """The largest rank of any module."""
    return max(down.shape[0] for down, _ in pairs(state).values())


def by_block(state: Mapping[str, Tensor]) -> list[Block]:
    """How much the LoRA changes each block: Frobenius norms of what it adds, in the order of the model's blocks."""
    found: dict[str, dict[str, float]] = {}
    for module, (down, up) in pairs(state).items():
        numbered = re.match(r"(?:transformer_)?blocks\.(\d+)\.([^.]+)", module)
        block, layer = numbered.groups() if numbered else ("", module)
        layers = found.setdefault(block, {})
        layers[layer] = layers.get(layer, 0.0) + _squared_norm(up.float(), down.float())
    return [
        Block(block, sum(layers.values()) ** 0.5, {name: square**0.5 for name, square in layers.items()})
        for block, layers in sorted(found.items(), key=lambda each: (not each[0], int(each[0] or 0)))
    ]


def _check(loras: Sequence[Lora], weights: Sequence[float]) -> None:
    if len(loras) < 2:
        raise ValueError("there is nothing to be merged: name two LoRAs or more")
    if len(weights) != len(loras):
        raise ValueError(f"{len(loras)} LoRAs need {len(loras)} weights, not {len(weights)}")
    first = loras[0]
    modules = set(pairs(first.state))
    for other in loras[1:]:
        ours, theirs = ((lora.about.kind, lora.about.base, lora.about.revision) for lora in (first, other))
        if ours != theirs:
            raise ValueError(
                f"{first.name} is of {_base(first)} and {other.name} of {_base(other)}: only LoRAs of one model at one "
                "revision can be merged"
            )
        if strange := modules ^ set(pairs(other.state)):
            only = first if min(strange) in modules else other
            raise ValueError(
                f"{first.name} and {other.name} were trained with different `targets`: {len(strange)} modules are in "
                f"one alone, e.g. {min(strange)} in {only.name}"
            )
        for module, (down, up) in pairs(other.state).items():
            mine = pairs(first.state)[module]
            if (mine[0].shape[1], mine[1].shape[0]) != (down.shape[1], up.shape[0]):
                raise ValueError(f"{module} has another size in {other.name} than in {first.name}: of another model")


def _base(lora: Lora) -> str:
    return f"{lora.about.base} ({lora.about.revision or 'no revision'})"


def _said(lora: Lora, weight: float) -> str:
    parts = (lora.about.trigger and f"trigger {lora.about.trigger}", lora.about.step and f"step {lora.about.step}")
    inside = ", ".join(part for part in (*map(str, filter(None, parts)), lora.about.dataset) if part)
    return f"{weight:g} x {lora.name}" + (f" ({inside})" if inside else "")


def _beside(weighted: Sequence[tuple[tuple[Tensor, Tensor], float]]) -> tuple[Tensor, Tensor]:
    import torch

    up = torch.cat([up.float() * weight for (_, up), weight in weighted], dim=1)
    return up, torch.cat([down.float() for (down, _), _ in weighted], dim=0)


def _nearest(up: Tensor, down: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The two matrices of rank `rank` whose product comes nearest to `up` (out, r) times `down` (r, in).

    By a singular value decomposition of r x r only: the product of the triangles that QR leaves of the two.
    """
    import torch

    out, upper = torch.linalg.qr(up)
    into, lower = torch.linalg.qr(down.T)
    left, values, right = torch.linalg.svd(upper @ lower.T)
    root = values[:rank].sqrt()
    return out @ (left[:, :rank] * root), (root[:, None] * right[:rank]) @ into.T


def _squared_norm(up: Tensor, down: Tensor) -> float:
    """Of their product, which may be large, without making it: the trace of (B'B)(AA')."""
    return float(((up.T @ up) * (down @ down.T)).sum())
