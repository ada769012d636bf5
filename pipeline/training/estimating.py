"""How much memory a step of training takes at its peak, from the model's dimensions.

Weights, LoRA, optimizer and what attention gives are counted exactly, on a model without data. What else a block keeps
for the backward pass is counted in rows of its width: the constants below were measured on an H100 with PyTorch 2.11
(`benchmarks/gpu-log.md`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

WEIGHT_BYTES = {"fp32": 4.0, "bf16": 2.0, "fp8": 1.0, "fp8-storage": 1.0, "int8": 1.0}

# In values of the block's width for each token. `KEPT` is by what is computed again; none has the inner layer of the
# feed-forward on top, and without the compiler once more where a LoRA wants its output. Counted on a small block.
KEPT_NONE = {"ltx2": 15.0, "wan21": 11.0}
EAGER = 2.1  # So much more without the compiler, which computes cheap values again by itself.
KEPT_FULL = 1.0  # The block's input.
MOMENT = 3.0  # Of one block's KEPT_NONE at once, while it is computed again or its gradients are made.
WORKSPACE = 0.3e9  # Of the libraries, on a GPU only: cuBLAS's and cuDNN's.


class Sizes(Protocol):
    @property
    def batch(self) -> int: ...
    @property
    def video_tokens(self) -> int: ...
    @property
    def audio_tokens(self) -> int: ...
    @property
    def text_tokens(self) -> int: ...


class Attention(NamedTuple):
    """One in a block: it gives `heads` x `channels` values for each token of video, or of sound."""

    heads: int
    channels: int
    is_sound: bool


class Counted(NamedTuple):
    """Values of the base, those that can be quantised, and LoRA's; of the base, those inside of its blocks."""

    base: int
    quantizable: int
    rows: int
    lora: int
    inside: int
    attentions: tuple[Attention, ...]

    @property
    def outside(self) -> int:
        return self.base - self.inside


@dataclass(frozen=True)
class Model:
    kind: Literal["ltx2", "wan21"]
    blocks: int
    video: int
    audio: int
    inner: float
    is_inner_adapted: bool
    counted: Counted

    @classmethod
    def of(
        cls, kind: Literal["ltx2", "wan21"], config: Mapping[str, Any], rank: int, targets: tuple[str, ...]
    ) -> Model:
        """Raises ValueError where a dimension is missing from `config`."""
        counted, defaults = _counted(kind, json.dumps(dict(config), sort_keys=True, default=str), rank, targets)
        config = {**defaults, **config}
        video = config["num_attention_heads"] * config["attention_head_dim"]
        audio = config["audio_num_attention_heads"] * config["audio_attention_head_dim"] if kind == "ltx2" else 0
        inner = 4.0 if kind == "ltx2" else config["ffn_dim"] / video
        is_adapted = any(target.endswith("net.2") for target in targets)
        return cls(kind, config["num_layers"], video, audio, inner, is_adapted, counted)

    def peak(
        self, shape: Sizes, base: str, kept: str, count: int, compiled: bool,
        optimizer: Literal["adamw", "adamw8bit"], shards: int = 1,
    ) -> float:  # fmt: skip
        """Bytes. The first `count` blocks keep what `kept` says, others everything; `shards` GPUs share the base."""
        wide = 4 if base == "fp32" else 2
        weights = (self.counted.base - self.counted.quantizable) * wide + self.counted.quantizable * WEIGHT_BYTES[base]
        weights += self.counted.rows * 4 if WEIGHT_BYTES[base] == 1 else 0
        if shards > 1:  # Whole are only what is outside of the blocks, the block in use, and the next one on its way.
            outside, block = self.counted.outside * wide, self.counted.inside * wide / self.blocks
            weights = weights / shards + outside + 2 * block
        # fp32 weights, gradients and two moments, the moments in 8 bits with a scale for each 256.
        lora = self.counted.lora * (16 if optimizer == "adamw" else 8 + 2 * (1 + 4 / 256))
        lora += self.counted.lora * 4 if compiled and wide == 2 else 0  # Copies in bf16, and their gradients.
        values = shape.batch * (shape.video_tokens * self.video + shape.audio_tokens * self.audio)
        inners = 2 if self.is_inner_adapted and not compiled else 1
        whole = KEPT_NONE[self.kind] * (1.0 if compiled else EAGER) + self.inner * inners
        recomputed = values * wide * KEPT_FULL + (self.attended(shape, wide) if kept == "selective" else 0)
        activations = count * recomputed + (self.blocks - count) * values * wide * whole
        return weights + lora + activations + values * wide * whole * MOMENT / 2 + (WORKSPACE if compiled else 0)

    def attended(self, shape: Sizes, wide: int) -> float:
        """Bytes of what a block's attentions give, which is never computed twice: a value of `wide` bytes for each
        token and channel, and in fp32 the logarithm of the sum for each token and head.
        """
        tokens = [shape.audio_tokens if each.is_sound else shape.video_tokens for each in self.counted.attentions]
        each_token = [each.heads * (each.channels * wide + 4) for each in self.counted.attentions]
        return float(shape.batch * sum(one * other for one, other in zip(tokens, each_token, strict=True)))


@functools.lru_cache(16)
def _counted(kind: str, config: str, rank: int, targets: tuple[str, ...]) -> tuple[Counted, dict[str, Any]]:
    """The model is made without data (on "meta"), from the class that trains."""
    import inspect

    import diffusers
    import torch

    from pipeline.training import blocks, quantizing

    cls: Any = diffusers.LTX2VideoTransformer3DModel if kind == "ltx2" else diffusers.WanTransformer3DModel
    known = {name: each.default for name, each in inspect.signature(cls.__init__).parameters.items() if name != "self"}
    given = {name: value for name, value in json.loads(config).items() if name in known}
    with torch.device("meta"):
        transformer = cls(**given)
    repeated = blocks.of(transformer)
    inside = {id(each) for each in repeated.modules()}
    base = sum(each.numel() for each in transformer.parameters())
    quantizable = rows = lora = 0
    for name, module in transformer.named_modules():
        if not isinstance(module, torch.nn.Linear):
            continue
        last = name.rsplit(".", 1)[-1]
        if id(module) in inside and quantizing.quantizable(last, module.in_features, module.out_features):
            quantizable += module.weight.numel()
            rows += module.out_features
        if any(name == target or name.endswith(f".{target}") for target in targets):
            lora += rank * (module.in_features + module.out_features)
    within = sum(each.numel() for each in repeated.parameters())
    block: Any = repeated[0]
    video = block.attn1.to_q.in_features
    attentions = tuple(
        Attention(each.heads, each.to_q.out_features // each.heads, each.to_q.in_features != video)
        for each in block.modules()
        if hasattr(each, "to_q")
    )
    return Counted(base, quantizable, rows, lora, within, attentions), known
