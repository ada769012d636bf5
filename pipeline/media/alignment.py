"""When each word of a subtitle is said: the recogniser's times for people's words."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from rapidfuzz.distance import Levenshtein

from pipeline.engine.records import Record
from pipeline.media.subtitles import Cue
from pipeline.schemas.timeline import Span, Word

HEARD = 1.0
UNHEARD = 0.5
"""The probability of a subtitle's word that the recogniser heard too, and of one that it did not hear."""

TOLERANCE_SECONDS = 1.0
"""How far outside its cue a word may be heard; farther away it is the same word of another line."""

CHARACTERS_A_SECOND = 15.0
"""How fast people speak, for words that nobody heard: 150 to 180 words a minute, of five to six letters."""

SHORTEST_SECONDS = 0.02
"""As Whisper's own word times."""


class Timed(Record):
    """`lines` has the words of each cue, in the order of the cues. `agreement` is the share of their words that the
    recogniser heard alike, `shift` how many seconds later than the cues say they are heard.
    """

    lines: tuple[tuple[Word, ...], ...]
    agreement: float
    shift: float


def timed(cues: Sequence[Cue], heard: Sequence[Word]) -> Timed:
    """Time the words of `cues` by those `heard`; both in order of time.

    A word that was heard, rightly or as another one in its place, has the time at which it was heard; the others
    share what is left of their cue by their length.
    """
    texts = [_words(cue.text) for cue in cues]
    owner = [index for index, words in enumerate(texts) for _ in words]
    written = [_bare(text) for words in texts for text in words]
    places, alike = _matched(written, heard)
    shift = _shift([(cues[owner[i]], heard[j]) for i, j in alike if i == 0 or owner[i] != owner[i - 1]])
    spans: list[Span | None] = [
        place if place and _near(cues[cue], place, shift) else None for place, cue in zip(places, owner, strict=True)
    ]
    said = {i for i, _ in alike}
    lines, first = [], 0
    for cue, words in zip(cues, texts, strict=True):
        own = range(first, first + len(words))
        first = own.stop
        times = _filled(words, [spans[i] for i in own], cue, shift)
        chances = [HEARD if i in said and spans[i] else UNHEARD for i in own]
        lines.append(tuple(map(_word, words, times, chances)))
    agreement = sum(spans[i] is not None for i in said) / len(written) if written else 0.0
    return Timed(lines=tuple(lines), agreement=round(agreement, 4), shift=round(shift, 3))


def _matched(written: Sequence[str], heard: Sequence[Word]) -> tuple[list[Span | None], list[tuple[int, int]]]:
    """Where each written word is heard, if it is, and the (written, heard) pairs that are the same word."""
    spans: list[Span | None] = [None] * len(written)
    alike: list[tuple[int, int]] = []
    for step in Levenshtein.opcodes(written, [_bare(word.text) for word in heard]):
        if step.tag == "equal":
            for i, j in zip(range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True):
                spans[i] = heard[j].span
                alike.append((i, j))
        elif step.tag == "replace":
            pairs = zip(range(step.src_start, step.src_end), range(step.dest_start, step.dest_end), strict=True)
            for i, j in pairs:
                spans[i] = heard[j].span
    return spans, alike


def _shift(starts: Sequence[tuple[Cue, Word]]) -> float:
    """How much later than the cues say their first words are heard; 0 where too few were heard to tell."""
    return median(word.span.start - cue.span.start for cue, word in starts) if len(starts) >= 5 else 0.0


def _near(cue: Cue, place: Span, shift: float) -> bool:
    return cue.span.start - TOLERANCE_SECONDS <= place.middle - shift <= cue.span.end + TOLERANCE_SECONDS


def _filled(words: Sequence[str], spans: Sequence[Span | None], cue: Cue, shift: float) -> list[Span]:
    """A span for each word: those not heard lie between their neighbours, or within the cue at its ends."""
    times: list[Span | None] = list(spans)
    known = [-1, *(i for i, span in enumerate(spans) if span), len(words)]
    for left, right in pairwise(known):
        missing = range(left + 1, right)
        if not missing:
            continue
        before, after = spans[left] if left >= 0 else None, spans[right] if right < len(words) else None
        needed = sum(len(words[i]) + 1 for i in missing) / CHARACTERS_A_SECOND
        start = before.end if before else max(cue.span.start + shift, 0.0)
        end = after.start if after else max(cue.span.end + shift, start)
        if before is None and after is not None:
            start = min(max(start, end - needed), end)
        else:
            end = min(end, start + needed) if after is None else max(end, start)
        for i, span in zip(missing, shared([words[i] for i in missing], start, end), strict=True):
            times[i] = span
    return [span for span in times if span is not None]


def shared(words: Sequence[str], start: float, end: float) -> Iterator[Span]:
    """A span for each word, as long a part of `start` to `end` as its letters are of theirs."""
    total = sum(len(word) + 1 for word in words)
    for word in words:
        seconds = (end - start) * (len(word) + 1) / total
        yield Span(start=start, end=max(start + seconds, start + SHORTEST_SECONDS))
        start, total = start + seconds, total - len(word) - 1


def _word(text: str, span: Span, probability: float) -> Word:
    start = round(span.start, 3)
    return Word(
        text=text,
        span=Span(start=start, end=max(round(span.end, 3), round(start + SHORTEST_SECONDS, 3))),
        probability=probability,
    )


def _words(text: str) -> list[str]:
    """The words of a line; a dash or an ellipsis that stands alone goes with the word before it."""
    words: list[str] = []
    for part in text.split():
        if _bare(part) or not words:
            words.append(part)
        else:
            words[-1] += f" {part}"
    return words


def _bare(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
