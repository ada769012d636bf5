"""The log of batch edits read, and the places of new ones found in the lines as they stand. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence

from pipeline.review.lines import plain
from pipeline.schemas.edits import BatchEdit, EditPlace
from pipeline.schemas.story import UNKNOWN
from pipeline.schemas.timeline import Segment, Span


def undone(log: Sequence[BatchEdit]) -> dict[str, BatchEdit]:
    """The entries that are taken back, by their id, each with the entry that took it back; an undo may be undone."""
    found: dict[str, BatchEdit] = {}
    for entry in reversed(log):
        if entry.what == "undo" and entry.id not in found:
            found.setdefault(entry.undoes, entry)
    return found


def standing(log: Sequence[BatchEdit]) -> list[BatchEdit]:
    """The entries that count, the oldest first: neither an undo nor undone."""
    gone = undone(log)
    return [entry for entry in log if entry.what != "undo" and entry.id not in gone]


def replacing(
    episode: str,
    lines: Iterable[Segment],
    find: str,
    replacement: str,
    *,
    whole_words: bool = True,
    match_case: bool = True,
) -> Iterator[EditPlace]:
    """Where `find` stands in `lines` and what its words would be; it may be several words, but of one line.

    Raises ValueError where there is nothing to look for.
    """
    wanted = [re.escape(word) for word in find.split()]
    if not wanted:
        raise ValueError("say which words to look for: there are none")
    looked_for = r"\s+".join(wanted)
    pattern = re.compile(rf"(?<!\w){looked_for}(?!\w)" if whole_words else looked_for, 0 if match_case else re.I)
    new = plain(replacement)
    for line in lines:
        for first, last, after in _hits(line, pattern, new):
            words = line.words[first:last]
            before = " ".join(word.text for word in words)
            if after != before:
                span = Span(start=words[0].span.start, end=max(word.span.end for word in words))
                yield EditPlace(
                    about="text",
                    episode=episode,
                    span=span,
                    segment=line.id,
                    line=line.text,
                    first_word=first,
                    before=before,
                    after=after,
                )


def renaming(episode: str, lines: Iterable[Segment], old: str, new: str) -> Iterator[EditPlace]:
    """The lines of speaker `old` that would become `new`'s; characters' ids or UNKNOWN."""
    for line in lines:
        if (line.speaker or UNKNOWN) == old != new:
            yield EditPlace(
                about="speaker",
                episode=episode,
                span=line.span,
                segment=line.id,
                line=line.text,
                before=old,
                after=new,
            )


def line_after(place: EditPlace) -> str:
    """The text of a place's line with its new words in it."""
    words, last = place.line.split(" "), place.first_word + len(place.before.split(" "))
    return plain(" ".join([*words[: place.first_word], place.after, *words[last:]]))


def _hits(line: Segment, pattern: re.Pattern[str], new: str) -> Iterator[tuple[int, int, str]]:
    """Each run of words that a match touches, as (first, last not in it), and what takes their place."""
    text = " ".join(word.text for word in line.words)
    starts = [0]
    for word in line.words[:-1]:
        starts.append(starts[-1] + len(word.text) + 1)
    runs: list[tuple[int, int, list[re.Match[str]]]] = []
    for match in pattern.finditer(text):
        first = sum(start <= match.start() for start in starts) - 1
        last = sum(start < match.end() for start in starts)
        if runs and first < runs[-1][1]:  # Two matches within one word.
            runs[-1] = (runs[-1][0], last, [*runs[-1][2], match])
        else:
            runs.append((first, last, [match]))
    for first, last, matches in runs:
        at, end = starts[first], starts[last - 1] + len(line.words[last - 1].text)
        after = ""
        for match in matches:
            after, at = after + text[at : match.start()] + new, match.end()
        after = plain(after + text[at:end])
        yield first, last, after if any(letter.isalnum() for letter in after) else ""
