"""Two hearings of the same sound set side by side: the text, and the decoding that was told the show's names."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipeline.models.lexicon import normal
from pipeline.schemas.timeline import Segment, Transcript, Word

Place = tuple[int, int]
"""Index of a segment, index of a word in it."""

APART_SECONDS = 1.5
"""Words further apart than this are not the same sound: Whisper's word times are seldom off by a second."""


MISSED_WORDS, MISSED_PROBABILITY = 3, 0.5
"""Less is no speech that the text lacks: told names, Whisper writes them into silence, at 0.00 to 0.17."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Words `first` to `last` of one segment were heard the second time as `words` (possibly none)."""

    segment: int
    first: int
    last: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Hearings:
    """`same` are the places that both hearings have alike; `extra` what only the second one has."""

    same: frozenset[Place]
    differences: tuple[Difference, ...]
    extra: tuple[tuple[Word, ...], ...]

    def second(self, segment: int, first: int, last: int) -> tuple[Word, ...] | None:
        """What the second hearing has in place of these words; None where it is the same or unknown."""
        for found in self.differences:
            if found.segment == segment and found.first <= last and first <= found.last:
                if len(found.words) == found.last - found.first + 1:  # Word for word.
                    return found.words[max(0, first - found.first) : last - found.first + 1]
                return found.words
        return None

    def agree(self, segment: int, first: int, last: int) -> bool:
        return all((segment, index) in self.same for index in range(first, last + 1))


def missed(transcript: Transcript) -> Iterator[str]:
    """What the second hearing is sure of and the text lacks, in words for the people who listen there."""
    for words in compare(transcript.segments, transcript.biased).extra:
        if len(words) >= MISSED_WORDS and fmean(word.probability for word in words) >= MISSED_PROBABILITY:
            said = " ".join(word.text for word in words)
            yield f'the text lacks what a second hearing has at {words[0].span.start:.1f} s: "{said}"'


def compare(segments: Sequence[Segment], biased: Sequence[Word]) -> Hearings:
    """Align the words of `segments` with `biased`, both in order of time; case and punctuation do not count."""
    from rapidfuzz.distance import Levenshtein

    places = [(s, w) for s, segment in enumerate(segments) for w in range(len(segment.words))]
    words = [segments[s].words[w] for s, w in places]
    opcodes = Levenshtein.opcodes([normal(w.text) for w in words], [normal(w.text) for w in biased])
    same: set[Place] = set()
    differences: list[Difference] = []
    extra: list[tuple[Word, ...]] = []
    block = (0, 0, 0, 0)
    for tag, a, a_end, b, b_end in (*opcodes, ("equal", len(words), len(words), len(biased), len(biased))):
        if tag != "equal":
            block = (block[0], a_end, block[2], b_end)
            continue
        if block[0] < block[1]:
            differences += _differences(
                places[block[0] : block[1]], words[block[0] : block[1]], biased[block[2] : block[3]]
            )
        elif block[2] < block[3]:
            extra.append(tuple(biased[block[2] : block[3]]))
        same |= {
            place
            for place, one, other in zip(places[a:a_end], words[a:a_end], biased[b:b_end], strict=True)
            if _near(one, other)
        }
        block = (a_end, a_end, b_end, b_end)
    return Hearings(frozenset(same), tuple(differences), tuple(extra))


def _differences(places: Sequence[Place], words: Sequence[Word], others: Sequence[Word]) -> Iterator[Difference]:
    """One difference for each segment of the block, with the other words that are near it in time."""
    for segment in dict.fromkeys(s for s, _ in places):
        mine = [(w, word) for (s, w), word in zip(places, words, strict=True) if s == segment]
        near = tuple(
            other
            for other in others
            if min(words, key=lambda word: abs(word.span.middle - other.span.middle)) in [word for _, word in mine]
            and any(_near(word, other) for _, word in mine)
        )
        if near:
            yield Difference(segment, mine[0][0], mine[-1][0], near)


def _near(one: Word, other: Word) -> bool:
    return abs(one.span.middle - other.span.middle) <= APART_SECONDS
