"""New words for an old stretch of speech: unchanged words keep their times, changed ones share what is left.

And how captions quote speech.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate

from pipeline.schemas.timeline import Span, Word

MIN_ROOM_SECONDS = 0.06
"""Less time than this for a word is no room for it: it then shares a neighbour's. Half of a fast syllable."""


def retimed(text: str, words: Sequence[Word], span: Span) -> tuple[Word, ...]:
    """`text`, timed within `span` by `words`, what a machine heard there; empty where `text` has no word.

    Words that both have, case and punctuation aside, keep their time and probability (moved along where `span` is
    not the words' own); others share by their letters the time of the words they replace, and are sure: a person
    wrote them.
    """
    new = text.split()
    old = _moved(words, span)
    if not old:
        return _shared(new, span)
    found: list[Word] = []
    for tag, i, i_end, j, j_end in _steps([_bare(word.text) for word in old], [_bare(word) for word in new]):
        if tag == "equal" or i_end - i == j_end - j:
            sure = {} if tag == "equal" else {"probability": 1.0}
            pairs = zip(new[j:j_end], old[i:i_end], strict=True)
            found += [word.model_copy(update={"text": text, **sure}) for text, word in pairs]
        elif tag == "replace":
            found += _shared(new[j:j_end], Span(start=old[i].span.start, end=_end(old[i:i_end])))
        elif tag == "insert":
            found += _inserted(new[j:j_end], old, i, span, found)
    return tuple(found)


SOMEONE = "someone"
"""How a caption names a speaker whom nobody knows. No face found does not mean that nobody is seen."""


def quotable(text: str) -> str:
    """`text` as it can stand between double quotation marks: its own become single ones, and it ends without a pause
    mark, which would run into the closing one.
    """
    return re.sub('["“”„]', "'", text).rstrip(",;: ")


def bare(text: str) -> str:
    """`text` without case and punctuation: what is compared where spelling does not matter."""
    return " ".join(_bare(word) for word in text.split())


def _steps(old: list[str], new: list[str]) -> Iterator[tuple[str, int, int, int, int]]:
    yield from SequenceMatcher(a=old, b=new, autojunk=False).get_opcodes()


def _bare(word: str) -> str:
    return "".join(c for c in word.casefold() if c.isalnum()) or word


def _end(words: Sequence[Word]) -> float:
    return max(word.span.end for word in words)


def _moved(words: Sequence[Word], span: Span) -> list[Word]:
    """`words` stretched evenly onto `span`; untouched where it is their own."""
    if not words:
        return []
    start, end = words[0].span.start, _end(words)
    if (start, end) == (span.start, span.end):
        return list(words)
    scale = span.seconds / (end - start)

    def moved(moment: float) -> float:
        return span.start + (moment - start) * scale

    return [
        word.model_copy(update={"span": Span(start=moved(word.span.start), end=moved(word.span.end))}) for word in words
    ]


def _inserted(new: list[str], old: list[Word], at: int, span: Span, found: list[Word]) -> tuple[Word, ...]:
    """Words that stand before old word `at`: in the pause there, else in the time of the word said before it.

    `found` loses that word, because it is given back with the new ones; in front of all, `old[at]` is shortened.
    """
    start = found[-1].span.end if found else span.start
    end = old[at].span.start if at < len(old) else span.end
    if end - start >= MIN_ROOM_SECONDS * len(new):
        return _shared(new, Span(start=start, end=end))
    if found:
        sharer = found.pop()
        return _shared([sharer.text, *new], Span(start=sharer.span.start, end=max(end, sharer.span.end)))
    # Nothing is said before: the new words take the first half of the word that they push in front of.
    pushed = old[at].span
    old[at] = old[at].model_copy(update={"span": Span(start=pushed.middle, end=pushed.end)})
    return _shared(new, Span(start=span.start, end=pushed.middle))


def _shared(texts: Sequence[str], span: Span) -> tuple[Word, ...]:
    """Each word gets a share of `span` as long as its letters are."""
    letters = [0, *accumulate(len(text) for text in texts)]
    cuts = [span.start + span.seconds * count / letters[-1] for count in letters[:-1]]
    return tuple(
        Word(text=text, span=Span(start=start, end=end), probability=1.0)
        for text, start, end in zip(texts, cuts, [*cuts[1:], span.end], strict=True)
    )
