"""Reading video: what a file really holds, its frames with their true times, the subtitles inside it.

Times are seconds from the first frame that can be decoded, taken from the frames' own time stamps: a frame's
number says nothing about its time where the frame rate varies or frames are missing. What is broken in the middle
of a file is passed over and counted; what makes a file useless raises ValueError with the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.media import audio, ffmpeg
from pipeline.media.decoding import (
    Faults,
    Shaper,
    displayed_size,
    opened,
    origin,
    pixel_aspect,
    video_frames,
    video_stream,
)
from pipeline.media.rates import frame_rate
from pipeline.schemas.timeline import MediaInfo

if TYPE_CHECKING:
    import numpy as np
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

    Picture: TypeAlias = NDArray[np.uint8]

MIN_SIDE_PIXELS = 64
"""Smaller pictures are icons or broken headers; every trainer of this field wants several times as much."""

TAIL_SECONDS = 5.0
"""How much of a file's end `probe` decodes to see where the picture really ends."""

LATE_SOUND_SECONDS = 0.1
"""A later start than this is worth telling; audio codecs themselves start up to 0.05 s late."""

TEXT_SUBTITLES = frozenset({"ass", "ssa", "subrip", "srt", "webvtt", "mov_text", "text"})


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    """A track of text; `index` counts all the file's subtitle tracks, `language` is "" where the file does not say."""

    index: int
    codec: str
    language: str


def probe(path: Path, name: str | None = None) -> MediaInfo:
    """What the file holds, from its packets, its first frame and its end; the middle is not decoded.

    `name` is what people call the file. Raises ValueError with it and the remedy where the file cannot be used.
    """
    name = name or path.name
    with opened(path, name) as container:
        stream, decoded = _picture(container, name, Faults())
        start, first = next(decoded)
        width, height = displayed_size(first, stream)
        if min(width, height) < MIN_SIDE_PIXELS:
            raise ValueError(
                f"{name} is {width}x{height} pixels, too small to train on: give a version with at least "
                f"{MIN_SIDE_PIXELS} on each side"
            )
        notes = [*_picture_notes(first, stream), *_track_notes(container)]
        said, claimed = stream.guessed_rate, _claimed_end(container, stream) - start
    times = [time for time in _packet_times(path) if time >= start]
    end = max(_last_time(path, times[-1]) if times else start, start)
    rate = frame_rate([float(time - start) for time in times if time <= end], said)
    seconds = float(end - start + 1 / rate.constant)
    if claimed - seconds > 1:
        notes.append(f"the header claims {float(claimed):.1f} s, but the picture ends after {seconds:.1f} s")
    if rate.gaps:
        notes.append(f"frames are missing in {rate.gaps} places")
    sound = audio.starts_at(path)
    if sound is not None and sound > LATE_SOUND_SECONDS:
        notes.append(f"the sound starts {sound:.2f} s after the picture")
    return MediaInfo(
        width=width,
        height=height,
        fps=rate.shown,
        variable_frame_rate=rate.variable,
        seconds=round(seconds, 6),
        has_audio=sound is not None,
        notes=tuple(notes),
    )


def frames(
    path: Path, size: tuple[int, int] | None = None, fps: float | None = None, faults: Faults | None = None
) -> Iterator[tuple[float, Picture]]:
    """Every frame as (seconds, (height, width, 3) uint8 RGB), upright, with square pixels and without interlacing.

    `size` is (width, height); without it, the size shown. `fps` leaves frames out where they come faster. What
    cannot be decoded is counted in `faults`. Raises ValueError where the file has no frame at all.
    """
    import numpy as np

    for time, frame in shaped(path, "rgb24", size, fps, faults):
        yield float(time), np.asarray(frame.to_ndarray(), dtype=np.uint8)


def shaped(
    path: Path,
    pixel_format: str,
    size: tuple[int, int] | None = None,
    fps: float | None = None,
    faults: Faults | None = None,
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """As `frames`, but PyAV's own frames in `pixel_format`, and exact times."""
    with opened(path) as container:
        stream, decoded = _picture(container, path.name, faults or Faults())
        start, first = next(decoded)
        shaper = Shaper(stream, size or displayed_size(first, stream), pixel_format)
        due = start
        for time, frame in chain([(start, first)], decoded):
            if fps is not None:
                if time < due:
                    continue
                due += Fraction(1) / Fraction(fps) * (1 + (time - due) // (Fraction(1) / Fraction(fps)))
            for ready in shaper.feed(frame):
                yield _time(ready) - start, ready
        for ready in shaper.finish():
            yield _time(ready) - start, ready


def subtitle_tracks(path: Path) -> list[SubtitleTrack]:
    """The tracks that hold text; DVD and Blu-ray subtitles are pictures and are left out."""
    with opened(path) as container:
        return [
            SubtitleTrack(index, stream.codec_context.name, stream.metadata.get("language", ""))
            for index, stream in enumerate(container.streams.subtitles)
            if stream.codec_context.name in TEXT_SUBTITLES
        ]


def extract_subtitles(path: Path, index: int, out: Path) -> None:
    """Write subtitle track `index` to `out` (.srt, .vtt or .ass by its name), timed from the first video frame.

    Raises ValueError where the track is not there or is no text.
    """
    late = ["-copyts", "-i", str(path), "-map", f"0:s:{index}", "-output_ts_offset", f"{-float(origin(path)):.6f}"]
    ffmpeg.run([*late, str(out)], f"{path.name}: taking out subtitle track {index}")


def _picture(
    container: InputContainer, name: str, faults: Faults
) -> tuple[VideoStream, Iterator[tuple[Fraction, VideoFrame]]]:
    """The picture's track and its frames, of which there is at least one; else ValueError."""
    stream = video_stream(container)
    if stream is None:
        raise ValueError(f"{name} has no video track: give the episode's picture, or take the file out of `episodes`")
    decoded = video_frames(container, stream, faults)
    first = next(decoded, None)
    if first is None:
        raise ValueError(f"{name} has a video track, but no frame of it can be decoded: copy or convert it again")
    return stream, chain([first], decoded)


def _picture_notes(first: VideoFrame, stream: VideoStream) -> Iterator[str]:
    if first.rotation:
        yield f"the picture is turned by {first.rotation} degrees"
    if (aspect := pixel_aspect(stream)) != 1:
        yield f"pixels are not square ({aspect.numerator}:{aspect.denominator})"
    if first.interlaced_frame:
        yield "the picture is interlaced"


def _track_notes(container: InputContainer) -> Iterator[str]:
    tracks = container.streams.audio
    if not tracks:
        yield "there is no audio track"
    if len(tracks) > 1:
        names = ", ".join(track.metadata.get("language", "unnamed") for track in tracks)
        yield f"{len(tracks)} audio tracks ({names}): the first is used"
    if pictures := [s for s in container.streams.subtitles if s.codec_context.name not in TEXT_SUBTITLES]:
        yield f"{len(pictures)} subtitle tracks are pictures ({pictures[0].codec_context.name}), not text"


def _claimed_end(container: InputContainer, stream: VideoStream) -> Fraction:
    """When the picture ends by its header, on the container's clock; 0 where no header says.

    Only the track's own claim counts: in a Matroska file the whole may last longer for its subtitles' sake.
    """
    if stream.duration is None or stream.time_base is None:
        return Fraction(0)
    return ((stream.start_time or 0) + stream.duration) * stream.time_base


def _packet_times(path: Path) -> list[Fraction]:
    """When the picture's packets say they are shown, ascending, on the container's clock."""
    import av

    times = set()
    with opened(path) as container:
        stream = video_stream(container)
        assert stream is not None
        try:
            for packet in container.demux(stream):
                stamp = packet.dts if packet.pts is None else packet.pts
                if packet.size and stamp is not None and packet.time_base is not None:
                    times.add(stamp * packet.time_base)
        except av.FFmpegError:  # The file breaks off inside a packet: what came before counts.
            pass
    return sorted(times)


def _last_time(path: Path, last_packet: Fraction) -> Fraction:
    """When the last frame that can be decoded is shown, on the container's clock."""
    for tail in (TAIL_SECONDS, 10 * TAIL_SECONDS, None):
        with opened(path) as container:
            stream = video_stream(container)
            assert stream is not None
            if tail is not None and last_packet > tail:
                container.seek(int((last_packet - Fraction(tail)) * 1_000_000))
            times = [time for time, _ in video_frames(container, stream, Faults())]
        if times:
            return times[-1]
    return Fraction(0)


def _time(frame: VideoFrame) -> Fraction:
    assert frame.pts is not None
    assert frame.time_base is not None
    return frame.pts * frame.time_base
