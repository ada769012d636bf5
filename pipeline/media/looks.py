"""What can be measured of one shot's pictures: sharp stills, light, motion, what the camera does, faces, a hash.

Pictures are (height, width, 3) uint8 RGB, times seconds of the episode.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import TYPE_CHECKING, TypeAlias

from pipeline.schemas.story import Camera, Heading
from pipeline.schemas.timeline import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Picture: TypeAlias = NDArray[np.uint8]

FLOW_WIDTH = 192
"""Motion is measured on pictures this wide; finer ones add noise, not knowledge."""

FLOW_FPS = 8.0

WINDOWS = {"start": (0.02, 0.25), "middle": (0.4, 0.6), "end": (0.75, 0.98)}
"""Parts of a shot in which a still is looked for; its very ends may be half of a dissolve."""

TELLING_FIT = 0.3
"""Share of the picture that one move must explain, or the move says nothing."""

SHIFT = 0.015
STEADY = 0.7
"""Share of a move's whole path that must lead one way."""

BUSY = 0.05
"""Frame widths a second."""

HANDHELD = 0.03
"""Frame widths a second of movement that leads nowhere."""

SAME_LOOK_BITS = 6
"""Perceptual hashes (64 bits) that differ in no more show nearly the same picture. Measured on four files: a camera
that comes back, 6 bits; two people in turn before one backdrop, 8."""


@dataclass(frozen=True, slots=True)
class Still:
    where: str
    at: float
    picture: Picture
    sharpness: float
    brightness: float


@dataclass(frozen=True, slots=True)
class Move:
    """What the picture as a whole did between two looks: moves in frame widths (right and down), log of the zoom.

    `flow` is the mean length of all motion in frame widths, `fit` the share of the picture that the move explains.
    """

    seconds: float
    right: float
    down: float
    zoom: float
    flow: float
    fit: float


def camera(moves: Sequence[Move]) -> tuple[Camera, Heading | None]:
    """What the camera does in a shot, and where a pan or a tilt heads.

    A move counts if it keeps its direction and shifts the picture (for a zoom: its edges) by 1.5 % of its width
    at least. On the bundled show, slow moves shift it by 1.8 to 65 %, static shots by 0.5 % at most.
    """
    if not moves:
        return "static", None
    seconds = sum(move.seconds for move in moves)
    if median(move.fit for move in moves) < TELLING_FIT:
        # Most of the picture moves on its own: nobody can tell what the camera does.
        busy = sum(move.flow for move in moves) / seconds > BUSY
        return ("moving" if busy else "static"), None
    right, down = [m.right for m in moves], [m.down for m in moves]
    zoom = [m.zoom / 2 for m in moves]
    steady = {
        kind: abs(sum(along))
        for kind, along in (("pan", right), ("tilt", down), ("zoom", zoom))
        if abs(sum(along)) >= max(SHIFT, STEADY * sum(map(abs, along)))
    }
    if not steady:
        wandering = (sum(map(abs, right)) + sum(map(abs, down))) / seconds > HANDHELD
        return ("handheld" if wandering else "static"), None
    kind, *others = sorted(steady, key=lambda name: -steady[name])
    if others and steady[others[0]] > steady[kind] / 2:
        return "moving", None
    # The picture moves against the camera.
    named: dict[str, tuple[Camera, Heading | None]] = {
        "pan": ("pan", "right" if sum(right) < 0 else "left"),
        "tilt": ("tilt", "down" if sum(down) < 0 else "up"),
        "zoom": ("push in" if sum(zoom) > 0 else "pull out", None),
    }
    return named[kind]


def groups(hashes: Sequence[Sequence[str]]) -> list[int]:
    """For each shot's hashes (hex) the number of its look; looks are numbered in the order in which they come.

    A shot has the look of the first earlier shot of which some still is nearly the same picture as one of its own.
    """
    numbers = [[int(text, 16) for text in shot] for shot in hashes]
    looks: list[int] = []
    for shot, own in enumerate(numbers):
        same = (
            looks[other]
            for other in range(shot)
            if any((a ^ b).bit_count() <= SAME_LOOK_BITS for a in own for b in numbers[other])
        )
        looks.append(next(same, max(looks, default=-1) + 1))
    return looks


def perceptual_hash(picture: Picture) -> str:
    """64 bits in hex, by the picture's low frequencies."""
    import imagehash
    from PIL import Image

    return str(imagehash.phash(Image.fromarray(picture)))


@dataclass(slots=True)
class Watcher:
    """Gathers one shot's measures frame by frame, keeping only three stills and the last small picture."""

    span: Span
    moves: list[Move] = field(default_factory=list)
    light: list[tuple[float, float, float]] = field(default_factory=list)
    _sharpest: dict[str, Still] = field(default_factory=dict)
    _first: Still | None = None
    _seen: tuple[float, Picture] | None = None

    def add(self, time: float, picture: Picture) -> None:
        import cv2
        import numpy as np

        share = (time - self.span.start) / self.span.seconds
        where = next((name for name, (low, high) in WINDOWS.items() if low <= share <= high), None)
        if where is not None or self._first is None:
            still = _still(where or "middle", time, picture)
            self._first = self._first or still
            if where is not None and (where not in self._sharpest or still.sharpness > self._sharpest[where].sharpness):
                self._sharpest[where] = still
        if self._seen is None or time - self._seen[0] >= 1 / FLOW_FPS - 1e-3:
            height = max(32, round(picture.shape[0] * FLOW_WIDTH / picture.shape[1]))
            small = cv2.resize(picture, (FLOW_WIDTH, height), interpolation=cv2.INTER_AREA)
            grey: Picture = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
            warm = float((small[..., 0] - 1.0 * small[..., 2]).mean())
            self.light.append((float(grey.mean()), float(grey.std()), warm))
            if self._seen is not None:
                self.moves.append(_move(self._seen[1], grey, time - self._seen[0]))
            self._seen = (time, grey)

    @property
    def stills(self) -> list[Still]:
        """The sharpest frame of each part, in order of time; of a shot too short for parts, its first; else none."""
        fallback = [self._first] if self._first is not None else []
        return sorted(self._sharpest.values(), key=lambda still: still.at) or fallback

    @property
    def brightness(self) -> float:
        """Mean level, 0 to 1."""
        return fmean(mean for mean, _, _ in self.light) / 255

    @property
    def contrast(self) -> float:
        """Standard deviation of levels, 0 to 1 (half black, half white)."""
        return min(1.0, fmean(spread for _, spread, _ in self.light) / 127.5)

    @property
    def warmth(self) -> float:
        """Mean of red minus blue, -1 to 1."""
        return fmean(warm for _, _, warm in self.light) / 255

    @property
    def motion(self) -> float:
        """Mean optical flow in frame widths a second."""
        seconds = sum(move.seconds for move in self.moves)
        return sum(move.flow for move in self.moves) / seconds if seconds else 0.0


def _still(where: str, time: float, picture: Picture) -> Still:
    import cv2

    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    return Still(where, time, picture, float(cv2.Laplacian(grey, cv2.CV_32F).var()), float(grey.mean()) / 255)


def _move(before: Picture, after: Picture, seconds: float) -> Move:
    import cv2
    import numpy as np

    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(before, after, None)  # type: ignore[call-overload]
    height, width = before.shape
    rows, columns = np.mgrid[4:height:6, 4:width:6]
    points = np.stack([columns.ravel(), rows.ravel()], axis=1).astype(np.float32)
    # A flow is only known where there is something to see moving.
    edges = cv2.morphologyEx(before, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8))[rows, columns].ravel() > 12
    points = points[edges]
    length = float(np.hypot(flow[..., 0], flow[..., 1]).mean()) / width
    if len(points) < 20:
        return Move(seconds, 0.0, 0.0, 0.0, length, 0.0)
    moved = points + flow[points[:, 1].astype(int), points[:, 0].astype(int)]
    matrix, inside = cv2.estimateAffinePartial2D(points, moved, method=cv2.RANSAC, ransacReprojThreshold=0.5)
    if matrix is None:
        return Move(seconds, 0.0, 0.0, 0.0, length, 0.0)
    centre = np.array([width / 2, height / 2, 1.0])
    right, down = (matrix @ centre - centre[:2]) / width
    zoom = math.log(math.hypot(matrix[0, 0], matrix[1, 0]))
    return Move(seconds, float(right), float(down), zoom, length, float(inside.mean()))
