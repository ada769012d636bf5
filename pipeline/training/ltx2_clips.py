"""LTX-2's clips as training sees them: the files of one, and what a sample of it is at some noise level.

Names: T tokens, C channels. Latents are packed as diffusers' LTX2Pipeline packs them: video frame by frame, row by row,
(F * H * W, C); sound (T, channels * mel bins).
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from pipeline.training import flow_matching as flow
from pipeline.training import loading

Shape = tuple[int, int, int, int, float]
"""Latent frames, rows, columns, steps of sound, frames a second: samples of one batch agree in it."""


@dataclass(frozen=True)
class Clip:
    """One sample's files and what their tensors measure: latent frames, rows and columns, steps of sound."""

    name: str
    latents: Path
    audio: Path | None
    text: Path
    frames: int
    height: int
    width: int
    audio_steps: int
    fps: float

    @property
    def tokens(self) -> int:
        return self.frames * self.height * self.width


def measured(name: str, latents: Path, audio: Path | None, text: Path) -> Clip:
    """A clip, of the sizes that its own tensors have."""
    video = loading.read(latents)
    _, frames, height, width = video["latents"].shape
    steps = loading.read(audio)["latents"].shape[1] if audio else 0
    return Clip(name, latents, audio, text, frames, height, width, steps, float(video["fps"]))


@dataclass(frozen=True)
class Point:
    """Where on the way to noise a sample is taken: shares of noise of picture and sound, and whether its first frame
    is given clean. `text` is the file of its words.
    """

    sigma: float
    audio_sigma: float
    text: Path
    is_given: bool = False


def sample(
    clip: Clip, point: Point, generator: Generator, dtype: torch.dtype, *, with_sound: bool
) -> dict[str, Tensor]:
    """What goes into the model, and the velocity that it is to find. `given_T` has 1 for tokens that are given."""
    words = loading.read(point.text)
    video_TC = loading.read(clip.latents)["latents"].float().flatten(1).T
    noise_TC = torch.randn(video_TC.shape, generator=generator)
    found = {
        "sigma": torch.tensor(point.sigma),
        "audio_sigma": torch.tensor(point.audio_sigma),
        "video": flow.noised(video_TC, noise_TC, torch.tensor(point.sigma)),
        "target": flow.velocity(video_TC, noise_TC),
        "text": words["video"].to(dtype),
        "audio_text": words["audio"].to(dtype),
        "given_T": torch.zeros(len(video_TC)),
    }
    if point.is_given:  # The first frame's tokens stand first.
        first = clip.height * clip.width
        found["video"][:first] = video_TC[:first]
        found["given_T"][:first] = 1
    if with_sound and clip.audio is not None:
        audio_TC = loading.read(clip.audio)["latents"].float().transpose(0, 1).flatten(1)
        audio_noise_TC = torch.randn(audio_TC.shape, generator=generator)
        found["audio"] = flow.noised(audio_TC, audio_noise_TC, torch.tensor(point.audio_sigma))
        found["audio_target"] = flow.velocity(audio_TC, audio_noise_TC)
    return found
