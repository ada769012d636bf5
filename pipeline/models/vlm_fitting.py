"""Parts of a request cut to measure: pictures within a budget, videos with their times. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pipeline.models.vlm import Part, Picture, Sound, Text, Video

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]


def metadata(video: Video) -> dict[str, Any]:
    """What processors are told of frames that were taken already, so that they neither take some of them nor guess."""
    count, height, width, _ = video.frames.shape
    return {
        "total_num_frames": count,
        "fps": video.fps,
        "frames_indices": list(range(count)),
        "duration": count / video.fps,
        "width": width,
        "height": height,
        "video_backend": "pyav",
    }


def as_pictures(part: Part) -> list[Part]:
    """A video as pictures, each with its time, for families that take no video."""
    if not isinstance(part, Video):
        return [part]
    shown: list[Part] = []
    for index, frame in enumerate(part.frames):
        shown += [Text(f"<{index / part.fps:.1f} seconds>"), Picture(frame)]
    return shown


def shrunk(frames: Pixels, pixels: int) -> Pixels:
    """[time, height, width, 3] with at most `pixels` in each picture; never enlarged."""
    import numpy as np

    height, width = frames.shape[1:3]
    scale = math.sqrt(pixels / (height * width))
    if scale >= 1:
        return np.ascontiguousarray(frames)
    import cv2

    size = max(1, int(width * scale)), max(1, int(height * scale))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]).astype(np.uint8)


def length(part: Part) -> float:
    """Tokens, roughly, and alike for all families: batches need an order, not a number."""
    match part:
        case Text():
            return len(part.text) / 4
        case Picture():
            return part.pixels.size / (3 * 784)
        case Video():
            return part.frames.size / (3 * 2 * 784)
        case Sound():
            return len(part.samples) / 640
