"""Wan2.1's text encoder and VAE: captions and clips as the tensors that its transformer is trained on.

One component is in memory at a time, and is freed when its `with` ends. Tensors are named by their shape: B videos, F
frames, H rows, W columns, C channels (RGB or latent), L text tokens, D channels of a text token.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.models.memory import free

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TEXT_TOKENS = 512
"""What the transformer is given of each text, padded with zeros that it attends to (Wan2.1 wan/modules/t5.py)."""

LATENT_CHANNELS = 16

ENCODING = ("tokenizer", "text_encoder", "vae")
"""Components that captions and clips are encoded with."""

SIZES = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers or Wan-AI/Wan2.1-T2V-14B-Diffusers"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's embedding_LD in bf16, L at most TEXT_TOKENS and without padding, and how many tokens did not fit."""

    embedding_LD: Tensor
    cut_off: int


EncodeText: TypeAlias = "Callable[[str], Embedded]"
EncodeVideo: TypeAlias = "Callable[[Tensor], Tensor]"


def check(folder: Path, name: str) -> None:
    """Raise ValueError where the model in `folder`, which people call `name`, is not Wan2.1 text-to-video.

    `model_index.json` says nearly all, so that nothing large is downloaded of a model that is refused.
    """
    index = _read(folder / "model_index.json", name)
    kind, transformer = index.get("_class_name"), (index.get("transformer") or (None, None))[1]
    config = folder / "transformer" / "config.json"
    channels = _read(config, name).get("in_channels", LATENT_CHANNELS) if config.is_file() else LATENT_CHANNELS
    if kind == "WanImageToVideoPipeline" or channels != LATENT_CHANNELS:
        problem = "makes video from pictures"
    elif (index.get("transformer_2") or (None,))[0] or index.get("expand_timesteps"):
        problem = "is a Wan2.2"
    elif (kind, transformer) != ("WanPipeline", "WanTransformer3DModel"):
        problem = f"is a {kind} of {transformer}"
    else:
        return
    raise ValueError(f"{name} {problem}, and this trains Wan2.1 text-to-video only: set `model` to {SIZES}")


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{name}: {path} cannot be read ({error}); set `model` to {SIZES}") from error
    return found


def transformer_config(folder: Path) -> dict[str, Any]:
    """What decides the transformer's size and shapes, by diffusers' names."""
    return dict(_diffusers().WanTransformer3DModel.load_config(folder, subfolder="transformer"))


def transformer(folder: Path, dtype: torch.dtype) -> Any:
    """The transformer on the CPU; norms, modulation and the embedding of time stay in fp32 whatever `dtype` is."""
    return _diffusers().WanTransformer3DModel.from_pretrained(folder, subfolder="transformer", dtype=dtype)


@contextmanager
def text_encoder(folder: Path, device: str) -> Iterator[EncodeText]:
    """Yields a function that embeds one text with UMT5, bit for bit as WanPipeline does: in bf16, padded to TEXT_TOKENS
    and masked. One text at a time fills a GPU, and then none depends on its neighbours.
    """
    import torch
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean
    from transformers import AutoTokenizer, UMT5EncoderModel

    tokenizer = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
    model: Any = UMT5EncoderModel.from_pretrained(folder, subfolder="text_encoder", dtype=torch.bfloat16)
    model.to(device).eval()

    @torch.inference_mode()
    def encode(text: str) -> Embedded:
        clean = str(prompt_clean(text))  # type: ignore[no-untyped-call]
        tokens = len(tokenizer(clean).input_ids)
        rows = tokenizer(clean, padding="max_length", max_length=TEXT_TOKENS, truncation=True, return_tensors="pt")
        rows = rows.to(device)
        states_BLD = model(rows.input_ids, rows.attention_mask).last_hidden_state
        embedding_LD = states_BLD[0, : min(tokens, TEXT_TOKENS)].to("cpu", torch.bfloat16)
        return Embedded(embedding_LD.clone(), max(tokens - TEXT_TOKENS, 0))

    try:
        yield encode
    finally:
        model.to("meta")  # Whoever still holds the function by then does not hold the weights.
        free()


@contextmanager
def video_encoder(folder: Path, device: str) -> Iterator[EncodeVideo]:
    """Yields a function from pictures_BFHWC (uint8, RGB) to latents_BCFHW (bf16, on the CPU).

    Frames 4n + 1 become n + 1, sides an eighth. The VAE works in fp32, as its authors run it; a latent is the mean of
    its distribution, then normalised by the model's own means and deviations of each channel.
    """
    import torch

    vae, mean_C111, std_C111 = _vae(folder, device)

    @torch.inference_mode()
    def encode(pictures_BFHWC: Tensor) -> Tensor:
        pixels_BCFHW = pictures_BFHWC.to(device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        latents_BCFHW: Tensor = vae.encode(pixels_BCFHW).latent_dist.mode()
        return ((latents_BCFHW - mean_C111) / std_C111).to("cpu", torch.bfloat16)

    try:
        yield encode
    finally:
        vae.to("meta")
        free()


@contextmanager
def video_decoder(folder: Path, device: str) -> Iterator[EncodeVideo]:
    """Yields the inverse of `video_encoder`'s function: latents_BCFHW to pictures_BFHWC (uint8, RGB, on the CPU)."""
    import torch

    vae, mean_C111, std_C111 = _vae(folder, device)

    @torch.inference_mode()
    def decode(latents_BCFHW: Tensor) -> Tensor:
        pixels_BCFHW: Tensor = vae.decode(latents_BCFHW.to(device).float() * std_C111 + mean_C111).sample
        return ((pixels_BCFHW + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 4, 1).to("cpu", torch.uint8)

    try:
        yield decode
    finally:
        vae.to("meta")
        free()


def _vae(folder: Path, device: str) -> tuple[Any, Tensor, Tensor]:
    """The VAE, and of each latent channel the mean and the deviation that its training data had."""
    import torch

    vae = _diffusers().AutoencoderKLWan.from_pretrained(folder, subfolder="vae", dtype=torch.float32)
    vae.to(device).eval()
    mean_C111, std_C111 = (
        torch.tensor(numbers, device=device).view(-1, 1, 1, 1)
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    return vae, mean_C111, std_C111


def _diffusers() -> Any:
    """It says nothing of its types."""
    return importlib.import_module("diffusers")
