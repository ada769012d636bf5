"""A request in the form that OpenAI-compatible servers take: chat messages with pictures and sound as base64."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pipeline.models.vlm import SOUND_HZ, Part, Picture, Request, Sound, Text, Video

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]

Message = dict[str, Any]

JPEG_QUALITY = 92
"""Text on screen stays readable; a request is a third as long as with PNG."""


def messages(request: Request, video: Literal["frames", "url"]) -> list[Message]:
    """Raises ValueError, naming the part, where one holds nothing or has the wrong shape.

    `video` "frames" writes each frame's time before it, which every model that sees can read; "url" sends it whole.
    """
    content = [each for number, part in enumerate(request.parts) for each in _content(part, number, video)]
    asked: Any = content
    if all(each["type"] == "text" for each in content):
        asked = "\n".join(each["text"] for each in content)  # Servers of text models take no list.
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, {"role": "user", "content": asked}]


def media_kwargs(parts: Sequence[Part], video: Literal["frames", "url"]) -> dict[str, Any]:
    """What vLLM must be told of a video that comes as JPEG frames, so that it neither guesses their times nor drops any
    (docs.vllm.ai, Multimodal Inputs, "Pre-extracted frame sequences with media_io_kwargs").
    """
    videos = [part for part in parts if isinstance(part, Video)]
    if video == "frames" or not videos:
        return {}
    if len({(len(each.frames), each.fps) for each in videos}) > 1:
        raise ValueError('a server is told one length and rate for all videos of a request: set video = "frames"')
    count, fps = len(videos[0].frames), videos[0].fps
    told = {"fps": fps, "frames_indices": list(range(count)), "total_num_frames": count, "duration": count / fps}
    return {"media_io_kwargs": {"video": {**told, "do_sample_frames": False}}}


def _content(part: Part, number: int, video: Literal["frames", "url"]) -> list[Message]:
    match part:
        case Text(text):
            return [_text(text)]
        case Picture(pixels):
            return [_image(_jpeg(pixels, number))]
        case Video(frames, fps):
            if len(frames) == 0 or fps <= 0:
                raise ValueError(f"part {number} is a video of {len(frames)} frames at {fps} frames a second")
            pictures = [_jpeg(frame, number) for frame in frames]
            if video == "url":
                url = f"data:video/jpeg;base64,{','.join(pictures)}"
                return [{"type": "video_url", "video_url": {"url": url}}]
            shown = [[_text(f"[{index / fps:.2f} s]"), _image(each)] for index, each in enumerate(pictures)]
            told = _text(
                f"A video of {len(frames) / fps:.2f} s; before each of its {len(frames)} frames stands its time."
            )
            return [told, *(each for pair in shown for each in pair)]
        case Sound(samples):
            if samples.ndim != 1 or len(samples) == 0:
                raise ValueError(f"part {number} is sound of shape {samples.shape}: it must be [time], not empty")
            data = base64.b64encode(_wav(samples)).decode()
            return [{"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}]


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


def _image(jpeg: str) -> Message:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg}"}}


def _jpeg(pixels: Pixels, number: int) -> str:
    from PIL import Image

    if pixels.ndim != 3 or pixels.shape[2] != 3 or str(pixels.dtype) != "uint8" or 0 in pixels.shape:
        raise ValueError(
            f"part {number} has pixels of shape {pixels.shape}, {pixels.dtype}: it must be [height, width, 3], uint8"
        )
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=JPEG_QUALITY)
    return base64.b64encode(out.getvalue()).decode()


def _wav(samples: npt.NDArray[np.float32]) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SOUND_HZ)
        file.writeframes((samples.clip(-1, 1) * 32767).round().astype("<i2").tobytes())
    return out.getvalue()
