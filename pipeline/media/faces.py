"""Faces in stills, by the cascades that OpenCV carries, and the shot scale that their size tells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from pipeline.schemas.story import ShotScale

if TYPE_CHECKING:
    import cv2
    import numpy as np
    from numpy.typing import NDArray

    Picture: TypeAlias = NDArray[np.uint8]

SCALES: tuple[tuple[float, ShotScale], ...] = (
    (0.75, "extreme close-up"),
    (0.37, "close-up"),
    (0.3, "medium close-up"),
    (0.17, "medium shot"),
    (0.08, "full shot"),
    (0.0, "wide shot"),
)
"""Least height of a face's box as a share of the picture's. A box reaches from brow to chin, three quarters of a head;
a close-up shows two heads at most, chest and head two and a half, from the waist up four and a half, a person eight."""

SEARCHED_HEIGHT = 360
"""Faces are searched on pictures this high; smaller ones than 5 % of it are not found."""


def heights(picture: Picture) -> tuple[float, ...]:
    """Heights of the faces in (height, width, 3) uint8 RGB, as shares of the picture's, the largest first."""
    import cv2

    width = round(picture.shape[1] * SEARCHED_HEIGHT / picture.shape[0])
    grey = cv2.cvtColor(cv2.resize(picture, (width, SEARCHED_HEIGHT), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    # Eight neighbours instead of the usual three: a face that is not there does more harm than one not found.
    boxes = _cascade().detectMultiScale(cv2.equalizeHist(grey), scaleFactor=1.1, minNeighbors=8, minSize=(18, 18))
    return tuple(sorted((float(box[3]) / SEARCHED_HEIGHT for box in boxes), reverse=True))


def scale(found: Sequence[Sequence[float]]) -> ShotScale | None:
    """The scale told by the largest face in each of a shot's stills; None unless most of them have one."""
    largest = [max(faces) for faces in found if faces]
    if 2 * len(largest) <= len(found):
        return None
    size = median(largest)
    return next(name for least, name in SCALES if size >= least)


def count(found: Sequence[Sequence[float]]) -> int:
    """How many faces a shot's stills show, by the middle one of their counts."""
    return sorted(len(faces) for faces in found)[(len(found) - 1) // 2]


@cache
def _cascade() -> cv2.CascadeClassifier:
    import cv2
    import cv2.data

    return cv2.CascadeClassifier(f"{cv2.data.haarcascades}haarcascade_frontalface_alt2.xml")
