"""Opening files, decoding what can be decoded, and turning frames into upright square-pixelled pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.filter import Graph
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


F = TypeVar("F", "VideoFrame", "AudioFrame")


@dataclass(slots=True)
class Faults:
    """What a pass over a stream met: packets that do not decode, damaged frames (used anyway), frames left out."""

    undecodable: int = 0
    damaged: int = 0
    untimed: int = 0

    def notes(self) -> tuple[str, ...]:
        found = (
            (self.undecodable, "packets of the picture cannot be decoded"),
            (self.damaged, "frames are damaged"),
            (self.untimed, "frames have no time of their own and are left out"),
        )
        return tuple(f"{count} {what}" for count, what in found if count)


@contextmanager
def opened(path: Path, name: str | None = None) -> Iterator[InputContainer]:
    """The file, demuxed. `name` is what people call it. Raises ValueError saying what is wrong and what to do."""
    import av

    name = name or path.name
    if not path.is_file():
        raise ValueError(f"{name} does not exist")
    if path.stat().st_size == 0:
        raise ValueError(f"{name} is empty (0 bytes): copy or download it again")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise ValueError(f"{name} {_why_unreadable(path)}") from error
    with container:
        yield container


def video_stream(container: InputContainer) -> VideoStream | None:
    """The first video track that is no cover picture."""
    import av

    for stream in container.streams.video:
        if not stream.disposition & av.stream.Disposition.attached_pic:
            # With several threads, what a decoder makes up for damaged parts differs from run to run (measured);
            # episodes are worked on side by side, so the other cores do not idle.
            stream.codec_context.thread_count = 1
            return stream
    return None


def video_frames(
    container: InputContainer, stream: VideoStream, faults: Faults
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Frames in the order in which they are shown, with their time in seconds of the container's clock."""
    from av.video.frame import VideoFrame

    latest: Fraction | None = None
    for frame in _decoded(container, stream, VideoFrame, faults):
        faults.damaged += frame.is_corrupt
        if (
            frame.pts is None
            or frame.time_base is None
            or (latest is not None and frame.pts * frame.time_base <= latest)
        ):
            faults.untimed += 1
            continue
        latest = frame.pts * frame.time_base
        yield latest, frame


def audio_frames(
    container: InputContainer, stream: AudioStream, faults: Faults
) -> Iterator[tuple[Fraction, AudioFrame]]:
    """Decoded sound with its time in seconds of the container's clock; a frame without one follows the one before."""
    from av.audio.frame import AudioFrame

    after = Fraction(0)
    for frame in _decoded(container, stream, AudioFrame, faults):
        start = after if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        after = start + Fraction(frame.samples, frame.sample_rate)
        yield start, frame


def _decoded(
    container: InputContainer, stream: VideoStream | AudioStream, kind: type[F], faults: Faults
) -> Iterator[F]:
    import av

    packets = container.demux(stream)
    flushed = False
    while not flushed:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # The file breaks off inside a packet.
            packet = None
            faults.undecodable += 1
        # `None` empties the decoder, as the demuxer's own last, empty packet does.
        flushed = packet is None or packet.size == 0
        try:
            for frame in stream.decode(packet):
                assert isinstance(frame, kind)
                yield frame
        except av.EOFError:
            return
        except av.FFmpegError:
            faults.undecodable += 1


def origin(path: Path) -> Fraction:
    """When the first decodable frame is shown, in seconds of the container's clock; 0 where there is no picture."""
    with opened(path) as container:
        stream = video_stream(container)
        if stream is None:
            return Fraction(0)
        return next((time for time, _ in video_frames(container, stream, Faults())), Fraction(0))


def pixel_aspect(stream: VideoStream) -> Fraction:
    """A pixel's width over its height; less than 1 % off is an editor's rounding, and square."""
    aspect = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio
    return aspect if aspect and abs(aspect - 1) >= Fraction(1, 100) and aspect > 0 else Fraction(1)


def displayed_size(frame: VideoFrame, stream: VideoStream) -> tuple[int, int]:
    """(width, height) in square pixels, upright."""
    width, height = round(frame.width * pixel_aspect(stream)), frame.height
    return (height, width) if frame.rotation % 180 else (width, height)


@dataclass(slots=True)
class Shaper:
    """Turns decoded frames upright, weaves no fields, and scales them to `size` (width, height) in `pixel_format`."""

    stream: VideoStream
    size: tuple[int, int]
    pixel_format: str
    _graph: Graph | None = field(default=None, init=False)
    _shape: tuple[object, ...] = field(default=(), init=False)

    def feed(self, frame: VideoFrame) -> Iterator[VideoFrame]:
        """What is ready after `frame`: its picture, or the one before where fields are taken apart."""
        shape = (frame.width, frame.height, frame.format.name, frame.rotation, frame.interlaced_frame)
        if self._graph is None or shape[:4] != self._shape[:4]:
            yield from self.finish()
            self._graph, self._shape = self._build(frame), shape
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[VideoFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = None

    def _ready(self) -> Iterator[VideoFrame]:
        import av
        from av.video.frame import VideoFrame

        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            assert isinstance(frame, VideoFrame)
            yield frame

    def _build(self, frame: VideoFrame) -> Graph:
        from av.filter import Graph

        graph = Graph()
        graph.threads = 1
        turns = {90: [("transpose", "cclock")], -90: [("transpose", "clock")]}
        half = [("hflip", ""), ("vflip", "")]
        width, height = self.size
        chain = [
            *([("yadif", "deint=interlaced")] if frame.interlaced_frame else []),
            *turns.get(frame.rotation, half if abs(frame.rotation) == 180 else []),
            ("scale", f"{width}:{height}:flags=area+accurate_rnd+full_chroma_int"),
            ("setsar", "1"),
            ("format", self.pixel_format),
        ]
        last = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base, name="in"
        )
        for filter_name, arguments in chain:
            following = graph.add(filter_name, arguments)
            last.link_to(following)
            last = following
        last.link_to(graph.add("buffersink"))
        graph.configure()
        return graph


def _why_unreadable(path: Path) -> str:
    """The rest of a sentence that begins with the file's name."""
    with path.open("rb") as stream:
        head = stream.read(4096)
    if head[4:8] == b"ftyp":
        return (
            "is cut short: its index (the moov box) is missing; copy or download it again, or export it with faststart"
        )
    if b"\x00" not in head and _is_text(head):
        return "holds text, not video: is it a web page or a placeholder that was downloaded in place of the file?"
    return "is not a media file that can be read: convert it to mp4 or mkv, or take it out of `episodes`"


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start > len(head) - 4  # A character cut in half by the end of what was read.
    return True
