"""Where what a reviewer saw lies in newer machine output, and how sure that is. Pure.

Clips are compared by the time they share. Words are compared by letters and time, because line ids change with every
cut and every hearing: `sureness` is the part of the letters that agrees times the part of the time that agrees.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.schemas.timeline import Segment, Span, Word
from pipeline.schemas.wording import bare

SAME_PLACE = 0.9
"""Spans that share this much of what both cover are the same window; a span that covers this much of another covers
almost all of it. In a clip of 5 s the rest is half a second: a breath, not a picture."""

SLACK_SECONDS = 0.5
"""How far a recogniser's times for the same words may move between two versions; 0.1 to 0.3 s is usual."""

SURE_ENOUGH = 0.75
"""From here on a correction is carried. One word in four heard otherwise ("bring cone now" as "bring corn now", 0.93;
"are you doctor cone" as "are you Donnie", 0.73) still names the same line."""

MOST_PIECES = 4
"""A line is looked for in at most this many neighbouring lines: so many shots rarely cut through one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Words `first` up to `last` (not in it) of `segment`."""

    segment: Segment
    first: int
    last: int

    @property
    def words(self) -> tuple[Word, ...]:
        return self.segment.words[self.first : self.last]

    @property
    def whole(self) -> bool:
        return self.last - self.first == len(self.segment.words)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words that follow each other, in one line or in several; `same` where it is just what the reviewer saw."""

    pieces: tuple[Piece, ...]
    sureness: float
    same: bool = False

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for piece in self.pieces for word in piece.words)

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def span(self) -> Span:
        return _span(self.words)

    @property
    def whole(self) -> bool:
        return all(piece.whole for piece in self.pieces)


def alike(one: Span, other: Span) -> float:
    """How much of what both cover they share: 1 for the same span, 0 where they do not meet."""
    shared = one.overlap(other)
    return shared / (one.seconds + other.seconds - shared)


def covered(new: Span, old: Span) -> float:
    """How much of `new` lies in `old`."""
    return min(1.0, new.overlap(old) / new.seconds)


def agreement(one: str, other: str) -> float:
    """How many of the letters of two texts agree; case and punctuation aside."""
    from rapidfuzz import fuzz

    return fuzz.ratio(bare(one), bare(other)) / 100


def whole(segment: Segment) -> Stretch:
    """A line that stands as it was seen."""
    return Stretch((Piece(segment, 0, len(segment.words)),), 1.0, same=True)


def find(span: Span, texts: Sequence[str], segments: Iterable[Segment]) -> Stretch | None:
    """The words of `segments` that lie where a line lay and are most like one of `texts`; None where nobody speaks.

    A new cut may have split the line, joined it with its neighbours or moved it a little, so the stretch may be a part
    of a line or several lines.
    """
    best: tuple[tuple[float, ...], Stretch] | None = None
    near = _near(span, segments)
    for first in range(len(near)):
        for last in range(first + 1, min(first + MOST_PIECES, len(near)) + 1):
            for pieces in _trimmed(near[first:last], span):
                words = [word for piece in pieces for word in piece.words]
                text = " ".join(word.text for word in words)
                place = _span(words)
                sureness = round(max(agreement(text, seen) for seen in texts) * _in_time(place, span), 4)
                rank = (sureness, -float(len(pieces)), -abs(place.middle - span.middle))
                if best is None or rank > best[0]:
                    best = rank, Stretch(pieces, sureness)
    return best[1] if best else None


def find_words(form: str, span: Span, segments: Iterable[Segment]) -> Stretch | None:
    """Words heard just as `form`, case and punctuation aside, nearest to where they were heard before."""
    wanted, count = _letters(form), len(form.split())
    found = []
    for segment in _near(span, segments):
        for first in range(len(segment.words)):
            for last in range(first + max(1, count - 1), min(first + count + 1, len(segment.words)) + 1):
                piece = Piece(segment, first, last)
                place = _span(piece.words)
                if _letters(" ".join(word.text for word in piece.words)) == wanted and _in_time(place, span):
                    sureness = round(_in_time(place, span), 4)
                    found.append((-sureness, abs(place.middle - span.middle), segment.id, first, last, piece))
    if not found:
        return None
    sureness, *_, piece = min(found, key=lambda each: each[:5])
    return Stretch((piece,), -sureness)


def _near(span: Span, segments: Iterable[Segment]) -> list[Segment]:
    """The lines that lie where `span` does, or may have lain, in order of time."""
    wide = _widened(span)
    # Most lines of an episode lie elsewhere; their first and last words tell it for less than their whole span.
    start, end = wide.start, wide.end
    near = [
        s for s in segments if s.words[0].span.start < end and s.words[-1].span.end > start and s.span.overlap(wide)
    ]
    return sorted(near, key=lambda segment: (segment.span.start, segment.id))


def _trimmed(run: Sequence[Segment], span: Span) -> Iterator[tuple[Piece, ...]]:
    """`run` whole, and without the words at its ends that lie outside the line, wherever its ends may be."""
    head, tail = run[0].words, run[-1].words
    firsts = {0} | {i for i, word in enumerate(head) if abs(word.span.start - span.start) <= SLACK_SECONDS}
    lasts = {len(tail)} | {i + 1 for i, word in enumerate(tail) if abs(word.span.end - span.end) <= SLACK_SECONDS}
    for first in sorted(firsts):
        for last in sorted(lasts):
            if len(run) > 1:
                middle = tuple(Piece(segment, 0, len(segment.words)) for segment in run[1:-1])
                yield (Piece(run[0], first, len(head)), *middle, Piece(run[-1], 0, last))
            elif first < last:
                yield (Piece(run[0], first, last),)


def _in_time(place: Span, span: Span) -> float:
    return covered(place, _widened(span))


def _widened(span: Span) -> Span:
    return Span(start=max(0.0, span.start - SLACK_SECONDS), end=span.end + SLACK_SECONDS)


def _span(words: Sequence[Word]) -> Span:
    return Span(start=words[0].span.start, end=max(word.span.end for word in words))


def _letters(text: str) -> str:
    return bare(text).replace(" ", "")
