"""Who speaks, as far as the dialogue tells: people introduce themselves, and call each other by name.

Somebody addressed does not say the line, and often says the next one. Only an introduction is proof.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.models.lexicon import ARTICLES, TITLES, core, normal, spellings
from pipeline.schemas.story import UNKNOWN, Candidate, Character, Doubt
from pipeline.schemas.timeline import Segment, Word

How = Literal["introduced", "addressed", "mentioned"]

REPLY_SECONDS = 4.0
"""A line later than this is no answer."""
AROUND = 5
"""Lines before and after that may tell who is there."""
_INTRODUCTIONS = ("i am", "i'm", "name is", "name's", "call me")
_GREETINGS = "hey hi hello thanks you bye goodbye dear okay ok oh yes no well sorry please night morning"
_CALLS = frozenset(_GREETINGS.split())
_REPORTED = frozenset(["said", "says", "say", "asked", "asks", "told"])

INTRODUCED, ADDRESSED, MENTIONED = 6.0, -4.0, -1.5
ADDRESSED_BEFORE, ADDRESSED_AFTER, GOES_ON, IS_NEAR = 1.5, 0.7, 2.5, 0.4
NOBODY_KNOWN = 0.5
"""Natural logarithms of odds, set by hand; an introduction alone is worth 0.95 among six people."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A character's name in a segment, as it was said, and what the sentence does with it."""

    segment: int
    character: str
    said: str
    how: How


@dataclass(frozen=True, slots=True)
class Clue:
    """A reason why a character says a line, or does not: `points` are a natural logarithm of odds.

    `segment` is where the name was said: the line itself or its neighbour.
    """

    segment: int
    character: str
    points: float
    why: str


@dataclass(frozen=True, slots=True)
class Guess:
    """Who may say a segment: ids and UNKNOWN with scores summing to 1, best first; `introduced` if it proves it."""

    ranked: tuple[tuple[str, float], ...]
    evidence: tuple[str, ...]
    introduced: bool


def mentions(segments: Sequence[Segment], characters: Sequence[Character]) -> tuple[Mention, ...]:
    """Every name of a character that is said, in order. A name that two characters share tells nothing."""
    owners: dict[tuple[str, ...], set[str]] = {}
    for character in characters:
        plain = [normal(alias).split() for alias in character.aliases]
        descriptions = [words[1:] for words in plain if words[0] in ARTICLES]
        for words in [*(normal(name).split() for name in spellings(character)), *descriptions]:
            owners.setdefault(tuple(words), set()).add(character.id)
    names = {words: next(iter(ids)) for words, ids in owners.items() if words and len(ids) == 1}
    return tuple(m for index, segment in enumerate(segments) for m in _in_segment(index, segment.words, names))


def clues(index: int, segments: Sequence[Segment], said: Iterable[Mention]) -> Iterator[Clue]:
    """What the names in segment `index` and in its neighbours tell of who says it."""
    segment = segments[index]
    for mention in said:
        apart = mention.segment - index
        if apart == 0:
            value, sentence = _OF_THIS_LINE[mention.how]
            yield Clue(mention.segment, mention.character, value, sentence.format(mention.said))
        elif abs(apart) == 1 and mention.how == "addressed" and _ends(segments[min(index, mention.segment)]):
            other = segments[mention.segment].span
            near = other.start - segment.span.end if apart > 0 else segment.span.start - other.end
            if abs(near) <= REPLY_SECONDS:
                side, value = ("before", ADDRESSED_BEFORE) if apart < 0 else ("after", ADDRESSED_AFTER)
                yield Clue(mention.segment, mention.character, value, f'the line {side} speaks to "{mention.said}"')


def guess(index: int, segments: Sequence[Segment], said: Sequence[Mention], ids: Sequence[str]) -> Guess:
    """Who may say segment `index`, by what is said in it and around it."""
    segment = segments[index]
    points = dict.fromkeys(ids, 0.0)
    evidence: list[str] = []
    around = [mention for mention in said if abs(mention.segment - index) <= AROUND]
    for clue in clues(index, segments, around):
        points[clue.character] += clue.points
        evidence.append(clue.why)
    last = segments[index - 1] if index else None
    if last and last.speaker in points and goes_on(last, segment):
        points[last.speaker] += GOES_ON
        evidence.append(f"it goes on with the sentence of {last.speaker}")
    for character in {mention.character for mention in around} & set(points):
        points[character] += IS_NEAR
    scores = _softmax({**points, UNKNOWN: NOBODY_KNOWN})
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    proof = any(m.segment == index and m.how == "introduced" for m in around)
    return Guess(tuple(ranked), tuple(dict.fromkeys(evidence)) or ("nothing in the dialogue tells",), proof)


def doubt(segment: Segment, guess: Guess, max_candidates: int) -> Doubt:
    """The question who says `segment`; that nobody known does is always among the answers."""
    ranked = [pair for pair in guess.ranked if pair[0] != UNKNOWN][: max_candidates - 1]
    ranked += [pair for pair in guess.ranked if pair[0] == UNKNOWN]
    return Doubt(
        id=f"{segment.id}:speaker",
        kind="speaker",
        segment=segment.id,
        span=segment.span,
        first_word=0,
        last_word=len(segment.words) - 1,
        heard=segment.text,
        context=f"who says {segment.id}",
        candidates=tuple(Candidate(value=value, score=math.floor(score * 1e4) / 1e4) for value, score in ranked),
        evidence=guess.evidence,
    )


_OF_THIS_LINE: Mapping[How, tuple[float, str]] = {
    "introduced": (INTRODUCED, 'says of themselves that they are "{}"'),
    "addressed": (ADDRESSED, '"{}" is spoken to, and so does not speak'),
    "mentioned": (MENTIONED, '"{}" is spoken of, and so hardly speaks'),
}


def _in_segment(index: int, words: Sequence[Word], names: Mapping[tuple[str, ...], str]) -> Iterator[Mention]:
    plain = [normal(word.text) for word in words]
    at = 0
    while at < len(words):
        lengths = [n for n in (3, 2, 1) if at + n <= len(words) and tuple(plain[at : at + n]) in names]
        found = next((n for n in lengths if not _stops(words[at : at + n - 1])), 0)
        if not found:
            at += 1
            continue
        how = _how(words, plain, at, at + found, names)
        is_name = core(words[at].text)[1][:1].isupper() or not plain[at].isascii()
        described = at > 0 and plain[at - 1] in ARTICLES
        if is_name or how == "addressed" or described:
            said = " ".join(word.text for word in words[at : at + found])
            yield Mention(index, names[tuple(plain[at : at + found])], core(said)[1], how)
        at += found


def _how(words: Sequence[Word], plain: list[str], at: int, end: int, names: Mapping[tuple[str, ...], str]) -> How:
    first = at - 1 if at and plain[at - 1] in TITLES else at
    stop = core(words[end - 1].text)[2][:1]
    lead = " ".join(plain[max(0, first - 2) : first])
    following = plain[end] if end < len(plain) else ""
    if any(word in _REPORTED for word in plain[:first]):
        return "mentioned"
    if lead.endswith(_INTRODUCTIONS) and not _stops(words[max(0, first - 2) : first]):
        return "introduced"
    comma = first > 0 and core(words[first - 1].text)[2][:1] == ","
    opens = first == 0 or core(words[first - 1].text)[2][:1] in tuple(".!?…") or plain[first - 1] in _CALLS
    listed = stop == "," and (following in ARTICLES or following == "and" or (following,) in names)
    if stop and not listed and (comma or opens) and (stop != "." or comma or first > 0):
        return "addressed"
    return "mentioned"


def _stops(words: Sequence[Word]) -> bool:
    return any(core(word.text)[2] for word in words)


def goes_on(last: Segment, segment: Segment) -> bool:
    """Whether a sentence runs over from `last`: no stop, no pause, no capital but that of "I"."""
    first = segment.words[0].text
    inside = first[:1].islower() or normal(first).partition("'")[0] == "i"
    return not _ends(last) and segment.span.start - last.span.end < 0.5 and inside


def _ends(segment: Segment) -> bool:
    """Whether it ends with its sentence; who breaks off goes on, and is not answered."""
    return core(segment.words[-1].text)[2][:1] in tuple(".!?…")


def _softmax(points: Mapping[str, float]) -> dict[str, float]:
    odds = {key: math.exp(point) for key, point in points.items()}
    return {key: odd / sum(odds.values()) for key, odd in odds.items()}
