"""One pass over an episode's picture: when frames are shown, what they look like small, what a detector says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.media import video
from pipeline.media.decoding import Faults
from pipeline.media.rates import Rate, frame_rate
from pipeline.media.shots import THUMBNAIL
from pipeline.schemas.timeline import MediaInfo

if TYPE_CHECKING:
    from pipeline.media.shots import Thumbnails
    from pipeline.media.video import Picture

WATCHED_WIDTH = 256
"""Width of the pictures that detectors see; PySceneDetect's own default shrinks to no less."""


@dataclass(frozen=True, slots=True)
class Scan:
    """`times` of all frames in seconds, (frames, 27, 48, 3) `thumbnails`, the detector's `candidates`, and `media`."""

    times: tuple[float, ...]
    thumbnails: Thumbnails
    candidates: tuple[int, ...]
    rate: Rate
    media: MediaInfo


def watch(path: Path, media: MediaInfo, detect: Callable[[Iterable[Picture]], list[int]]) -> Scan:
    """Decode every frame once. The result's `media` has the length and rate that all frames really gave."""
    import cv2
    import numpy as np

    times: list[float] = []
    small = bytearray()
    faults = Faults()

    def passing() -> Iterator[Picture]:
        height = max(THUMBNAIL[1], round(media.height * WATCHED_WIDTH / media.width))
        for time, picture in video.frames(path, size=(WATCHED_WIDTH, height), faults=faults):
            times.append(round(time, 6))
            # Averaging areas gives what TransNetV2 was trained on; sampling points costs it 2 % of F1 (measured).
            small.extend(cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA).tobytes())
            yield picture

    candidates = tuple(detect(passing()))
    rate = frame_rate(times)
    seen = media.model_copy(
        update={
            "seconds": round(times[-1] + float(1 / rate.constant), 6),
            "fps": rate.shown,
            "variable_frame_rate": rate.variable,
            "notes": (*media.notes, *faults.notes()),
        }
    )
    thumbnails = np.frombuffer(small, dtype=np.uint8).reshape(len(times), THUMBNAIL[1], THUMBNAIL[0], 3)
    return Scan(tuple(times), thumbnails, candidates, rate, seen)
