"""What is seen and heard in stretches of an episode, as arrays: frames at even times, and the sound of the same time.

Frame k is the one on the screen k / fps seconds after the stretch's start, as it is in the clips that are trained on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import dropwhile
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.media.audio import SAMPLE_RATE_HZ, Reader
from pipeline.media.decoding import Faults, Shaper, displayed_size, opened, origin, video_frames, video_stream
from pipeline.schemas.timeline import Span

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

EARLY_SECONDS = Fraction(1, 500)
"""A frame this much after the moment asked for counts as shown: containers and clips' times are rounded to 1 ms."""

PREROLLS = (2, 12, None)
"""Decoding begins so many seconds early, at first, so that the frame before the stretch is there; None is the file's
start. Some files are entered between key frames, and broadcasters put key frames up to ten seconds apart."""

LAST_SECONDS = 1
"""The last frame is taken to be shown for at most so long."""


@dataclass(frozen=True, slots=True)
class Excerpt:
    """`frames`: (time, height, width, 3) uint8 RGB, upright, square pixels, `fps` of them a second from the start of
    the stretch on; none where the picture has ended. `samples`: (time,) float32, -1 to 1, mono, SAMPLE_RATE_HZ a
    second, exactly as long as the stretch, silence where there is no sound.
    """

    frames: NDArray[np.uint8]
    fps: float
    samples: NDArray[np.float32]


def excerpts(path: Path, spans: Iterable[Span], fps: float, frames: int, pixels: int) -> Iterator[Excerpt]:
    """Each of `spans`, in order of their starts: at most `frames` frames, at most `fps` a second, of at most `pixels`.

    The file is opened once for sound; for the picture only what is near each span is decoded. Raises ValueError where
    a span starts before the one before it, or the file has no picture.
    """
    zero, sound = origin(path), Reader(path, SAMPLE_RATE_HZ, "mono")
    latest = 0.0
    for span in spans:
        if span.start < latest:
            raise ValueError(f"{path.name}: excerpts are taken in order, but {span.start} s comes after {latest} s")
        latest = span.start
        rate = even_rate(span.seconds, fps, frames)
        yield Excerpt(frames=_pictures(path, zero, span, rate, pixels), fps=float(rate), samples=_heard(sound, span))


def even_rate(seconds: float, fps: float, frames: int) -> Fraction:
    """Frames a second, at most `fps`, by which at most `frames` of them fall into `seconds`."""
    wanted = Fraction(fps).limit_denominator(1000)
    return min(wanted, Fraction(frames) / Fraction(seconds).limit_denominator(1_000_000))


def moments(span: Span, rate: Fraction) -> list[Fraction]:
    """When the frames are seen, in seconds of the episode: at least one, none at or behind the span's end."""
    start, seconds = Fraction(span.start), Fraction(span.seconds).limit_denominator(1_000_000)
    return [start + Fraction(index) / rate for index in range(max(1, math.ceil(seconds * rate)))]


def size_within(width: int, height: int, pixels: int) -> tuple[int, int]:
    """(width, height), even, in the same shape, of at most `pixels`; never larger than given."""
    scale = min(1.0, math.sqrt(pixels / (width * height)))
    return max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2)


def _heard(sound: Reader, span: Span) -> NDArray[np.float32]:
    import numpy as np

    start, end = round(span.start * SAMPLE_RATE_HZ), round(span.end * SAMPLE_RATE_HZ)
    heard: NDArray[np.float32] = sound.read(start, end - start)[0] / np.float32(32_768)
    return heard


def _pictures(path: Path, zero: Fraction, span: Span, rate: Fraction, pixels: int) -> NDArray[np.uint8]:
    import numpy as np

    due = [zero + moment + EARLY_SECONDS for moment in moments(span, rate)]
    for preroll in PREROLLS:
        entry = None if preroll is None or due[0] - zero <= preroll else due[0] - preroll
        shown = _shown(path, due, entry, pixels)
        if shown is not None:
            return np.stack(shown) if shown else np.zeros((0, 0, 0, 3), dtype=np.uint8)
    raise AssertionError("entered at its start, no file is entered too late")


def _shown(path: Path, due: list[Fraction], entry: Fraction | None, pixels: int) -> list[NDArray[np.uint8]] | None:
    """The picture on the screen at each of `due`, fewer where the pictures end first; None if `entry` was too late.

    Times are seconds of the container's clock.
    """
    import av
    import numpy as np

    with opened(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise ValueError(f"{path.name} has no video track, so there is nothing to show of it")
        if entry is not None:
            try:
                container.seek(int(entry * 1_000_000))
            except av.FFmpegError:  # Some files cannot be entered at all.
                return None
        decoded = video_frames(container, stream, Faults())
        if entry is not None:
            # Between key frames a decoder makes pictures up until the next one comes.
            decoded = dropwhile(lambda timed: timed[1].is_corrupt, decoded)
        chosen = _on_screen(decoded, due)
        if chosen is None:
            return None if entry is not None else []
        frames = list(dict.fromkeys(chosen))
        if not frames:
            return []
        shaper = Shaper(stream, size_within(*displayed_size(frames[0], stream), pixels), "rgb24")
        shaped = [ready for frame in frames for ready in shaper.feed(frame)] + list(shaper.finish())
        pictures = [np.asarray(ready.to_ndarray(), dtype=np.uint8) for ready in shaped]
        return [pictures[frames.index(frame)] for frame in chosen]


def _on_screen(decoded: Iterator[tuple[Fraction, VideoFrame]], due: list[Fraction]) -> list[VideoFrame] | None:
    """The frame shown at each of `due`; None if the first one comes only afterwards. What follows is not decoded."""
    chosen: list[VideoFrame] = []
    shown, since = None, Fraction(0)
    for time, frame in decoded:
        if shown is None and time > due[0]:
            return None
        while shown is not None and len(chosen) < len(due) and due[len(chosen)] < time:
            chosen.append(shown)
        if len(chosen) == len(due):
            return chosen
        shown, since = frame, time
    # Nobody knows how long the last frame is shown; clips that are trained on repeat it for as long.
    rest = [moment for moment in due[len(chosen) :] if moment < since + LAST_SECONDS]
    return chosen if shown is None else [*chosen, *[shown] * len(rest)]
