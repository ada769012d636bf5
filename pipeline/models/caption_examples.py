"""Which of a show's approved captions a model is given as examples: few, without faults, and each unlike the others."""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

EDITED = 0.5
"""What it is worth that a person worded a caption: as much as half a place. What was only kept is the machine's own."""


@dataclass(frozen=True, slots=True)
class Approved:
    """A caption that people kept. `place` is "" where nobody knows it, `cast` are ids, `edited` if they worded it."""

    clip: str
    text: str
    place: str
    cast: frozenset[str]
    edited: bool


def chosen(approved: Sequence[Approved], most: int) -> list[Approved]:
    """At most so many, in the order of `approved`: again and again the one that is most unlike those taken.

    Two are unlike in their place, their people, their length and their words, each of which counts up to 1.
    """
    taken: list[int] = []
    nearest = [0.0] * len(approved)
    while len(taken) < min(most, len(approved)):
        left = [index for index in range(len(approved)) if index not in taken]
        # The first of equals, so that the same captions choose the same.
        best = max(left, key=lambda index: (round(nearest[index] + EDITED * approved[index].edited, 6), -index))
        for index in left:
            apart = unlike(approved[index], approved[best])
            nearest[index] = apart if not taken else min(nearest[index], apart)
        taken.append(best)
    return [approved[index] for index in sorted(taken)]


def unlike(one: Approved, other: Approved) -> float:
    """0 for the same caption, up to 4."""
    people = one.cast | other.cast
    lengths = sorted(len(each.text) for each in (one, other))
    return (
        (one.place != other.place)
        + (1 - len(one.cast & other.cast) / len(people) if people else 0.0)
        + (1 - lengths[0] / lengths[1] if lengths[1] else 0.0)
        + (1 - fuzz.token_sort_ratio(one.text, other.text) / 100)
    )
