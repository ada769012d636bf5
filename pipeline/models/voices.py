"""Which lines are spoken in one voice: voiceprints gathered within an episode, then across the show.

Voiceprints of one recording are all alike in part: they share the room, the microphone and the language. What all
voices share is taken off before they are compared, the more of it the more voices there are to tell it from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float64]
    """(lines, dimensions), each of length 1."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line to be given a voice. `vector` is empty where too little is heard.

    `goes_on`: it is of the same turn as the line before it. `overlap`: more than one person speaks in it.
    """

    segment: str
    vector: tuple[float, ...]
    seconds: float
    goes_on: bool = False
    overlap: bool = False


@dataclass(frozen=True, slots=True)
class Grouping:
    """`alike`: the mean likeness, from -1 to 1, at which two groups of lines are one voice, after centring.

    Turns of less than `founding_seconds` found no voice of their own; they join the nearest one, unless they are less
    than `least_alike` to it.
    """

    alike: float
    founding_seconds: float
    least_alike: float


@dataclass(frozen=True, slots=True)
class Place:
    """The voice of a line (None: none is like it), how like it the line is, and whether the line helped to found it."""

    voice: str | None
    likeness: float | None
    founds: bool = False


ROUGH = 0.7
"""Mean likeness of lines that are most likely one voice before anything is taken off, for GE2E's voiceprints."""
COMMON = 1.5
"""With so many voices, half of what they have in common is taken off. Purity comes first, for a name spreads over all
lines of its voice. With ROUGH at 0.7 and `alike` at 0.3, any COMMON from 0.5 to 2 gives the same groups on the bundled
show, a film and a reel of twelve speakers, in lines as recognised and as they truly are (benchmarks/speakers.py)."""


def grouped(episodes: Mapping[str, Sequence[Line]], how: Grouping) -> dict[str, list[Place]]:
    """A place for each line, in order. A voice is named after the first line that founds it, episode after episode."""
    import numpy as np

    turns = {name: _turns(lines) for name, lines in episodes.items()}
    founders = [(name, turn) for name in turns for turn in turns[name] if turn.founds(how)]
    if not founders:
        return {name: [Place(None, None)] * len(lines) for name, lines in episodes.items()}
    vectors, seconds = np.array([t.vector for _, t in founders]), np.array([t.seconds for _, t in founders])
    local: list[int] = []
    for name in turns:
        own = vectors[[at == name for at, _ in founders]]
        first = max(local, default=-1) + 1
        local += [first + label for label in agglomerated(unit(own - common(own)), how.alike)] if len(own) else []
    shared = common(means(vectors, seconds, local))
    joined = agglomerated(means(unit(vectors - shared), seconds, local), how.alike)
    labels = [joined[label] for label in local]
    names: dict[int, str] = {}
    for (name, turn), label in zip(founders, labels, strict=True):
        names.setdefault(label, f"voice-{episodes[name][turn.first].segment}")
    directions = unit(means(unit(vectors - shared), seconds, labels))
    founded = {(name, turn.first): label for (name, turn), label in zip(founders, labels, strict=True)}
    return {
        name: [
            place
            for turn in turns[name]
            for place in _places(turn, founded.get((name, turn.first)), directions, shared, names, how)
        ]
        for name in turns
    }


@dataclass(frozen=True, slots=True)
class _Turn:
    """Lines `first` to `end` (not in it), spoken by one person without a stop; `vector` is None where none is heard."""

    first: int
    end: int
    vector: Vectors | None
    seconds: float
    overlap: bool

    def founds(self, how: Grouping) -> bool:
        return self.vector is not None and not self.overlap and self.seconds >= how.founding_seconds


def _turns(lines: Sequence[Line]) -> list[_Turn]:
    import numpy as np

    # A line in which two people speak goes on with nothing, and nothing with it.
    parted = [not line.goes_on or line.overlap or lines[i - 1].overlap for i, line in enumerate(lines)]
    starts = [i for i, apart in enumerate(parted) if i == 0 or apart]
    turns = []
    for first, end in pairwise([*starts, len(lines)]):
        heard = [line for line in lines[first:end] if line.vector]
        vector = unit(np.sum([np.array(line.vector) * line.seconds for line in heard], axis=0)) if heard else None
        turns.append(_Turn(first, end, vector, sum(line.seconds for line in heard), lines[first].overlap))
    return turns


def _places(
    turn: _Turn, founded: int | None, directions: Vectors, shared: Vectors, names: Mapping[int, str], how: Grouping
) -> list[Place]:
    if turn.vector is None:
        return [Place(None, None)] * (turn.end - turn.first)
    alike = directions @ unit(turn.vector - shared)
    nearest = int(alike.argmax()) if founded is None else founded
    likeness = round(float(alike[nearest]), 2)
    found = founded is not None or likeness >= how.least_alike
    return [Place(names[nearest] if found else None, likeness, founded is not None)] * (turn.end - turn.first)


def agglomerated(groups: Vectors, alike: float) -> list[int]:
    """The number of each group's cluster, from 0: clusters are joined while the mean likeness of their groups allows.

    `groups` are unit vectors, or the means of some: the product of two means is the mean likeness of their members.
    """
    import numpy as np
    from scipy.cluster.hierarchy import fcluster, linkage  # type: ignore[import-untyped]

    if len(groups) < 2:
        return [0] * len(groups)
    pairs = np.triu_indices(len(groups), 1)
    tree = linkage(np.maximum(0.0, 1 - groups @ groups.T)[pairs], method="average")
    return [int(label) - 1 for label in fcluster(tree, 1 - alike, criterion="distance")]


def common(groups: Vectors) -> Vectors:
    """What the voices among `groups` have in common, as far as it can be told from what each is: (dimensions,)."""
    import numpy as np

    rough = unit(means(groups, np.ones(len(groups)), agglomerated(groups, ROUGH)))
    shared: Vectors = rough.mean(axis=0) * len(rough) / (len(rough) + COMMON)
    return shared


def means(vectors: Vectors, weights: Vectors, labels: Sequence[int]) -> Vectors:
    """The mean vector of each group, (groups, dimensions), by the weight of its members."""
    import numpy as np

    total = np.zeros((max(labels) + 1, vectors.shape[1]))
    weight = np.zeros((len(total), 1))
    np.add.at(total, np.array(labels), vectors * weights[:, None])
    np.add.at(weight, np.array(labels), weights[:, None])
    mean: Vectors = total / weight
    return mean


def unit(vectors: Vectors) -> Vectors:
    """Each vector at length 1; one of no length stays as it is."""
    import numpy as np

    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Vectors = vectors / np.where(length > 0, length, 1.0)
    return scaled
