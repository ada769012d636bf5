"""When words are really said: a recogniser's times, mended by where a voice is heard, by sentences and by cuts.

Whisper draws the first word of a phrase back into the silence before it, now and then over a pause and a cut. Words
keep their order, their text and their number, and move only so far.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from pipeline.media import alignment, lines
from pipeline.schemas.timeline import Shot, Span, Word
from pipeline.schemas.wording import MIN_ROOM_SECONDS

FARTHEST_SECONDS = 1.0
"""No start and no end of a word moves farther."""

FRAME_SECONDS = 0.032
"""The grain of the voice activity detector, which hears a voice a frame late (median of 23 lines: 36 ms)."""

RESIDUE_SECONDS = 0.1
"""So little voice at the edge of a word, and then a pause, is of the word beside it."""

JOINED_SECONDS = 0.1
"""Words closer than this are said without a pause."""

PAUSE_SECONDS = 0.2
"""The closure of a consonant is shorter."""

SHORT_SECONDS = 0.25
"""A short word. Word times are good to a tenth of a second or two: over so little, the sense decides."""


def mended(words: Sequence[Word], voiced: Sequence[Span], shots: Sequence[Shot]) -> tuple[Word, ...]:
    """`words` (in order of their starts) with better times; `voiced` is where a voice is heard without a pause."""
    found = _in_voice(words, voiced)
    for index in range(1, len(words)):
        _after_pause(found, words, index)
    for index in range(1, len(words)):
        _beside_cut(found, words, index, shots)
    return tuple(found)


def _in_voice(words: Sequence[Word], voiced: Sequence[Span]) -> list[Word]:
    """Words without the silence that they begin or end in; one in which no voice is heard at all stays as it is."""
    found: list[Word] = []
    latest = float("inf")
    for word in reversed(words):
        start, end = word.span.start, word.span.end
        first = bisect_right(voiced, start, key=lambda voice: voice.end)
        last = bisect_left(voiced, end, key=lambda voice: voice.start) - 1
        while first < last and voiced[first].overlap(word.span) < RESIDUE_SECONDS:
            first += 1
        while first < last and voiced[last].overlap(word.span) < RESIDUE_SECONDS:
            last -= 1
        if first <= last:
            start = min(max(start, voiced[first].start - FRAME_SECONDS), latest)
            end = min(end, voiced[last].end + FRAME_SECONDS)
        found.append(_at(word, start, end) or word)
        latest = found[-1].span.start
    return found[::-1]


def _after_pause(found: list[Word], heard: Sequence[Word], index: int) -> None:
    """Begin a sentence after the pause, and not with a short word or two before it.

    That takes three signs together: the recogniser runs the words on to the sentence before, it runs them on to
    `index`, and there, where nothing is punctuated, the sound has a pause.
    """
    if _gap(heard, index) >= JOINED_SECONDS or _gap(found, index) < PAUSE_SECONDS:
        return
    for first in range(index - 1, max(index - 1 - lines.STRAY_WORDS, 0), -1):
        if lines.ends_phrase(heard[first].text) or found[index - 1].span.end - found[first].span.start > SHORT_SECONDS:
            return
        if _gap(heard, first) >= JOINED_SECONDS:
            return
        if lines.ends_sentence(heard[first - 1].text):
            _share(found, heard, first, index + 1, found[index].span.start, found[index].span.end)
            return


def _beside_cut(found: list[Word], heard: Sequence[Word], index: int, shots: Sequence[Shot]) -> None:
    """Let the word or two that a cut takes off a phrase go with the rest, if they reach over it no farther than a
    short word; what is really heard over the other shot stays there.
    """
    before, after = _home(found, index - 1, shots), _home(found, index, shots)
    if before == after or not _joined(found, index):
        return
    first, last = index - 1, index + 1
    while first > 0 and _joined(found, first) and _home(found, first - 1, shots) == before:
        first -= 1
    while last < len(found) and _joined(found, last) and _home(found, last, shots) == after:
        last += 1
    left = next(shot.span.end for shot in shots if shot.index == before)
    right = next(shot.span.start for shot in shots if shot.index == after)
    if index - first <= min(lines.STRAY_WORDS, last - index) and right - found[first].span.start <= SHORT_SECONDS:
        for stop in range(index, last + 1):
            end = found[index].span.start if stop == index else found[stop - 1].span.end
            if _share(found, heard, first, stop, right, end):
                return
    elif last - index <= min(lines.STRAY_WORDS, index - first) and found[last - 1].span.end - left <= SHORT_SECONDS:
        for begin in range(index, first - 1, -1):
            start = found[index - 1].span.end if begin == index else found[begin].span.start
            if _share(found, heard, begin, last, start, left):
                return


def _share(found: list[Word], heard: Sequence[Word], first: int, last: int, start: float, end: float) -> bool:
    """Give `found[first:last]` the time from `start` to `end` by their letters; False, and nothing done, where there
    is no room, one would move too far, the word before begins later, or the next one earlier.
    """
    if end - start < MIN_ROOM_SECONDS * (last - first):
        return False
    spans = alignment.shared([word.text for word in found[first:last]], start, end)
    placed = [_at(word, span.start, span.end) for word, span in zip(heard[first:last], spans, strict=True)]
    moved = [word for word in placed if word]
    if len(moved) < len(placed) or (last < len(found) and found[last].span.start < moved[-1].span.start):
        return False
    if first and moved[0].span.start < found[first - 1].span.start:
        return False
    found[first:last] = moved
    return True


def _at(word: Word, start: float, end: float) -> Word | None:
    """`word` from `start` to `end`, or None where that is too far from where it is."""
    start = round(start, 3)
    end = round(max(end, start + alignment.SHORTEST_SECONDS), 3)
    if max(abs(start - word.span.start), abs(end - word.span.end)) > FARTHEST_SECONDS:
        return None
    return word.model_copy(update={"span": Span(start=start, end=end)})


def _home(words: Sequence[Word], index: int, shots: Sequence[Shot]) -> int:
    return lines.shot_of(words[index].span.middle, shots)


def _joined(words: Sequence[Word], index: int) -> bool:
    """Whether word `index` goes on with the sentence of the word before it, without a pause."""
    return _gap(words, index) < JOINED_SECONDS and not lines.ends_sentence(words[index - 1].text)


def _gap(words: Sequence[Word], index: int) -> float:
    return words[index].span.start - words[index - 1].span.end
