"""From a stream of words to lines that read like subtitles, each within one shot."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.schemas.timeline import Segment, Shot, Word

MAX_SECONDS = 7.0
MAX_CHARACTERS = 84
"""Two lines of 42 characters, seven seconds: Netflix Timed Text Style Guide, General Requirements."""

STRAY_WORDS = 2
"""Word times are good to a tenth of a second or two, in which people say no more words than this."""

_ENDS = (".", "?", "!", "…", "。", "？", "！", "।", "؟")
_PAUSES = (",", ";", ":", "–", "—", "-", "、", "，", "،")
_CLOSERS = "\"'”’»)]」』"
_ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "st", "prof", "sgt", "lt", "capt", "col", "gen", "rev", "hon", "jr", "sr", "vs", "etc"]
)
"""English words that carry a full stop and seldom end a sentence."""


@dataclass(frozen=True, slots=True)
class Breaks:
    """Where a line ends: at a pause of `gap` seconds, or of `sentence_gap` seconds after the end of a sentence."""

    gap: float
    sentence_gap: float


@dataclass(frozen=True, slots=True)
class Line:
    """A segment that has no id yet."""

    shot: int
    words: tuple[Word, ...]
    speaker: str | None = None


def cut(words: Sequence[Word], shots: Sequence[Shot], breaks: Breaks, speaker: str | None = None) -> Iterator[Line]:
    """Cut `words` (in order of time) into lines; each belongs to the shot that holds its words' middles."""
    homes = [shot_of(word.span.middle, shots) for word in words]
    for start, end in _stretches(words, homes, breaks):
        for first, last in _short_enough(words, start, end):
            yield Line(homes[first], tuple(words[first:last]), speaker)


def numbered(episode: str, found: Iterable[Line]) -> tuple[Segment, ...]:
    """Segments in order of time, named by their start; lines that start together are a millisecond apart."""
    taken: set[int] = set()
    segments = []
    for line in sorted(found, key=lambda line: (line.words[0].span.start, line.words[-1].span.end)):
        start_ms = round(line.words[0].span.start * 1000)
        while start_ms in taken:
            start_ms += 1
        taken.add(start_ms)
        id_ = f"{episode}@{start_ms:07d}"
        segments.append(Segment(id=id_, shot=line.shot, words=line.words, speaker=line.speaker))
    return tuple(segments)


def shot_of(moment: float, shots: Sequence[Shot]) -> int:
    """The index of the shot that holds `moment`; sound before the first shot or after the last one is theirs."""
    place = bisect_right(shots, moment, key=lambda shot: shot.span.start) - 1
    return shots[max(place, 0)].index


def ends_sentence(text: str) -> bool:
    """Whether a word ends a sentence; "Dr." and an initial do not."""
    bare = text.rstrip(_CLOSERS)
    if not bare.endswith(_ENDS):
        return False
    stem = bare[:-1].lower()
    return not (bare.endswith(".") and (stem in _ABBREVIATIONS or (len(stem) == 1 and stem.isalpha() and stem != "i")))


def ends_phrase(text: str) -> bool:
    """Whether a word has a mark after it at which people pause: a comma, a dash, the end of a sentence."""
    return text.rstrip(_CLOSERS).endswith((*_PAUSES, *_ENDS))


def _stretches(words: Sequence[Word], homes: Sequence[int], breaks: Breaks) -> Iterator[tuple[int, int]]:
    start = 0
    for index in range(1, len(words)):
        gap = _gap(words, index)
        ended = ends_sentence(words[index - 1].text) and gap >= breaks.sentence_gap
        if homes[index] != homes[index - 1]:
            yield from _without_stray(words, start, index)
        elif gap >= breaks.gap or ended:
            yield start, index
        else:
            continue
        start = index
    if words:
        yield start, len(words)


def _without_stray(words: Sequence[Word], start: int, end: int) -> Iterator[tuple[int, int]]:
    """A cut often comes as the next speaker begins: the first words of their sentence are no part of this line."""
    for index in range(end - 1, max(start, end - 1 - STRAY_WORDS), -1):
        if ends_sentence(words[index - 1].text):
            yield start, index
            start = index
            break
    yield start, end


def _short_enough(words: Sequence[Word], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut at the best place, again and again, until a line is short enough to read."""
    seconds = words[end - 1].span.end - words[start].span.start
    characters = sum(len(word.text) + 1 for word in words[start:end]) - 1
    if end - start == 1 or (seconds <= MAX_SECONDS and characters <= MAX_CHARACTERS):
        yield start, end
        return
    at = max(range(start + 1, end), key=lambda index: _cut_value(words, start, index, end))
    yield from _short_enough(words, start, at)
    yield from _short_enough(words, at, end)


def _cut_value(words: Sequence[Word], start: int, index: int, end: int) -> float:
    """How good a place `index` is to begin a new line: sense first, then breath, then two halves of a size."""
    before = words[index - 1].text
    sense = 2.0 if ends_sentence(before) else 1.0 if before.rstrip(_CLOSERS).endswith(_PAUSES) else 0.0
    uneven = abs((index - start) - (end - index)) / (end - start)
    return sense + min(_gap(words, index), 1.0) - uneven


def _gap(words: Sequence[Word], index: int) -> float:
    return words[index].span.start - words[index - 1].span.end
