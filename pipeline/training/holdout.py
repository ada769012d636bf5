"""Judging by clips that are never trained on, at noise and sigmas that are always the same.

They depend on the sample's name and nothing else, so that losses compare between checkpoints and between trainings.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Generator

from pipeline.training.randomness import generator

GOLDEN = 0.6180339887498949
"""Its multiples are spread evenly, however many there are."""


@dataclass(frozen=True, slots=True)
class Question:
    """One held-out sample at one sigma."""

    index: int
    sample: str
    sigma: float

    def generator(self) -> Generator:
        return generator("holdout", self.sample, round(self.sigma * 1e6))


def questions(samples: Sequence[str], sigmas: int) -> Iterator[Question]:
    """Every sample at `sigmas` levels, one in each equal part of [0, 1]; where in it moves on from sample to sample, so
    that several clips see several levels of each band.
    """
    for index, sample in enumerate(samples):
        within = (0.5 + index * GOLDEN) % 1
        for part in range(sigmas):
            yield Question(index, sample, (part + within) / sigmas)
