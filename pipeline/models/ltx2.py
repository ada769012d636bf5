"""LTX-2's text encoder, connectors and VAEs: captions, clips and their sound as the tensors that it is trained on.

One component is in memory at a time, and is freed when its `with` ends. Tensors are named by their shape: B samples, F
frames, H rows, W columns, C channels (RGB, latent or of sound), T frames of sound, M bins of frequency, S samples of
sound. What is done with a text is in `ltx2_text`.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.models.ltx2_text import EmbedTexts, embedding, stored
from pipeline.models.mel import log_mel
from pipeline.models.memory import free

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PREPROCESSING = ("tokenizer", "text_encoder", "connectors", "vae", "audio_vae")
"""The components that make training data; the transformer is the rest, and most, of the model."""


EncodeVideo: TypeAlias = "Callable[[Tensor], Tensor]"
EncodeAudio: TypeAlias = "Callable[[Tensor], Tensor]"


def transformer_config(folder: Path) -> dict[str, Any]:
    """What decides the transformer's size and shapes, by diffusers' names."""
    diffusers: Any = importlib.import_module("diffusers")
    return dict(diffusers.LTX2VideoTransformer3DModel.load_config(folder, subfolder="transformer"))


def transformer(folder: Path, dtype: torch.dtype) -> Any:
    """The transformer, on the CPU."""
    diffusers: Any = importlib.import_module("diffusers")
    return diffusers.LTX2VideoTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=dtype)


@contextmanager
def text_encoder(folder: Path, device: str) -> Iterator[EmbedTexts]:
    """Yields a function that embeds texts together: Gemma's hidden states of all layers, through the connectors.

    Gemma computes only as many of the 1024 places as the longest text has tokens, and those where padding would put
    them; what LTX2Pipeline computes besides is masked, and a typical caption fills a fifth.
    """
    dtype = _working(device)
    tokenizer = _tokenizer(folder)
    gemma: Any = _class(folder, "text_encoder").from_pretrained(
        folder, subfolder="text_encoder", dtype=dtype, device_map=device
    )
    connectors: Any = _class(folder, "connectors").from_pretrained(folder, subfolder="connectors", torch_dtype=dtype)
    gemma.eval()
    connectors.to(device).eval()

    try:
        yield embedding(tokenizer, gemma, connectors, device)
    finally:
        gemma.to("meta")  # Whoever still holds the function by then does not hold the weights.
        connectors.to("meta")
        free()


@contextmanager
def video_encoder(folder: Path, device: str) -> Iterator[EncodeVideo]:
    """Yields a function from pictures_BFHWC (uint8, RGB) to latents_BCFHW (bf16, on the CPU).

    Frames 8n + 1 become n + 1, sides a 32nd. A latent is the mean of its distribution, normalised by the model's own
    mean and deviation of each channel. The VAE works in bf16, as Lightricks' trainer runs it; on a CPU in fp32.
    """
    vae = _video_vae(folder, device)
    try:
        yield encoding(vae, device)
    finally:
        vae.to("meta")
        free()


def encoding(vae: Any, device: str) -> EncodeVideo:
    """The function of `video_encoder`, by a VAE that is loaded."""
    import torch

    mean_C111, std_C111 = _statistics(vae)

    @torch.inference_mode()
    def encode(pictures_BFHWC: Tensor) -> Tensor:
        pixels_BCFHW = pictures_BFHWC.to(device).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
        latents_BCFHW: Tensor = vae.encode(pixels_BCFHW.to(vae.dtype)).latent_dist.mode().float()
        return stored((latents_BCFHW - mean_C111) * vae.config.scaling_factor / std_C111)

    return encode


@contextmanager
def video_decoder(folder: Path, device: str) -> Iterator[EncodeVideo]:
    """Yields the inverse of `video_encoder`'s function: latents_BCFHW to pictures_BFHWC (uint8, RGB, on the CPU)."""
    import torch

    vae = _video_vae(folder, device)
    mean_C111, std_C111 = _statistics(vae)

    @torch.inference_mode()
    def decode(latents_BCFHW: Tensor) -> Tensor:
        raw_BCFHW = latents_BCFHW.to(device).float() * std_C111 / vae.config.scaling_factor + mean_C111
        clean_B = torch.zeros(len(raw_BCFHW), device=device) if vae.config.timestep_conditioning else None
        pixels_BCFHW: Tensor = vae.decode(raw_BCFHW.to(vae.dtype), clean_B).sample
        bytes_BCFHW = ((pixels_BCFHW.float() + 1) * 127.5).round().clamp(0, 255)
        return bytes_BCFHW.permute(0, 2, 3, 4, 1).to("cpu", torch.uint8)

    try:
        yield decode
    finally:
        vae.to("meta")
        free()


@dataclass(frozen=True, slots=True)
class AudioEncoder:
    """`encode` turns waves_BCS (float32 in [-1, 1], stereo, at `rate` Hz) into latents_BCTM (fp32, on the CPU)."""

    rate: int
    encode: EncodeAudio


@contextmanager
def audio_encoder(folder: Path, device: str) -> Iterator[AudioEncoder]:
    """Yields the audio VAE: a second becomes 25 steps of 8 channels by 16 bins, normalised over those 128 together."""
    import torch

    diffusers: Any = importlib.import_module("diffusers")  # It says nothing of its types.
    vae = diffusers.AutoencoderKLLTX2Audio.from_pretrained(folder, subfolder="audio_vae", torch_dtype=torch.float32)
    vae.to(device).eval()
    try:
        yield hearing(vae, device)
    finally:
        vae.to("meta")
        free()


def hearing(vae: Any, device: str) -> AudioEncoder:
    """What `audio_encoder` yields, by a VAE that is loaded."""
    import torch

    rate, hop, bins = vae.config.sample_rate, vae.config.mel_hop_length, vae.config.mel_bins

    @torch.inference_mode()
    def encode(waves_BCS: Tensor) -> Tensor:
        mel_BCTM = log_mel(waves_BCS.to(device), rate, hop, bins)
        latents_BCTM: Tensor = vae.encode(mel_BCTM).latent_dist.mode()
        packed_BTD = latents_BCTM.transpose(1, 2).flatten(2)
        normal_BTD = (packed_BTD - vae.latents_mean) / vae.latents_std
        channels_and_bins = (latents_BCTM.shape[1], latents_BCTM.shape[3])
        normal_BCTM: Tensor = normal_BTD.unflatten(2, channels_and_bins).transpose(1, 2)
        return normal_BCTM.to("cpu", torch.float32)

    return AudioEncoder(rate, encode)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _video_vae(folder: Path, device: str) -> Any:
    diffusers: Any = importlib.import_module("diffusers")
    vae = diffusers.AutoencoderKLLTX2Video.from_pretrained(folder, subfolder="vae", torch_dtype=_working(device))
    return vae.to(device).eval()


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Of each latent channel the mean and the deviation that the VAE's training data had, in fp32."""
    return vae.latents_mean.float().view(-1, 1, 1, 1), vae.latents_std.float().view(-1, 1, 1, 1)


def _class(folder: Path, component: str) -> Any:
    """The class that model_index.json names for a component."""
    library, name = json.loads((folder / "model_index.json").read_text())[component]
    known = {"ltx2": "diffusers.pipelines.ltx2", "diffusers": "diffusers", "transformers": "transformers"}
    found = getattr(importlib.import_module(known[library]), name, None) if library in known else None
    if found is None:
        raise ValueError(
            f"{folder}: its {component} is a {library}.{name}, which this release does not know; it knows LTX-2 and "
            "LTX-2.3 in diffusers' layout, e.g. Lightricks/LTX-2"
        )
    return found


def _working(device: str) -> torch.dtype:
    """bf16, as the model was made to run; on a CPU fp32, which most compute several times as fast."""
    import torch

    return torch.bfloat16 if device != "cpu" else torch.float32
