"""Shots into scenes: neighbouring shots whose colours say that they were taken in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from pipeline.schemas.timeline import Scene, Shot, Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.media.shots import Thumbnails

    Floats: TypeAlias = NDArray[np.float32]

FRAMES_PER_SHOT = 5

LONE_SHOT_SECONDS = 2.0
"""A single shot shorter than this is an insert, not a scene."""


def shots_between(cuts: Sequence[int], times: Sequence[float], seconds: float) -> tuple[Shot, ...]:
    """Shots of an episode that lasts `seconds`; `cuts` are indexes of frames, which are shown at `times`."""
    bounds = [0.0, *(times[cut] for cut in cuts), seconds]
    return tuple(Shot(index=i, span=Span(start=a, end=b)) for i, (a, b) in enumerate(pairwise(bounds)))


def together(
    shots: Sequence[Shot], bounds: Sequence[int], thumbnails: Thumbnails, alike: float, look_back: int
) -> tuple[Scene, ...]:
    """Scenes of these shots, which lie between `bounds` (indexes of frames); see `group` for the rest."""
    looks = [colours(thumbnails[samples(first, after)]) for first, after in pairwise(bounds)]
    runs = group(looks, [shot.span.seconds for shot in shots], alike, look_back)
    spans = [Span(start=shots[run[0]].span.start, end=shots[run[-1]].span.end) for run in runs]
    return tuple(
        Scene(index=index, span=span, first_shot=run[0], last_shot=run[-1])
        for index, (run, span) in enumerate(zip(runs, spans, strict=True))
    )


def group(looks: Sequence[Floats], seconds: Sequence[float], alike: float, look_back: int) -> list[range]:
    """Runs of shots that belong together.

    `looks`: for each shot (frames, bins), square roots of colour histograms, so that a product of two is their
    Bhattacharyya coefficient (1: same colours). Two shots are linked if some frame of one is `alike` to some frame
    of the other and at most `look_back` shots lie between; a scene ends where no link crosses. So a reverse shot
    or an insert stays in its scene, which the shots around it hold together. (Overlapping links: Hanjalic et al.,
    "Automated high-level movie segmentation", 1999.) A lone short shot goes with the neighbour it is more like.
    `look_back` is at least 1.
    """
    likeness = {
        (shot, other): similarity(looks[shot], looks[other])
        for shot in range(len(looks))
        for other in range(shot + 1, min(len(looks), shot + look_back + 1))
    }
    return _joined(_linked(likeness, len(looks), alike), likeness, seconds)


def similarity(a: Floats, b: Floats) -> float:
    return float((a @ b.T).max())


def colours(frames: Thumbnails) -> Floats:
    """(frames, 192) square roots of hue-saturation-value histograms of (frames, height, width, 3) uint8 RGB."""
    import cv2
    import numpy as np

    rows = []
    for frame in frames:
        hsv = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)
        rows.append(cv2.calcHist([hsv], [0, 1, 2], None, [12, 4, 4], [0, 180, 0, 256, 0, 256]).ravel())
    histograms = np.stack(rows)
    roots: Floats = np.sqrt(histograms / histograms.sum(axis=1, keepdims=True)).astype(np.float32)
    return roots


def samples(first: int, after: int) -> list[int]:
    """Frames that stand for a shot: evenly spread, clear of its ends, where a dissolve mixes in the neighbours."""
    length = after - first
    begin, end = first + 0.15 * length, after - 1 - 0.15 * length
    steps = [begin + (end - begin) * i / (FRAMES_PER_SHOT - 1) for i in range(FRAMES_PER_SHOT)]
    return sorted({min(max(int(step), first), after - 1) for step in steps})


def _linked(likeness: Mapping[tuple[int, int], float], count: int, alike: float) -> list[range]:
    reach = list(range(count))
    for (shot, other), value in likeness.items():
        if value >= alike:
            reach[shot] = max(reach[shot], other)
    scenes, first, furthest = [], 0, 0
    for shot in range(count):
        if shot > furthest:
            scenes.append(range(first, shot))
            first = shot
        furthest = max(furthest, reach[shot])
    return [*scenes, range(first, count)]


def _joined(scenes: list[range], likeness: Mapping[tuple[int, int], float], seconds: Sequence[float]) -> list[range]:
    while len(scenes) > 1:
        lone = next((i for i, s in enumerate(scenes) if len(s) == 1 and seconds[s[0]] < LONE_SHOT_SECONDS), None)
        if lone is None:
            break
        shot = scenes[lone][0]
        before = likeness[shot - 1, shot] if lone > 0 else -1.0
        after = likeness[shot, shot + 1] if lone + 1 < len(scenes) else -1.0
        left = lone - 1 if before >= after else lone
        joined = range(scenes[left].start, scenes[left + 1].stop)
        scenes = [*scenes[:left], joined, *scenes[left + 2 :]]
    return scenes
