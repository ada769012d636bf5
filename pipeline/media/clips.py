"""Clips from shots: long ones split, short ones joined within their scene, what fits nowhere dropped with a reason."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from pipeline.schemas.timeline import Dropped, Scene, Shot, Span


@dataclass(frozen=True, slots=True)
class Planned:
    """A clip to be made: its time, its scene, and the shots of which it shows something."""

    span: Span
    scene: int
    shots: tuple[int, ...]


def plan(
    shots: Sequence[Shot], scenes: Sequence[Scene], times: Sequence[float], shortest: float, longest: float
) -> tuple[tuple[Planned, ...], tuple[Dropped, ...]]:
    """Cover every second of the shots, each once, with clips of `shortest` to `longest` seconds and dropped stretches.

    `times` (seconds, ascending) are those of the frames: a clip begins at one of them, so a shot that is split may
    come out longer than `longest` by less than one frame. Raises ValueError if `longest` is not at least twice
    `shortest`, without which a split could come out too short.
    """
    if longest < 2 * shortest:
        raise ValueError(
            f"the longest clip ({longest} s) must be at least twice as long as the shortest ({shortest} s)"
        )
    clips: list[Planned] = []
    dropped: list[Dropped] = []
    for scene in scenes:
        for group in _groups(shots[scene.first_shot : scene.last_shot + 1], shortest, longest):
            span = Span(start=group[0].span.start, end=group[-1].span.end)
            indexes = tuple(shot.index for shot in group)
            if span.seconds < shortest:
                dropped.append(Dropped(span=span, reason=_why(span.seconds, len(group), shortest)))
            else:
                clips += [Planned(part, scene.index, indexes) for part in _parts(span, times, longest)]
    return tuple(clips), tuple(dropped)


def _groups(shots: Sequence[Shot], shortest: float, longest: float) -> list[list[Shot]]:
    """Shots of one scene, short ones joined to a neighbour, the shortest first; another short one is joined rather."""
    groups = [[shot] for shot in shots]
    stuck: set[int] = set()  # Starts of groups that no neighbour can take; a start is a group's name here.
    while short := [g for g in groups if _length(g) < shortest and g[0].index not in stuck]:
        group = min(short, key=lambda g: (_length(g), g[0].index))
        at = groups.index(group)
        pairs = [pair for pair in (at - 1, at) if pair >= 0 and pair + 1 < len(groups)]
        fitting = [pair for pair in pairs if _length(groups[pair]) + _length(groups[pair + 1]) <= longest]
        if not fitting:
            stuck.add(group[0].index)
            continue
        pair = min(fitting, key=lambda p: (_length(groups[p]) + _length(groups[p + 1]), p))
        groups[pair : pair + 2] = [groups[pair] + groups[pair + 1]]
        stuck.discard(groups[pair][0].index)
    return groups


def _length(group: Sequence[Shot]) -> float:
    return group[-1].span.end - group[0].span.start


def _parts(span: Span, times: Sequence[float], longest: float) -> list[Span]:
    """Equal parts, each beginning at a frame."""
    # A hair more than a whole number of parts is rounding of times, not another part.
    count = max(1, ceil(span.seconds / longest - 1e-6))
    bounds = [span.start]
    for part in range(1, count):
        at = times[min(bisect_left(times, span.start + span.seconds * part / count), len(times) - 1)]
        if bounds[-1] < at < span.end:
            bounds.append(at)
    bounds.append(span.end)
    return [Span(start=start, end=end) for start, end in pairwise(bounds)]


def _why(seconds: float, count: int, shortest: float) -> str:
    what = "shot" if count == 1 else f"run of {count} shots"
    return f"a {what} of {seconds:.2f} s, under {shortest:g} s, which no neighbour of its scene can take"
