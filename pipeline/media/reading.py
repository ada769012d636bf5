"""A training sample's picture and sound as arrays, read ahead of whoever works on them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pipeline.media import audio, video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.engine.work import Workspace
    from pipeline.schemas.datasets import Sample

T = TypeVar("T")
R = TypeVar("R")

PICTURE_READERS = 4
REMEDY = "its file is damaged or not what made this dataset: run the step that cuts the clips again"


def pictures(path: Path, name: str, num_frames: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(num_frames, height, width, 3) uint8 RGB of a whole sample; `size` is (width, height).

    Raises ValueError with its `name` where it cannot be read, or holds another number of frames.
    """
    import numpy as np

    try:
        found = [picture for _, picture in video.frames(path, size)]
    except ValueError as error:
        raise ValueError(f"{name} cannot be read ({error}): {REMEDY}") from error
    if len(found) != num_frames:
        raise ValueError(f"{name} has {len(found)} frames where its dataset says {num_frames}: {REMEDY}")
    return np.stack(found)


def pictures_ahead(work: Workspace, batches: Sequence[Sequence[Sample]]) -> Iterator[NDArray[np.uint8]]:
    """The `pictures` of each batch, (samples, num_frames, height, width, 3).

    A GPU is done with a clip in less time than a thread decodes one, and a clip is 100 MB: readers put it in place.
    """
    import numpy as np

    def read(batch: Sequence[Sample]) -> NDArray[np.uint8]:
        found = [pictures(work.open(s.video), s.video.name, s.num_frames, (s.width, s.height)) for s in batch]
        return found[0][None] if len(found) == 1 else np.stack(found)

    return read_ahead(batches, read, depth=PICTURE_READERS)


def wave(path: Path, rate: int, samples: int) -> NDArray[np.float32] | None:
    """(2, samples) float32 in [-1, 1] at `rate` Hz, from the first frame on, with silence for what is missing.

    None without an audio track.
    """
    import numpy as np

    if audio.starts_at(path) is None:
        return None
    return audio.Reader(path, rate, "stereo").read(0, samples).astype(np.float32) / np.float32(32_768)


def read_ahead(things: Iterable[T], read: Callable[[T], R], depth: int = 2) -> Iterator[R]:
    """`read` of each thing, in their order, at most `depth` of them ahead of the one that is worked on.

    FFmpeg and numpy let go of Python's lock, so threads suffice. An error is raised where its result is due.
    """
    with ThreadPoolExecutor(depth, thread_name_prefix="reading") as threads:
        waiting: deque[Future[R]] = deque()
        try:
            for thing in things:
                waiting.append(threads.submit(read, thing))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()
