"""What of an episode a model is shown and played: pictures within a budget of pixels, and the sound of a stretch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.media.audio import SAMPLE_RATE_HZ
from pipeline.schemas.timeline import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.media.audio import Samples


def sound(samples: Samples, span: Span) -> Samples:
    """(samples,) of `span`; `samples` are the whole episode's, at SAMPLE_RATE_HZ."""
    return samples[round(span.start * SAMPLE_RATE_HZ) : round(span.end * SAMPLE_RATE_HZ)]


def picture(path: Path, most_pixels: int) -> NDArray[np.uint8]:
    """(height, width, 3) uint8, RGB, made smaller where it has more than `most_pixels`.

    Raises ValueError naming the file if it is no picture.
    """
    import cv2
    import numpy as np

    read = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if read is None:
        raise ValueError(f"{path.name} is no picture that can be read: save it as PNG or JPEG")
    height, width = read.shape[:2]
    scale = math.sqrt(most_pixels / (height * width))
    if scale < 1:
        size = (max(1, math.floor(width * scale)), max(1, math.floor(height * scale)))
        read = cv2.resize(read, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(read[:, :, ::-1])
