"""How loud an episode is, moment by moment, for whoever draws it: worked out once, outside of the panel, and kept.

`python -m pipeline.waveforms FOLDER EPISODE` works out that of one episode: a second for a minute of ten, say, which no
page may take in the panel's own process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import indexes, timelines
from pipeline.engine.records import Record
from pipeline.show import Show, open_show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT = 1
"""Raise it when the same clips would give other levels."""

COLUMNS = 1500  # more than the timeline has pixels
_QUIET = 0.6  # the power that lets soft speech be seen beside a bang
_LOUDEST = 255


class Waveform(Record):
    """`levels` are from 0 (silence) to 255 (the loudest moment of the episode), each of an equal part of its length."""

    levels: tuple[int, ...]


def there(show: Show, episode: str) -> Waveform | None:
    """That of an episode's clips as they stand, if somebody worked it out."""
    return indexes.there(show.store, _name(episode), _made_of(show, episode), Waveform)


def build(show: Show, episode: str) -> Waveform:
    """The same, worked out where it is not there. Raises ValueError for an episode without clips."""
    from pipeline.media import audio

    found = timelines.timelines(show, [episode])
    if not found:
        raise ValueError(f"{episode} has no clips yet: `dailies run step1-scenes` makes them")
    timeline = found[0]

    def work_out() -> Waveform:
        paths = ((clip.span.start, show.store.path_of(clip.video)) for clip in timeline.clips)
        pieces = ((start, audio.decode_mono(path)) for start, path in paths)
        return Waveform(levels=levels(pieces, audio.SAMPLE_RATE_HZ, timeline.seconds, COLUMNS))

    return indexes.kept(show.store, _name(episode), _made_of(show, episode), Waveform, work_out)


def levels(
    pieces: Iterable[tuple[float, NDArray[np.float32]]], rate: int, seconds: float, columns: int
) -> tuple[int, ...]:
    """`columns` levels of `seconds` of sound, given as pieces: when each begins, and its (samples,) in [-1, 1]. Pure.

    Where no piece is, there is silence; so is all of it where nothing is heard at all.
    """
    import numpy as np

    power, heard = np.zeros(columns), np.zeros(columns)
    for start, samples in pieces:
        column = ((start + np.arange(len(samples)) / rate) * (columns / seconds)).astype(np.int64).clip(0, columns - 1)
        power += np.bincount(column, weights=samples.astype(np.float64) ** 2, minlength=columns)
        heard += np.bincount(column, minlength=columns)
    loud = np.sqrt(power / np.maximum(heard, 1))
    scaled = (loud / max(float(loud.max(initial=0.0)), 1e-9)) ** _QUIET * _LOUDEST
    return tuple(int(each) for each in scaled.round())


def _name(episode: str) -> str:
    return f"sound-{episode}"


def _made_of(show: Show, episode: str) -> list[str | int]:
    scenes = timelines.outputs(show, [timelines.SCENES], [episode])
    return [FORMAT, *(str(digest) for digest in scenes.values())]


if __name__ == "__main__":
    build(open_show(Path(sys.argv[1])), sys.argv[2])
