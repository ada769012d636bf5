"""Models that benchmarks train: their shapes, what they must compute, random weights and data on the device itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.training.speed import Shape

ATTENTIONS = ("to_q", "to_k", "to_v", "to_out.0")
LINEARS = (*ATTENTIONS, "ffn.net.0.proj", "ffn.net.2")
_AUDIO_PER_SECOND = 25  # Latents of LTX-2's sound.
_LTX2_FPS = 24.0


@dataclass(frozen=True)
class Model:
    """`config` makes diffusers' transformer; `text` is the tokens of a prompt; LoRA sits on `targets`."""

    kind: str
    config: Mapping[str, Any]
    text: int
    targets: tuple[str, ...]


_WAN = {"num_layers": 30, "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960}
_LTX2 = {
    "num_layers": 48,
    "rope_type": "split",
    "rope_double_precision": True,
    "cross_attn_timestep_scale_multiplier": 1000,
}
_LTX2_SMALL = {
    **_LTX2, "num_layers": 2, "in_channels": 16, "out_channels": 16, "audio_in_channels": 16, "audio_out_channels": 16,
    "num_attention_heads": 4, "cross_attention_dim": 512, "audio_num_attention_heads": 4,
    "audio_cross_attention_dim": 256, "caption_channels": 256,
}  # fmt: skip
_LTX2_TINY = {
    **_LTX2_SMALL, "num_attention_heads": 2, "attention_head_dim": 32, "cross_attention_dim": 64,
    "audio_num_attention_heads": 2, "audio_attention_head_dim": 16, "audio_cross_attention_dim": 32,
    "caption_channels": 48,
}  # fmt: skip
_WAN_SMALL = {"num_layers": 2, "num_attention_heads": 4, "attention_head_dim": 128, "ffn_dim": 2048, "text_dim": 256}
_WAN_TINY = {**_WAN_SMALL, "num_attention_heads": 2, "attention_head_dim": 32, "ffn_dim": 128, "text_dim": 48}

# The configurations of the published models: Lightricks/LTX-2 transformer/config.json, Wan-AI/Wan2.1-T2V-*-Diffusers.
MODELS = {
    "wan13": Model("wan21", _WAN, 512, LINEARS),
    "wan14": Model("wan21", {"num_layers": 40}, 512, LINEARS),
    "ltx2": Model("ltx2", _LTX2, 1024, ATTENTIONS),
    "small-wan": Model("wan21", _WAN_SMALL, 512, LINEARS),
    "small-ltx2": Model("ltx2", _LTX2_SMALL, 256, ATTENTIONS),
    "tiny-wan": Model("wan21", _WAN_TINY, 32, LINEARS),
    "tiny-ltx2": Model("ltx2", _LTX2_TINY, 32, ATTENTIONS),
}


@dataclass(frozen=True)
class Size:
    width: int
    height: int
    frames: int

    @classmethod
    def of(cls, text: str) -> "Size":
        width, height, frames = (int(part) for part in text.split("x"))
        return cls(width, height, frames)

    def latent(self, kind: str) -> tuple[int, int, int]:
        """(frames, height, width) of latents."""
        if kind == "ltx2":
            return (self.frames - 1) // 8 + 1, self.height // 32, self.width // 32
        return (self.frames - 1) // 4 + 1, self.height // 8, self.width // 8

    def shape(self, model: Model) -> Shape:
        frames, height, width = self.latent(model.kind)
        if model.kind == "ltx2":
            return Shape(1, frames * height * width, round(self.frames / _LTX2_FPS * _AUDIO_PER_SECOND), model.text)
        return Shape(1, frames * (height // 2) * (width // 2), 0, model.text)


def build(model: Model, dtype: torch.dtype, device: str) -> Any:
    """The transformer with random weights, made on the device in `dtype`; what Wan keeps in fp32 is in fp32."""
    import diffusers

    cls: Any = diffusers.LTX2VideoTransformer3DModel if model.kind == "ltx2" else diffusers.WanTransformer3DModel
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            transformer = cls(**model.config)
    finally:
        torch.set_default_dtype(before)
    kept = cls._keep_in_fp32_modules or ()
    for name, parameter in transformer.named_parameters():
        if any(part in name.split(".") for part in kept):
            parameter.data = parameter.data.float()
    return transformer.train()


def inputs(model: Model, size: Size, dtype: torch.dtype, device: str, *, per_token: bool, seed: int = 0) -> Any:
    """What the transformer is called with, and what it should have said; `per_token` gives each token its timestep."""
    generator = torch.Generator(device).manual_seed(seed)
    config = {**_defaults(model), **model.config}

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    shape = size.shape(model)
    frames, height, width = size.latent(model.kind)
    timestep = torch.rand((1,), generator=generator, device=device) * 1000
    if model.kind == "wan21":
        video = (1, config["in_channels"], frames, height, width)
        wan = {
            "hidden_states": normal(*video),
            "timestep": timestep,
            "encoder_hidden_states": normal(1, shape.text_tokens, config["text_dim"]),
        }
        return wan, (normal(*video),)
    tokens = (1, shape.video_tokens, config["in_channels"])
    sounds = (1, shape.audio_tokens, config["audio_in_channels"])
    given: dict[str, Any] = {
        "hidden_states": normal(*tokens),
        "audio_hidden_states": normal(*sounds),
        "encoder_hidden_states": normal(1, shape.text_tokens, config["caption_channels"]),
        "audio_encoder_hidden_states": normal(1, shape.text_tokens, config["caption_channels"]),
        "timestep": timestep.expand(1, shape.video_tokens if per_token else 1),
        "audio_timestep": timestep.expand(1, shape.audio_tokens if per_token else 1),
        "num_frames": frames, "height": height, "width": width, "fps": _LTX2_FPS,
        "audio_num_frames": shape.audio_tokens,
    }  # fmt: skip
    return given, (normal(*tokens), normal(*sounds))


def loss(transformer: Any, given: Mapping[str, Any], wanted: tuple[Tensor, ...]) -> Tensor:
    said = transformer(**given, return_dict=False)
    return torch.stack(
        [(one.float() - other.float()).square().mean() for one, other in zip(said, wanted, strict=True)]
    ).sum()


def flops(model: Model, shape: Shape, rank: int) -> float:
    """Of one step that recomputes nothing: forward, gradients by activations, and those of the LoRA. 2 for each
    multiply-and-add; attention's backward is 2.5 times its forward, as fused kernels do; no elementwise work.
    """
    config = {**_defaults(model), **model.config}
    count = _wan if model.kind == "wan21" else _ltx2
    linears, text, attention, lora_sides = count(config, shape)
    lora = 2 * rank * lora_sides
    # The base is frozen and the text is no one's output: its projections have no backward.
    forward = linears + text + attention + lora
    return float(config["num_layers"] * shape.batch * (forward + linears + 2.5 * attention + 2 * lora))


def _wan(config: Mapping[str, Any], shape: Shape) -> tuple[float, ...]:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    inner, tokens, text = config["ffn_dim"], shape.video_tokens, shape.text_tokens
    linears = 12 * tokens * width**2 + 4 * tokens * width * inner
    sides = tokens * (12 * width + 2 * (width + inner)) + text * 4 * width
    return linears, 4 * text * width**2, 4 * tokens**2 * width + 4 * tokens * text * width, sides


def _ltx2(config: Mapping[str, Any], shape: Shape) -> tuple[float, ...]:
    video = config["num_attention_heads"] * config["attention_head_dim"]
    audio = config["audio_num_attention_heads"] * config["audio_attention_head_dim"]
    tokens, sounds, text = shape.video_tokens, shape.audio_tokens, shape.text_tokens
    linears = (12 + 16) * (tokens * video**2 + sounds * audio**2)
    attention = 4 * (tokens**2 + tokens * text) * video + 4 * (sounds**2 + sounds * text) * audio
    # Between the two: queries and outputs of one, keys and values of the other, in the sound's width.
    linears += 8 * (tokens * video * audio + sounds * audio**2)
    attention += 8 * tokens * sounds * audio
    sides = 12 * (tokens * video + sounds * audio) + 4 * text * (video + audio)
    sides += 4 * (tokens * (video + audio) + sounds * 2 * audio)
    return linears, 4 * text * (video**2 + audio**2), attention, sides


def _defaults(model: Model) -> dict[str, Any]:
    import inspect

    import diffusers

    cls: Any = diffusers.LTX2VideoTransformer3DModel if model.kind == "ltx2" else diffusers.WanTransformer3DModel
    make: Callable[..., Any] = cls.__init__
    return {name: each.default for name, each in inspect.signature(make).parameters.items() if name != "self"}
