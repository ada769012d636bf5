"""What a model is asked about a scene: its doubts as numbered questions, beside what it can see, hear and read there.

What is equal for the whole show (the task, the people, how they look, the places, the words) comes first, so that a
server's prefix cache holds it; then the scene. How a doubt is scored so far is *not* told: the model's answer is
weighed together with those scores afterwards, and an echo must not count twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.models.vlm import Part, Picture, Request, Sound, Text
from pipeline.schemas.story import UNKNOWN, Bible, Doubt
from pipeline.schemas.timeline import Segment

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

OTHER = "other"
"""The answer that stands for words which are not among the candidates."""
OTHER_PERSON = "OTHER"
"""The answer that stands for somebody whom the bible does not know."""

LONGEST_TEXT, LONGEST_REASON, MOST_ALTERNATIVES = 80, 160, 2
"""Letters, letters, items: bounds that keep an answer finite whatever the model is."""
TOKENS_OF_AN_ANSWER, TOKENS_AROUND = 120, 32

INSTRUCTIONS = """\
You settle doubts in the transcript of a TV show. A recogniser heard the lines; names and speakers are what it gets
wrong. For each question, say in one short sentence what decides it, then choose. Use what you see and hear, the sense
of the scene, and who would say what to whom. Somebody who is called by name does not say that line. Lines with the
same voice letter sound like the same person. Words that are not a name may well be right as they were heard. Choose
"other" only where none of the answers can be right; UNKNOWN where it cannot be told who speaks, OTHER where it is
somebody who is not listed. Answer in JSON."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much one request may hold: lines shown, of these neighbours on either side, questions, pictures, sound."""

    lines: int = 24
    overlap: int = 6
    questions: int = 8
    pictures: int = 8
    sound_seconds: float = 40.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to be: the segments shown, in order, and the doubts asked about them."""

    scene: int
    lines: tuple[Segment, ...]
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True, slots=True)
class Still:
    """A picture at `at` seconds of the episode."""

    at: float
    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Clip:
    """The sound of one segment, 16 kHz mono; `segment` is its id."""

    segment: str
    samples: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered to one doubt. `value` is one of its candidates, or new words; None where it cannot be read
    (`problem` says why). `confidence` is the measured one of the choice.
    """

    value: str | None
    confidence: float | None
    reason: str
    alternatives: tuple[str, ...]
    problem: str = ""


def plan(scene: int, lines: Sequence[Segment], doubts: Sequence[Doubt], budget: Budget) -> Iterator[Ask]:
    """The requests for one scene: its doubts in order, as many together as the budget allows, and lines around them."""
    order = {segment.id: index for index, segment in enumerate(lines)}
    group: list[Doubt] = []
    room = max(1, budget.lines - 2 * budget.overlap)

    def ask() -> Ask:
        first = max(0, order[group[0].segment] - budget.overlap)
        last = order[group[-1].segment] + budget.overlap
        return Ask(scene, tuple(lines[first : last + 1]), tuple(group))

    for doubt in sorted(doubts, key=lambda doubt: (order[doubt.segment], doubt.kind != "text", doubt.first_word)):
        reach = order[doubt.segment] - order[group[0].segment] + 1 if group else 1
        if group and (len(group) >= budget.questions or reach > room):
            yield ask()
            group = []
        group.append(doubt)
    if group:
        yield ask()


def schema(ask: Ask, cast: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of the answer: for each question the reason, then the choice, then what else it may be."""
    properties: dict[str, Any] = {}
    for number, doubt in enumerate(ask.doubts, 1):
        allowed = choices(doubt, cast)
        properties[f"why{number}"] = {"type": "string", "maxLength": LONGEST_REASON}
        properties[f"answer{number}"] = {"type": "string", "enum": allowed}
        if doubt.kind == "text":
            properties[f"other{number}"] = {"type": "string", "maxLength": LONGEST_TEXT}
        also = {"type": "array", "items": {"type": "string", "enum": allowed}, "maxItems": MOST_ALTERNATIVES}
        properties[f"also{number}"] = also
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def choices(doubt: Doubt, cast: Sequence[str]) -> list[str]:
    """The answers that are allowed: the words themselves, or people's ids; never a letter that stands for them."""
    if doubt.kind == "speaker":
        return [*cast, UNKNOWN, OTHER_PERSON]
    values = [candidate.value for candidate in doubt.candidates]
    return [*values, OTHER] if OTHER not in values else values


def told(bible: Bible) -> str:
    """What a model should know of the show; equal for all its scenes."""
    lines = [f'The show is called "{bible.title}".']
    if bible.style:
        lines.append(f"It is made as {bible.style}.")
    lines += ["", "People (id: name, what they are called, who they are, what they look and sound like):"]
    for each in bible.characters:
        about = [each.name, f"called {', '.join(dict.fromkeys((each.short, *each.aliases)))}", each.role]
        about += [f"looks: {each.looks}" if each.looks else "", f"voice: {each.voice}" if each.voice else ""]
        lines.append(f"- {each.id}: {'; '.join(filter(None, about))}")
    if bible.places:
        lines += ["", "Places:"]
        lines += [f"- {place.name}{f': {place.looks}' if place.looks else ''}" for place in bible.places]
    if bible.terms:
        lines += ["", "Words of the show:"]
        lines += [
            f"- {term.term}{f' ({term.kind})' if term.kind else ''}{f': {term.note}' if term.note else ''}"
            for term in bible.terms
        ]
    return "\n".join(lines)


def request(
    ask: Ask,
    bible: Bible,
    *,
    instructions: str,
    voices: Mapping[str, str],
    references: Sequence[tuple[str, npt.NDArray[np.uint8]]] = (),
    stills: Sequence[Still] = (),
    clips: Sequence[Clip] = (),
    samples: int = 1,
) -> Request:
    """The request for `ask`. `references` are (character's id, picture), `voices` maps segments to a letter of a voice.

    Pictures and sound that the model cannot take are the caller's to leave out.
    """
    names = {character.id: character.short for character in bible.characters}
    numbers = {segment.id: number for number, segment in enumerate(ask.lines, 1)}
    parts: list[Part] = [Text(told(bible))]
    for character, pixels in references:
        parts += [Text(f"{character} looks like this:"), Picture(pixels)]
    for still in stills:
        parts += [Text(f"The picture at {still.at:.1f} s:"), Picture(still.pixels)]
    for clip in clips:
        parts += [Text(f"Line {numbers[clip.segment]} sounds like this:"), Sound(clip.samples)]
    lines = [_line(numbers[segment.id], segment, names, voices) for segment in ask.lines]
    asked = [_question(number, doubt, numbers) for number, doubt in enumerate(ask.doubts, 1)]
    parts.append(Text("\n".join(["The lines:", *lines, "", "The questions:", *asked])))
    return Request(
        system=instructions,
        parts=tuple(parts),
        schema=schema(ask, list(names)),
        measured=tuple(f"answer{number}" for number in range(1, len(ask.doubts) + 1)),
        max_tokens=TOKENS_AROUND + TOKENS_OF_AN_ANSWER * len(ask.doubts),
        samples=samples,
    )


def read(
    ask: Ask, cast: Sequence[str], data: Mapping[str, Any] | None, confidence: Mapping[str, float], problem: str = ""
) -> list[Answer]:
    """One answer for each doubt of `ask`, in order; what is missing or not allowed is an answer with a problem."""
    if data is None:
        return [Answer(None, None, "", (), problem or "no answer could be read") for _ in ask.doubts]
    return [_read(number, doubt, cast, data, confidence) for number, doubt in enumerate(ask.doubts, 1)]


def _read(
    number: int, doubt: Doubt, cast: Sequence[str], data: Mapping[str, Any], confidence: Mapping[str, float]
) -> Answer:
    allowed = choices(doubt, cast)
    value, also = data.get(f"answer{number}"), data.get(f"also{number}")
    reason = _plain(data.get(f"why{number}"), LONGEST_REASON)
    alternatives = [each for each in also if each in allowed and each != value] if isinstance(also, list) else []
    measured = confidence.get(f"answer{number}")
    rest = tuple(dict.fromkeys(_person(doubt, each) for each in alternatives if each != OTHER))[:MOST_ALTERNATIVES]

    def answer(value: str | None, problem: str = "") -> Answer:
        return Answer(value, measured if value is not None else None, reason, rest, problem)

    if not isinstance(value, str) or value not in allowed:
        return answer(None, f"question {number} was not answered with one of its answers")
    if doubt.kind == "speaker" or value != OTHER or value in [c.value for c in doubt.candidates]:
        return answer(_person(doubt, value))
    words = _plain(data.get(f"other{number}"), LONGEST_TEXT)
    return answer(words) if words else answer(None, f'question {number} was answered "other", without words')


def _person(doubt: Doubt, value: str) -> str:
    """Somebody whom the bible does not know has no id: the line stays without one."""
    return UNKNOWN if doubt.kind == "speaker" and value == OTHER_PERSON else value


def _plain(value: object, longest: int) -> str:
    """One line of printable text, whatever a model wrote."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest].strip()


def _line(number: int, segment: Segment, names: Mapping[str, str], voices: Mapping[str, str]) -> str:
    voice = f"[voice {voices[segment.id]}] " if segment.id in voices else ""
    who = names.get(segment.speaker or "", segment.speaker or "?")
    return f'{number}. {segment.span.start:.1f} s {voice}{who}: "{segment.text}"'


def _question(number: int, doubt: Doubt, numbers: Mapping[str, int]) -> str:
    line = numbers[doubt.segment]
    if doubt.kind == "speaker":
        return f"Question {number}: who says line {line}?"
    answers = " | ".join(candidate.value for candidate in doubt.candidates)
    return f'Question {number}: in line {line}, what is said where "{doubt.heard}" was heard? {answers} | {OTHER}'
