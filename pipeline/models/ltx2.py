"""LTX-2's text encoder, connectors and VAEs: captions, clips and their sound as the tensors that it is trained on.

One component is in memory at a time, and is freed when its `with` ends. Tensors are named by their shape: B samples, F
frames, H rows, W columns, C channels (RGB, latent or of sound), L text tokens, D channels of a text token, N layers, T
frames of sound, M bins of frequency, S samples of sound.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.models.mel import log_mel
from pipeline.models.memory import free

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TEXT_TOKENS = 1024
"""What the connectors take of each text (LTX2Pipeline's max_sequence_length)."""

BLOCK_TOKENS = 64
"""Texts are padded to multiples of this before the text encoder, so that it meets few shapes."""

PREPROCESSING = ("tokenizer", "text_encoder", "connectors", "vae", "audio_vae")
"""The components that make training data; the transformer is the rest, and most, of the model."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """One text, on the CPU, in bf16. `video_LD` and `audio_LD` are what Lightricks' trainer keeps: the features before
    the connectors, padded on the left, with `mask_L` (int64, 1 is a token). For LTX-2.0 both are the same.

    `connected_*` are what the transformer takes: behind the connectors, whose registers stand in for padding, so that
    no mask is needed. `cut_off` counts the tokens that did not fit.
    """

    video_LD: Tensor
    audio_LD: Tensor
    mask_L: Tensor
    connected_video_LD: Tensor
    connected_audio_LD: Tensor
    cut_off: int


EmbedTexts: TypeAlias = "Callable[[Sequence[str]], list[Embedded]]"
EncodeVideo: TypeAlias = "Callable[[Tensor], Tensor]"
EncodeAudio: TypeAlias = "Callable[[Tensor], Tensor]"


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


def embedding(tokenizer: Any, gemma: Any, connectors: Any, device: str) -> EmbedTexts:
    """The function of `text_encoder`, by models that are loaded."""
    import torch

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> list[Embedded]:
        rows = [tokenizer(text.strip(), add_special_tokens=True, verbose=False).input_ids for text in texts]
        ids_BL, mask_BL = _padded([row[:TEXT_TOKENS] for row in rows], tokenizer.pad_token_id)
        places_BL = torch.arange(TEXT_TOKENS - ids_BL.shape[1], TEXT_TOKENS).expand_as(ids_BL)
        # The language model's head, a quarter of a million words for each token, is not asked.
        states = gemma.model(
            input_ids=ids_BL.to(device),
            attention_mask=mask_BL.to(device),
            position_ids=places_BL.to(device),
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        lacking = TEXT_TOKENS - ids_BL.shape[1]
        states_BLDN = torch.nn.functional.pad(torch.stack(states, dim=-1), (0, 0, 0, 0, lacking, 0))
        mask_BL = torch.nn.functional.pad(mask_BL, (lacking, 0))
        features = _inputs(connectors.video_connector), _inputs(connectors.audio_connector)
        with features[0] as video, features[1] as audio:
            video_BLD, audio_BLD, kept_BL = connectors(states_BLDN, mask_BL.to(device), padding_side="left")
        assert bool(kept_BL.all())  # Registers stand where padding stood.
        before = [_stored(each) for each in (video[0], audio[0])]
        behind = [_stored(each) for each in (video_BLD, audio_BLD)]
        return [
            Embedded(
                video_LD=before[0][index],
                audio_LD=before[1][index],
                mask_L=mask_BL[index],
                connected_video_LD=behind[0][index],
                connected_audio_LD=behind[1][index],
                cut_off=max(len(row) - TEXT_TOKENS, 0),
            )
            for index, row in enumerate(rows)
        ]

    return embed


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
        return _stored((latents_BCFHW - mean_C111) * vae.config.scaling_factor / std_C111)

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


def psnr_db(one_FHWC: Tensor, other_FHWC: Tensor) -> float:
    """Peak signal to noise ratio of two uint8 videos of one shape; 100 where they are the same."""
    import math

    error = (one_FHWC.float() - other_FHWC.float()).square().mean().item()
    return 10 * math.log10(255**2 / error) if error > 255**2 * 1e-10 else 100.0


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, subfolder="tokenizer")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and masks (int64), padded on the left to the longest row, rounded up."""
    import torch

    length = min(TEXT_TOKENS, -(-max(map(len, rows)) // BLOCK_TOKENS) * BLOCK_TOKENS)
    ids = [[pad] * (length - len(row)) + list(row) for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


def _video_vae(folder: Path, device: str) -> Any:
    diffusers: Any = importlib.import_module("diffusers")
    vae = diffusers.AutoencoderKLLTX2Video.from_pretrained(folder, subfolder="vae", torch_dtype=_working(device))
    return vae.to(device).eval()


def _statistics(vae: Any) -> tuple[Tensor, Tensor]:
    """Of each latent channel the mean and the deviation that the VAE's training data had, in fp32."""
    return vae.latents_mean.float().view(-1, 1, 1, 1), vae.latents_std.float().view(-1, 1, 1, 1)


@contextmanager
def _inputs(module: Any) -> Iterator[list[Tensor]]:
    """The first argument of each call of `module` meanwhile.

    The connectors compute the features that Lightricks' trainer keeps on their way, and do not return them.
    """
    seen: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        hook.remove()


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


def _stored(tensor: Tensor) -> Tensor:
    import torch

    return tensor.to("cpu", torch.bfloat16)
