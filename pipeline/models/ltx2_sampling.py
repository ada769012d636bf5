"""Videos with sound from LTX-2 while it is being trained: what the LoRA makes of a prompt so far.

The transformer is the one in training, as it stands in memory; prompts come as the embeddings that it is trained on.
The decoders are loaded when there is something to decode, and freed. Tensors are named by their shape: B videos,
F frames, H rows, W columns, C channels, S samples of sound, T tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.memory import free
from pipeline.models.sampling import as_pictures, aside

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

DECODED = ("vae", "audio_vae", "vocoder", "scheduler")
"""Components that sampling reads of the model's folder, beside the transformer that it is given."""


@dataclass(frozen=True, slots=True)
class Take:
    """A video: pictures_FHWC (uint8, RGB), sound_CS (float32 in [-1, 1], stereo) of `rate_hz`."""

    pictures_FHWC: NDArray[np.uint8]
    sound_CS: NDArray[np.float32]
    rate_hz: int


def sample(
    transformer: Any,
    folder: Path,
    prompt: Mapping[str, Tensor],
    empty: Mapping[str, Tensor],
    *,
    seed: int,
    width: int,
    height: int,
    num_frames: int,
    fps: float = 24.0,
    steps: int = 30,
    guidance: float = 3.0,
    sound_guidance: float = 7.0,
) -> Take:
    """What `transformer` makes of `prompt` from the noise of `seed`, by diffusers' own LTX2Pipeline.

    `prompt` and `empty` (no words, for guidance) are embeddings behind the connectors: `video` and `audio`, each
    (tokens, channels), as many tokens in both. `folder` holds the model in diffusers' layout. Sides are multiples of 32
    pixels, frames 8n + 1; a guidance of 1 is none. No random stream but its own is drawn from; the transformer is left
    as it was found, off compilation, for sizes that training does not know would be compiled each time.
    """
    import torch
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        LTX2Pipeline,
    )

    guided = guidance > 1 or sound_guidance > 1
    device, dtype = transformer.proj_in.weight.device, transformer.proj_in.weight.dtype
    words, nothing = ({name: each.to(device, dtype)[None] for name, each in text.items()} for text in (prompt, empty))
    sound_BTC = torch.cat([nothing["audio"], words["audio"]]) if guided else words["audio"]
    mask_BT = torch.ones(words["video"].shape[:2], dtype=dtype, device=device)

    def connectors(video_BTC: Tensor, mask_BT: Tensor, **_: Any) -> tuple[Tensor, Tensor, Tensor]:
        return video_BTC, sound_BTC, mask_BT  # They were embedded before; the pipeline puts `empty` first.

    scheduler: Any = FlowMatchEulerDiscreteScheduler.from_pretrained(folder, subfolder="scheduler")  # type: ignore[no-untyped-call]
    make: Any = LTX2Pipeline
    pipeline = make(
        scheduler=scheduler,
        vae=_Measures(AutoencoderKLLTX2Video, folder, "vae"),
        audio_vae=_Measures(AutoencoderKLLTX2Audio, folder, "audio_vae"),
        text_encoder=None,
        tokenizer=None,
        connectors=connectors,
        transformer=transformer,
        vocoder=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    with aside(transformer):
        latents_BCFHW, mel_BCTM = pipeline(
            prompt_embeds=words["video"],
            prompt_attention_mask=mask_BT,
            negative_prompt_embeds=nothing["video"],
            negative_prompt_attention_mask=mask_BT,
            generator=torch.Generator().manual_seed(seed),
            width=width,
            height=height,
            num_frames=num_frames,
            frame_rate=fps,
            num_inference_steps=steps,
            guidance_scale=guidance,
            audio_guidance_scale=sound_guidance,
            # Two more passes each, for what hardly tells one checkpoint from another.
            stg_scale=0.0,
            audio_stg_scale=0.0,
            modality_scale=1.0,
            audio_modality_scale=1.0,
            use_cross_timestep=bool(transformer.config.get("cross_attn_mod")),
            output_type="latent",
            return_dict=False,
        )
        pictures_FHWC = _pictures(folder, latents_BCFHW, dtype)
        sound_CS, rate_hz = _sound(folder, mel_BCTM)
    return Take(pictures_FHWC, sound_CS, rate_hz)


class _Measures:
    """In a VAE's place before anything is decoded: its ratios and settings, and statistics that leave latents as they
    are.
    """

    def __init__(self, kind: Any, folder: Path, subfolder: str) -> None:
        import torch
        from accelerate import init_empty_weights  # type: ignore[import-untyped]

        with init_empty_weights():
            vae = kind.from_config(kind.load_config(folder, subfolder=subfolder))
        self.config = vae.config
        # The pipeline divides by the scaling factor, where there is one.
        scaling = float(vae.config.get("scaling_factor") or 1)
        self.latents_mean, self.latents_std = torch.zeros(1), torch.full((1,), scaling)
        self.temporal_compression_ratio = vae.temporal_compression_ratio
        for name in ("spatial_compression_ratio", "mel_compression_ratio"):
            if hasattr(vae, name):
                setattr(self, name, getattr(vae, name))


def _pictures(folder: Path, latents_BCFHW: Tensor, dtype: torch.dtype) -> NDArray[np.uint8]:
    """Of normalised latents_BCFHW with one video in them."""
    from diffusers import AutoencoderKLLTX2Video

    vae: Any = AutoencoderKLLTX2Video.from_pretrained(folder, subfolder="vae", torch_dtype=dtype)  # type: ignore[no-untyped-call]
    vae.to(latents_BCFHW.device)
    if latents_BCFHW.is_cuda:  # Whole, a second of video takes several GB, and beside it lies all of the training.
        vae.enable_tiling()
    mean_C111, std_C111 = (each.view(-1, 1, 1, 1) for each in (vae.latents_mean, vae.latents_std))
    latents_BCFHW = latents_BCFHW.float() * std_C111.float() / vae.config.scaling_factor + mean_C111.float()
    pixels_BCFHW = vae.decode(latents_BCFHW.to(dtype), None, return_dict=False)[0]
    del vae
    free()
    return as_pictures(pixels_BCFHW)


def _sound(folder: Path, latents_BCTM: Tensor) -> tuple[NDArray[np.float32], int]:
    """Of normalised latents_BCTM (T steps of time, M bins) with one sound in them, and its samples a second."""
    from diffusers import AutoencoderKLLTX2Audio

    device, bins = latents_BCTM.device, latents_BCTM.shape[-1]
    vae: Any = AutoencoderKLLTX2Audio.from_pretrained(folder, subfolder="audio_vae")  # type: ignore[no-untyped-call]
    vae.to(device)
    # Its statistics are of the packed form, where channels and bins are one.
    packed_BTC = latents_BCTM.float().transpose(1, 2).flatten(2) * vae.latents_std + vae.latents_mean
    mel_BCTM = vae.decode(packed_BTC.unflatten(2, (-1, bins)).transpose(1, 2), return_dict=False)[0]
    del vae
    vocoder = _vocoder(folder).to(device)
    sound_CS = vocoder(mel_BCTM)[0].float().clamp(-1, 1).cpu().numpy()
    rate_hz = int(vocoder.config.output_sampling_rate)
    del vocoder
    free()
    return sound_CS, rate_hz


def _vocoder(folder: Path) -> Any:
    """LTX-2's, or that of LTX-2.3, which widens the band: the folder says which."""
    from diffusers.pipelines.ltx2 import vocoder

    kind = vocoder.LTX2Vocoder.load_config(folder, subfolder="vocoder")["_class_name"]
    return getattr(vocoder, kind).from_pretrained(folder, subfolder="vocoder")
