"""Pieces of an episode as training clips: an exact number of frames at a constant rate, one size, sound guaranteed.

Cut from the episode itself, not from its review proxy, by the frames' own time stamps: frame k of a clip is the one
that the episode shows k / fps seconds after the clip's start, whatever the episode's own rate does. The same inputs
give the same bytes with the same build of ffmpeg.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pipeline.engine.fingerprint import Digest
from pipeline.engine.records import File, Record
from pipeline.engine.work import Workspace
from pipeline.media import ffmpeg
from pipeline.media.decoding import origin
from pipeline.media.video import probe
from pipeline.media.windows import Window
from pipeline.schemas.timeline import Episode

SOUND_RATE_HZ = 48_000
"""A multiple of 24 and of 16: every frame has a whole number of samples."""

EARLY_MICROSECONDS = 2_000
"""A frame this much after the moment asked for counts as shown: Matroska rounds time stamps to milliseconds, and so
do clips' times."""

PREROLL_SECONDS = 2.0
UNINDEXED_PREROLL_SECONDS = 12.0
"""Decoding begins this much before the clip. Files without an index are entered anywhere, not at a key frame, and
broadcasters put key frames at most ten seconds apart."""

UNINDEXED = frozenset({"mpegts", "mpeg", "ogg"})
"""ffmpeg's names of such formats."""


class Source(Record):
    """What cutting must know of an episode. Sizes are pixels as shown; `channels` are those of its first audio track, 0
    without one; `origin` is the container's time of frame 0, `preroll` how long before a clip decoding begins; both in
    seconds.
    """

    video: Digest
    name: str
    width: int
    height: int
    channels: int
    origin: float
    preroll: float

    @property
    def has_audio(self) -> bool:
        return self.channels > 0

    def scaled(self, width: int, height: int) -> tuple[int, int]:
        """The smallest (width, height) of the whole picture that covers `width` x `height`."""
        scale = max(width / self.width, height / self.height)
        return max(width, round(self.width * scale)), max(height, round(self.height * scale))

    def enlarged(self, width: int, height: int) -> float:
        """How many times the picture grows to cover `width` x `height`; below 1 it shrinks."""
        return max(width / self.width, height / self.height)

    def cropped(self, width: int, height: int) -> float:
        """The share of the picture that lies outside `width` x `height` when it covers them."""
        covering = self.scaled(width, height)
        return 1 - width * height / (covering[0] * covering[1])


class Shape(Record):
    """What every clip of a dataset has in common."""

    width: int
    height: int
    fps: int
    crf: int
    preset: str
    sound: bool


class Cut(Record):
    """A clip, or why there is none."""

    video: File | None
    why: str = ""


def look(work: Workspace, episodes: Mapping[str, Episode]) -> dict[str, Source]:
    """What cutting must know, by episode id."""
    names = sorted(episodes)

    def make(indexes: Sequence[int]) -> Iterator[Source]:
        for index in indexes:
            video = episodes[names[index]].video
            yield _look(work.open(video), video)

    items = [{"video": episodes[name].video.digest, "name": episodes[name].video.name} for name in names]
    return dict(zip(names, work.memo(Source).fill(items, make), strict=True))


def cut_all(
    work: Workspace, videos: Sequence[File], sources: Sequence[Source], windows: Sequence[Window], shape: Shape
) -> list[Cut]:
    """One clip for each window of the video of the same index; those that were cut before are not cut again."""
    workers = max(1, min(4, os.cpu_count() or 1))

    def one(index: int) -> Path | str:
        target = work.scratch / f"cut-{index}.mp4"
        cut(work.open(videos[index]), target, sources[index], windows[index], shape)
        found = count_frames(target)
        if found < windows[index].num_frames:
            return f"the picture ends too early: {found} of {windows[index].num_frames} frames"
        return target

    def make(indexes: Sequence[int]) -> Iterator[Cut]:
        # Each encoder has one thread, because more would change its bytes; so several clips are cut side by side.
        with ThreadPoolExecutor(workers) as pool:
            for made in pool.map(one, indexes):
                yield Cut(video=None, why=made) if isinstance(made, str) else Cut(video=work.keep(made, "cut.mp4"))

    items = [
        {
            "video": source.video,
            "start": window.span.start,
            "num_frames": window.num_frames,
            "shape": shape.model_dump(mode="json"),
        }
        for source, window in zip(sources, windows, strict=True)
    ]
    return work.memo(Cut).fill(items, make, batch=2 * workers)


def cut(path: Path, target: Path, source: Source, window: Window, shape: Shape) -> None:
    """Write `window` of the episode at `path` to `target`, an mp4 of H.264 (and AAC, stereo, where `shape.sound`).

    Fewer frames than the window's come out only where the picture ends before the window. Raises ValueError with
    ffmpeg's own words where it fails.
    """
    zero = round((source.origin + window.span.start) * 1_000_000)
    entry = source.origin + window.span.start - source.preroll
    # Time stamps stay the container's own, so that nothing depends on which packet reading begins with.
    arguments = ["-copyts", "-seek_timestamp", "1", "-noaccurate_seek", "-threads", "1"]
    if window.span.start > source.preroll:
        arguments += ["-ss", f"{entry:.6f}"]
    arguments += ["-i", str(path)]
    chains = [_picture(source, zero, window.num_frames, shape)]
    outputs = ["-map", "[picture]"]
    if shape.sound:
        chains.append(_sound(source, zero, window.num_frames * SOUND_RATE_HZ // shape.fps))
        outputs += ["-map", "[sound]", "-c:a", "aac", "-b:a", "192k"]
    arguments += ["-filter_complex_threads", "1", "-filter_complex", ";".join(chains), *outputs]
    # x264's macroblock tree reads memory that nobody set at some widths (480, seen 2026-11 with builds 164 and 165).
    arguments += ["-c:v", "libx264", "-preset", shape.preset, "-x264-params", "mbtree=0"]
    arguments += ["-crf", str(shape.crf), "-threads", "1", "-map_metadata", "-1", "-map_chapters", "-1"]
    arguments += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    arguments += ["-movflags", "+faststart", str(target)]
    ffmpeg.run(arguments, f"{source.name}: cutting {window.num_frames} frames at {window.span.start:.3f} s")


def count_frames(path: Path) -> int:
    """How many frames the file's index lists."""
    import av

    with av.open(str(path)) as container:
        return container.streams.video[0].frames if container.streams.video else 0


def _look(path: Path, video: File) -> Source:
    import av

    info = probe(path, video.name)
    with av.open(str(path), metadata_errors="replace") as container:
        channels = container.streams.audio[0].channels if container.streams.audio else 0
        unindexed = not UNINDEXED.isdisjoint(container.format.name.split(","))
    return Source(
        video=video.digest,
        name=video.name,
        width=info.width,
        height=info.height,
        channels=channels if info.has_audio else 0,
        origin=round(float(origin(path)), 6),
        preroll=UNINDEXED_PREROLL_SECONDS if unindexed else PREROLL_SECONDS,
    )


def _picture(source: Source, zero: int, num_frames: int, shape: Shape) -> str:
    """ffmpeg's filters for the picture; `zero` is the clip's start in microseconds of the container's time."""
    width, height = source.scaled(shape.width, shape.height)
    return ",".join((
        "[0:V:0]bwdif=mode=send_frame:deint=interlaced",
        # A time base fine enough for all containers, the clip's start at 0, then the frame shown at each k / fps.
        f"settb=1/1000000,setpts=PTS-{zero + EARLY_MICROSECONDS}",
        f"fps={shape.fps}:start_time=0:round=up",
        # The episode's last frame is shown until the end of its time, which rounding may put a little early.
        # Counted here, since the option -frames would end the sound too when the picture is complete.
        f"tpad=stop_mode=clone:stop=1,trim=end_frame={num_frames}",
        f"scale={width}:{height}:flags=lanczos+accurate_rnd+full_chroma_int+bitexact:out_range=tv",
        f"crop={shape.width}:{shape.height},setsar=1,format=yuv420p[picture]",
    ))  # fmt: skip


def _sound(source: Source, zero: int, samples: int) -> str:
    """ffmpeg's filters for exactly `samples` samples of stereo, silence where the episode has none."""
    silence = f"anullsrc=r={SOUND_RATE_HZ}:cl=stereo,atrim=end_sample={samples}"
    if not source.has_audio:
        return f"{silence}[sound]"
    # Left to itself the mixer makes one channel quieter when it becomes two, and lets six clip.
    mixed = "pan=stereo|c0=c0|c1=c0" if source.channels == 1 else "aformat=channel_layouts=stereo"
    heard = ",".join((
        f"[0:a:0]asettb=1/1000000,asetpts=PTS-{zero}",
        f"atrim=start=0:end={samples / SOUND_RATE_HZ:.6f}",
        f"aresample={SOUND_RATE_HZ}:async=1:first_pts=0:rematrix_maxval=1",
        f"{mixed},aformat=sample_fmts=fltp[heard]",
    ))  # fmt: skip
    joined = f"[heard][silence]concat=n=2:v=0:a=1,atrim=end_sample={samples}[sound]"
    return ";".join((heard, f"{silence}[silence]", joined))
