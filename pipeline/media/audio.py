"""An episode's sound, timed by its picture: sample 0 is heard when the first frame is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.media.decoding import Faults, audio_frames, opened, origin

if TYPE_CHECKING:
    import numpy as np
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from numpy.typing import NDArray

    Samples: TypeAlias = NDArray[np.float32]
    Pcm: TypeAlias = NDArray[np.int16]

SAMPLE_RATE_HZ = 16_000
"""What speech models hear."""

MAX_DRIFT_SECONDS = Fraction(1, 25)
"""Time stamps that stray less than this from the samples before them are rounding; more is a gap or an overlap."""

MAX_HOURS = 24
"""Sound that claims to lie later than this has broken time stamps."""


def decode_mono(path: Path) -> Samples:
    """(samples,) float32 in [-1, 1] at 16 kHz: the first audio track, all channels mixed to one.

    Sample 0 is the episode's first video frame: sound from before it is cut off, a late start or a gap is silence.
    As long as the sound is, which may be shorter or longer than the picture; empty without an audio track.
    """
    import numpy as np

    pieces = list(chunks(path, SAMPLE_RATE_HZ, "mono"))
    samples = np.zeros(max((at + piece.shape[1] for at, piece in pieces), default=0), dtype=np.float32)
    for at, piece in pieces:
        samples[at : at + piece.shape[1]] = piece[0] / np.float32(32_768)
    return samples


def starts_at(path: Path) -> float | None:
    """Seconds from the first video frame to the first sound that decodes (negative: before it); None without sound."""
    with opened(path) as container:
        if not container.streams.audio:
            return None
        first = next(audio_frames(container, container.streams.audio[0], Faults()), None)
    return None if first is None else float(first[0] - origin(path))


def chunks(path: Path, rate: int, layout: str) -> Iterator[tuple[int, Pcm]]:
    """The first audio track piece by piece, as (index of the first sample, (channels, samples) int16).

    Indexes count samples at `rate` from the first video frame; nothing lies before it. Where an index jumps forward,
    sound is missing; where it jumps back, the later piece replaces what it overlaps. `layout` is ffmpeg's name.
    """
    zero = origin(path)
    with opened(path) as container:
        if not container.streams.audio:
            return
        run: _Run | None = None
        for time, frame in audio_frames(container, container.streams.audio[0], Faults()):
            if run is None or not run.goes_on_with(time, frame):
                if run is not None:
                    yield from run.finish()
                if time - zero > MAX_HOURS * 3600:
                    raise ValueError(
                        f"{path.name}: its sound claims to come {float(time - zero) / 3600:.0f} hours in; renew the "
                        "time stamps with `ffmpeg -fflags +genpts -i FILE -c copy NEW.mkv`"
                    )
                run = _Run(frame, time, round((time - zero) * rate), rate, layout)
            yield from run.feed(frame)
        if run is not None:
            yield from run.finish()


class Reader:
    """The first audio track stretch by stretch, in one pass; indexes and `layout` as in `chunks`."""

    def __init__(self, path: Path, rate: int, layout: str) -> None:
        self._channels = {"mono": 1, "stereo": 2}[layout]
        self._chunks = chunks(path, rate, layout)
        self._held: list[tuple[int, Pcm]] = []
        self._over = False

    def read(self, start: int, count: int) -> Pcm:
        """(channels, count) int16, silence where there is no sound. `start` must not go back behind an earlier one."""
        import numpy as np

        while not self._over and (not self._held or self._held[-1][0] < start + count):
            piece = next(self._chunks, None)
            self._over = piece is None
            if piece is not None and piece[0] + piece[1].shape[1] > start:
                self._held.append(piece)
        self._held = [(at, pcm) for at, pcm in self._held if at + pcm.shape[1] > start]
        samples = np.zeros((self._channels, count), dtype=np.int16)
        for at, pcm in self._held:
            begin, end = max(at, start), min(at + pcm.shape[1], start + count)
            if begin < end:
                samples[:, begin - start : end - start] = pcm[:, begin - at : end - at]
        return samples


@dataclass(slots=True)
class _Run:
    """Sound without a gap and in one format; `first` is its first frame, `at` the index of the next sample it gives."""

    first: AudioFrame
    begin: Fraction
    at: int
    rate: int
    layout: str
    fed: int = 0
    resampler: AudioResampler = field(init=False)

    def __post_init__(self) -> None:
        import av

        # int16 makes the mixer scale a stereo or 5.1 track down so that the sum of its channels cannot clip.
        self.resampler = av.AudioResampler(format="s16p", layout=self.layout, rate=self.rate)

    def goes_on_with(self, time: Fraction, frame: AudioFrame) -> bool:
        expected = self.begin + Fraction(self.fed, self.first.sample_rate)
        return _format(frame) == _format(self.first) and abs(time - expected) <= MAX_DRIFT_SECONDS

    def feed(self, frame: AudioFrame) -> Iterator[tuple[int, Pcm]]:
        self.fed += frame.samples
        # The run's own count of samples is the clock; rounding in the time stamps must not reach the resampler.
        frame.pts = None
        yield from self._placed(self.resampler.resample(frame))

    def finish(self) -> Iterator[tuple[int, Pcm]]:
        yield from self._placed(self.resampler.resample(None))

    def _placed(self, frames: list[AudioFrame]) -> Iterator[tuple[int, Pcm]]:
        import numpy as np

        for frame in frames:
            pcm = np.asarray(frame.to_ndarray(), dtype=np.int16)
            if self.at + pcm.shape[1] > 0:
                yield max(self.at, 0), pcm[:, max(-self.at, 0) :]
            self.at += pcm.shape[1]


def _format(frame: AudioFrame) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate
