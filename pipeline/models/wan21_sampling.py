"""Videos from Wan2.1 while it is being trained: what the LoRA makes of a prompt so far.

The transformer is the one in training, as it stands in memory; prompts come as the embeddings that it is trained on.
The VAE is loaded when there is something to decode, and freed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models.sampling import aside
from pipeline.models.wan21 import TEXT_TOKENS, video_decoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FPS = 16
"""Frames a second of everything that Wan2.1 makes."""

DECODED = ("vae", "scheduler")
"""Components that sampling reads of the model's folder, beside the transformer that it is given."""


def sample(
    transformer: Any,
    folder: Path,
    prompt_LD: Tensor,
    empty_LD: Tensor,
    *,
    seed: int,
    width: int,
    height: int,
    num_frames: int,
    steps: int = 30,
    guidance: float = 5.0,
) -> NDArray[np.uint8]:
    """What `transformer` makes of a prompt from the noise of `seed`, by diffusers' own WanPipeline: pictures_FHWC, RGB.

    `prompt_LD` and `empty_LD` (no words, for guidance) are UMT5's embeddings of L tokens and D channels, without
    padding. `folder` holds the model in diffusers' layout. Sides are multiples of 16 pixels, frames 4n + 1; a guidance
    of 1 is none. No random stream but its own is drawn from; the transformer is left as it was found, off compilation,
    for sizes that training does not know would be compiled each time.
    """
    import torch
    from diffusers import UniPCMultistepScheduler, WanPipeline

    weight = transformer.patch_embedding.weight

    def padded(text_LD: Tensor) -> Tensor:
        room = (0, 0, 0, TEXT_TOKENS - text_LD.shape[0])
        return torch.nn.functional.pad(text_LD.to(weight.device, weight.dtype), room)[None]

    scheduler: Any = UniPCMultistepScheduler.from_pretrained(folder, subfolder="scheduler")  # type: ignore[no-untyped-call]
    make: Any = WanPipeline
    pipeline = make(None, None, None, scheduler, transformer)
    pipeline.set_progress_bar_config(disable=True)
    with aside(transformer):
        latents_BCFHW = pipeline(
            prompt_embeds=padded(prompt_LD),
            negative_prompt_embeds=padded(empty_LD),
            generator=torch.Generator().manual_seed(seed),
            width=width,
            height=height,
            num_frames=num_frames,
            num_inference_steps=steps,
            guidance_scale=guidance,
            output_type="latent",
            return_dict=False,
        )[0]
        with video_decoder(folder, str(weight.device)) as decode:
            pictures_FHWC: NDArray[np.uint8] = decode(latents_BCFHW)[0].numpy()
    return pictures_FHWC
