"""The files of LTX-2's official trainer: what `.precomputed` holds, in its keys, shapes and types.

Format: Lightricks/LTX-2, packages/ltx-trainer (scripts/process_videos.py, scripts/process_captions.py), at 400fd310;
it reads them with `torch.load(weights_only=True)`. The same tensors are the same bytes: archives carry neither their
file's name nor a time. Letters as in `ltx2` and `ltx2_text`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.models.ltx2_text import Embedded


def write_latents(path: Path, latents_CFHW: Tensor, fps: float) -> None:
    """A clip's picture: bf16, normalised."""
    _, num_frames, height, width = latents_CFHW.shape
    _write(path, {"latents": latents_CFHW, "num_frames": num_frames, "height": height, "width": width, "fps": fps})


def write_audio_latents(path: Path, latents_CTM: Tensor, duration: float) -> None:
    """A clip's sound: fp32, normalised; `duration` in seconds."""
    _, steps, bins = latents_CTM.shape
    _write(path, {"latents": latents_CTM, "num_time_steps": steps, "frequency_bins": bins, "duration": duration})


def write_conditions(path: Path, text: Embedded) -> None:
    """A caption before the connectors, padded on the left."""
    _write(
        path,
        {
            "video_prompt_embeds": text.video_LD,
            "audio_prompt_embeds": text.audio_LD,
            "prompt_attention_mask": text.mask_L,
        },
    )


def write_connected(path: Path, text: Embedded) -> None:
    """A caption behind the connectors, which the official trainer does not keep: safetensors of `video` and `audio`."""
    from safetensors.torch import save_file

    connected = {"video": text.connected_video_LD, "audio": text.connected_audio_LD}
    save_file({name: tensor.clone() for name, tensor in connected.items()}, path)


def read(path: Path) -> dict[str, Any]:
    """A file of this layout, as the official trainer reads it."""
    import torch

    found: dict[str, Any] = torch.load(path, weights_only=True)
    return found


def _write(path: Path, content: dict[str, Any]) -> None:
    import torch

    # A view would be stored with all that it is a view of; and a file of its own would be named inside the archive.
    whole = {
        name: each.clone(memory_format=torch.contiguous_format) if isinstance(each, torch.Tensor) else each
        for name, each in content.items()
    }
    buffer = io.BytesIO()
    torch.save(whole, buffer)
    path.write_bytes(buffer.getvalue())
