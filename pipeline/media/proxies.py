"""Review proxies: each clip as a small file that every browser plays and seeks exactly, cut to the frame.

One pass over the episode makes all that are asked for: frames go to their clips by their own time stamps, so neither
a seek nor a counted frame can be off. The same episode and plan give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.media import audio, video
from pipeline.schemas.timeline import Span

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_HEIGHT = 720

SOUND_RATE_HZ = 48_000

ENCODER_THREADS = 4
"""Fixed, as the number of threads changes x264's bytes."""


ROUNDING = 1e-5
"""Spans are rounded to microseconds; frames keep exact times."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A proxy to make: `stem` names its files, .mp4 and .m4a."""

    span: Span
    stem: str


def size_for(width: int, height: int, lines: int = MAX_HEIGHT) -> tuple[int, int]:
    """(width, height) for a picture shown at this size: even, of at most `lines` lines."""
    scale = min(1.0, lines / height)
    return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))


def encode(
    source: Path, cuts: Sequence[Cut], fps: Fraction, size: tuple[int, int], has_audio: bool, into: Path
) -> Iterator[tuple[Path, Path | None]]:
    """Yield each cut's video and sound files as soon as they are done; `cuts` ascend and do not overlap.

    Video: H.264 4:2:0 at a constant `fps`, AAC stereo, index in front. Sound: AAC mono alone, None without an audio
    track. Picture and sound are equally long: the whole number of frames that comes nearest to the cut's length.
    """
    import numpy as np

    frames = _Frames(video.shaped(source, "yuv420p", size))
    sound = audio.Reader(source, SOUND_RATE_HZ, "stereo") if has_audio else None
    for cut in cuts:
        count = max(1, round(Fraction(cut.span.seconds) * fps))
        picture = constant(frames.within(cut.span), cut.span.start, fps, count)
        path = into / f"{cut.stem}.mp4"
        if sound is None:
            _write(path, None, "", picture, fps, size)
            yield path, None
            continue
        pcm = sound.read(round(cut.span.start * SOUND_RATE_HZ), round(count / fps * SOUND_RATE_HZ))
        _write(path, pcm, "stereo", picture, fps, size)
        alone = into / f"{cut.stem}.m4a"
        _write(alone, pcm.mean(axis=0, keepdims=True).astype(np.int16), "mono")
        yield path, alone


F = TypeVar("F")


def constant(frames: Iterable[tuple[float, F]], start: float, fps: Fraction, count: int) -> Iterator[F]:
    """`count` frames at a constant rate from `start`: each slot shows the frame that is nearest in time.

    `frames` are (seconds, frame), ascending. Raises ValueError if there is none.
    """
    slot, shown = 0, None
    for time, frame in frames:
        nearest = round((time - start) * float(fps))
        while shown is not None and slot < min(nearest, count):
            yield shown
            slot += 1
        shown = frame
    if shown is None:
        raise ValueError(f"no frame can be decoded after {start:.3f} s")
    while slot < count:
        yield shown
        slot += 1


class _Frames:
    """Frames handed out stretch by stretch; the first frame of the next stretch is not lost."""

    def __init__(self, frames: Iterator[tuple[Fraction, VideoFrame]]) -> None:
        self._frames = frames
        self._ahead = next(frames, None)

    def within(self, span: Span) -> Iterator[tuple[float, VideoFrame]]:
        while self._ahead is not None and float(self._ahead[0]) < span.end - ROUNDING:
            if float(self._ahead[0]) >= span.start - ROUNDING:
                yield float(self._ahead[0]), self._ahead[1]
            self._ahead = next(self._frames, None)


def _write(
    path: Path,
    pcm: audio.Pcm | None,
    layout: str,
    picture: Iterable[VideoFrame] = (),
    fps: Fraction | None = None,
    size: tuple[int, int] = (0, 0),
) -> None:
    import av

    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        track = _picture_track(container, fps, size) if fps is not None else None
        sound = _sound_track(container, layout) if pcm is not None else None
        if track is not None and fps is not None:
            for index, frame in enumerate(picture):
                # Neither the decoder's key frames nor its clock mean anything in the new file.
                frame.pict_type = av.video.frame.PictureType.NONE
                frame.time_base, frame.pts = 1 / fps, index
                container.mux(track.encode(frame))
            container.mux(track.encode(None))
        if sound is not None and pcm is not None:
            for at in range(0, pcm.shape[1], 1024):
                piece = av.AudioFrame.from_ndarray(_planes(pcm[:, at : at + 1024]), format="fltp", layout=layout)
                piece.sample_rate, piece.time_base, piece.pts = SOUND_RATE_HZ, Fraction(1, SOUND_RATE_HZ), at
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))


def _picture_track(container: OutputContainer, fps: Fraction, size: tuple[int, int]) -> VideoStream:
    # x264's macroblock tree reads memory that nobody set where a picture's width is no multiple of 128 (seen in x264
    # 164 and 165 under MALLOC_PERTURB_), so that the same frames give other bytes each time; it is left out.
    options = {"preset": "veryfast", "crf": "23", "mbtree": "0"}
    track = container.add_stream("libx264", rate=fps, options=options)
    track.width, track.height = size
    track.pix_fmt = "yuv420p"
    context = track.codec_context
    context.time_base = 1 / fps
    context.thread_count = ENCODER_THREADS
    # A key frame every second, so that a reviewer's seek lands at once.
    context.gop_size = max(1, round(fps))
    return track


def _sound_track(container: OutputContainer, layout: str) -> AudioStream:
    track = container.add_stream("aac", rate=SOUND_RATE_HZ, layout=layout)
    track.codec_context.bit_rate = 48_000 if layout == "mono" else 128_000
    return track


def _planes(pcm: audio.Pcm) -> audio.Samples:
    import numpy as np

    return np.ascontiguousarray(pcm, dtype=np.float32) / np.float32(32_768)
