"""What a video model is given of a dataset's samples: batches of one shape, and captions with the trigger in front."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from pipeline.schemas.datasets import Sample


def stem(sample: Sample) -> str:
    """A sample's name in training: its video's, without the suffix."""
    return sample.video.name.removesuffix(".mp4")


def in_batches(samples: Iterable[Sample]) -> list[Sample]:
    """Those of one shape beside each other, so that they make whole batches."""
    return sorted(samples, key=lambda sample: (_shape(sample), sample.video.name))


def batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    """At most `size` neighbours of one shape at a time."""
    for _, group in groupby(samples, key=_shape):
        alike = list(group)
        for start in range(0, len(alike), size):
            yield alike[start : start + size]


def prompt(caption: str, trigger: str) -> str:
    """The caption with the trigger in front, once; a word that merely begins like it is not it."""
    said = caption.startswith(trigger) and not caption.removeprefix(trigger)[:1].isalnum()
    return caption if not trigger or said else f"{trigger} {caption}"


def _shape(sample: Sample) -> tuple[int, int, int, float]:
    return sample.num_frames, sample.height, sample.width, sample.fps
