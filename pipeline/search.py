"""Clips of a whole show by what is said, who says it, who is in the picture, what is doubted, and what was reviewed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pipeline import timelines
from pipeline.schemas.story import UNKNOWN
from pipeline.show import Show
from pipeline.timelines import Outcome, Said, Shown, Timeline

Doubts = Literal["", "any", "text", "speaker"]
State = Literal["", "yes", "no"]


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for; what is empty asks for nothing. Words, speaker and doubt are asked of one and the same line.

    Each of `words` begins a word of the line, in any order; captions are looked at too where nothing else is asked of a
    line. `speaker` and `character` are ids of the bible, and UNKNOWN is a speaker nobody knows.
    """

    words: str = ""
    speaker: str = ""
    character: str = ""
    doubt: Doubts = ""
    reviewed: State = ""

    @property
    def of_lines(self) -> bool:
        return bool(self.speaker or self.doubt)


@dataclass(frozen=True, slots=True)
class Hit:
    """A clip, and the first of its lines that fits (`more` fit too); `line` is None where only its caption does."""

    episode: str
    clip: Shown
    at_seconds: float
    line: Said | None
    more: int
    reviewed: bool


@dataclass(frozen=True, slots=True)
class _Entry:
    """A clip with its lines as they stand, and all of them as they are compared."""

    episode: str
    clip: Shown
    lines: tuple[tuple[Said, str], ...]
    caption: str
    characters: frozenset[str]
    reviewed: bool


def search(show: Show, query: Query) -> list[Hit]:
    """The clips that fit, in the order of the show."""
    return found(_entries(_Held(timelines.timelines(show), timelines.outcome(show))), query)


def page(show: Show, query: Query, number: int, length: int) -> tuple[int, list[Hit]]:
    """How many clips fit, and those on page `number` (from 1) of `length` each."""
    hits = search(show, query)
    return len(hits), hits[(number - 1) * length : number * length]


def any_clips(show: Show) -> bool:
    """Whether any episode was cut into clips; reads no index."""
    return bool(timelines.outputs(show, [timelines.SCENES], show.episodes()))


class _Held:
    """Indexes as an argument of a cache: they are the same ones while nothing new stands, and too large to compare."""

    def __init__(self, lines: Sequence[Timeline], outcome: Outcome) -> None:
        self.timelines, self.outcome = lines, outcome
        self._key = (*map(id, lines), id(outcome))

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self._key == other._key


@lru_cache(maxsize=1)
def _entries(held: _Held) -> tuple[_Entry, ...]:
    settled = held.outcome.settled
    made = []
    for timeline in held.timelines:
        for clip in timeline.clips:
            after = settled.get(clip.id)
            lines = after.lines if after else clip.lines  # What people settled is no longer doubted.
            made.append(
                _Entry(
                    episode=timeline.episode,
                    clip=clip,
                    lines=tuple((line, comparable(line.text)) for line in lines),
                    caption=comparable(after.caption if after else clip.caption or ""),
                    characters=frozenset(after.characters if after else clip.characters),
                    reviewed=after is not None,
                )
            )
    return tuple(made)


def found(entries: Sequence[_Entry], query: Query) -> list[Hit]:
    wanted = comparable(query.words).split()
    return [hit for entry in entries if (hit := _hit(entry, query, wanted))]


def _hit(entry: _Entry, query: Query, wanted: Sequence[str]) -> Hit | None:
    if query.reviewed and entry.reviewed != (query.reviewed == "yes"):
        return None
    if query.character and query.character not in entry.characters:
        return None
    lines = [line for line, text in entry.lines if _fits(line, text, query, wanted)]
    in_caption = not query.of_lines and all(f" {word}" in entry.caption for word in wanted)
    if not lines and not in_caption:
        return None
    first = lines[0] if lines else None
    at = first.span.start if first and (wanted or query.of_lines) else entry.clip.span.start
    # A line may begin before the clip that holds its middle.
    at = max(at, entry.clip.span.start)
    return Hit(entry.episode, entry.clip, at, first, max(0, len(lines) - 1), entry.reviewed)


def _fits(line: Said, text: str, query: Query, wanted: Sequence[str]) -> bool:
    if query.speaker and query.speaker != (line.speaker or UNKNOWN):
        return False
    if query.doubt and not (line.doubts if query.doubt == "any" else query.doubt in line.doubts):
        return False
    return all(f" {word}" in text for word in wanted)


def comparable(text: str) -> str:
    """Words in lower case, each with a blank before it, without punctuation at their ends."""
    return "".join(f" {word}" for word in re.findall(r"\w+(?:['’.-]\w+)*", text.casefold()))
