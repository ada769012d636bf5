"""What a model that sees is asked about a clip, and the caption that its answer makes.

It is told who is in the scene and what they look like, where it plays, what came before, and the true dialogue. Lines
are numbered, and the model writes only their numbers: `Reyes calls out, [1].` The words are put in afterwards, so no
caption can quote what nobody said, and a corrected line can take its place. What is equal for all clips of a scene
comes first, so that a server's prefix cache holds it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from rapidfuzz import fuzz, process

from pipeline.engine.records import Record
from pipeline.models import captioner
from pipeline.models.captioner import Facts
from pipeline.models.vlm import Part, Request, Text
from pipeline.schemas.captions import Caption, Observed, Quote
from pipeline.schemas.story import Camera, ShotScale
from pipeline.schemas.wording import SOMEONE

Style = Literal["paragraph", "tagged", "short"]

LONGEST_CAPTION, LONGEST_SHORT, LONGEST_FIELD = 1600, 240, 120
"""Letters: bounds that keep an answer finite whatever the model is."""
TOKENS = 640
UNREAD_SCORE = 0.3
"""What a caption is worth that was written from measured facts because the model gave none."""

RULES = """\
You caption clips of a TV show, so that a video model learns its people by name. Watch the clip. Say what is seen and
heard in it, in the order in which it happens, in the present tense: who is there, by name, what they do, the place,
the light, how the camera moves, sounds that are no speech. Name people as they are named below, and only those you
are sure to see or hear; call anybody else someone. Do not repeat what a person always looks like or wears: the name
stands for it. Each line of the dialogue is numbered; where it is spoken, write who speaks, and its number in square
brackets instead of the words, like this: Anna leans closer and whispers, [1]. Use each number once, and never write
down words that you believe to hear. Do not begin with "the video" or "the clip". Do not guess what anybody feels or
means. Answer in JSON."""

STYLES: Mapping[Style, str] = {
    "paragraph": "The caption is one paragraph of four to eight sentences.",
    "tagged": "The caption is one paragraph of four to eight sentences. Tell sounds only in their own field.",
    "short": "The caption is one or two sentences, forty words at most.",
}


class Role(Record):
    """Somebody who may be in the clip: what captions call them, and how a viewer knows them."""

    id: str
    name: str
    looks: str = ""


class Brief(Record):
    """All that a model is told of one clip; its pictures and sound come from the clip itself.

    `cast` are those of the scene: somebody who says nothing may still be seen. `examples` are captions of this show
    that people approved.
    """

    facts: Facts
    cast: tuple[Role, ...]
    place_looks: str = ""
    previously: str = ""
    examples: tuple[str, ...] = ()


def alike(brief: Brief, examples: Sequence[str], most: int) -> tuple[str, ...]:
    """Those of `examples` that are most like what this clip's caption will be about: its place, people and words."""
    facts = brief.facts
    about = [facts.place or "", *(role.name for role in brief.cast), *(said.text for said in facts.said)]
    found = process.extract(" ".join(about), examples, scorer=fuzz.token_set_ratio, limit=most)
    return tuple(example for example, _, _ in found)


def request(
    brief: Brief, perceived: Sequence[Part], *, instructions: str, with_short: bool, samples: int, findings: str = ""
) -> Request:
    """`perceived` are the clip's frames and its sound, as far as the model takes them; `findings` is what was wrong
    with an earlier answer.
    """
    parts: list[Part] = [Text(_scene(brief))]
    if brief.examples:
        parts.append(Text("\n".join(["Captions of this show as they should be:", *brief.examples])))
    parts += perceived
    parts.append(Text(_clip(brief, findings)))
    return Request(
        system=instructions,
        parts=tuple(parts),
        schema=schema(brief, with_short),
        measured=("characters", "shot", "camera"),
        max_tokens=TOKENS,
        samples=samples,
    )


def schema(brief: Brief, with_short: bool) -> dict[str, Any]:
    """The JSON schema of the answer; what is seen comes before the caption, so that the caption can rest on it."""
    ids = [role.id for role in brief.cast]
    people: dict[str, Any] = {"type": "array", "items": {"type": "string", "enum": ids}, "maxItems": len(ids)}
    properties: dict[str, Any] = {
        "characters": people if ids else {"type": "array", "items": {"type": "string"}, "maxItems": 0},
        "shot": {"type": "string", "enum": list(get_args(ShotScale))},
        "camera": {"type": "string", "enum": list(get_args(Camera))},
        "light": {"type": "string", "maxLength": LONGEST_FIELD},
        "sounds": {"type": "string", "maxLength": LONGEST_FIELD},
        "caption": {"type": "string", "maxLength": LONGEST_CAPTION},
    }
    if with_short:  # A sentence or two that quote nothing.
        properties["short"] = {"type": "string", "maxLength": LONGEST_SHORT}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _scene(brief: Brief) -> str:
    lines = []
    if brief.facts.place:
        lines.append(f"The scene plays at {brief.facts.place}{f': {brief.place_looks}' if brief.place_looks else ''}.")
    if brief.cast:
        lines.append("People who may be in it (id: name, looks):")
        lines += [f"- {role.id}: {role.name}{f', {role.looks}' if role.looks else ''}" for role in brief.cast]
    if brief.previously:
        lines.append(f"Before the scene: {brief.previously}")
    return "\n".join(lines) or "Nothing is known of the scene."


def _clip(brief: Brief, findings: str) -> str:
    facts = brief.facts
    lines = [f"Measured: {captioner.measured(facts)}"] if facts.looks else []
    if facts.said:
        lines.append("What is said in this clip:")
        lines += [
            f"[{number}] {said.speaker.name if said.speaker else SOMEONE}: {said.text}"
            for number, said in enumerate(facts.said, 1)
        ]
    else:
        lines.append("Nobody speaks in this clip." if facts.has_sound else "This clip has no sound.")
    if findings:
        lines.append(f"Your last caption had these faults; write it without them: {findings}")
    lines.append("Caption the clip.")
    return "\n".join(lines)


# The answer


def caption(
    brief: Brief,
    data: Mapping[str, str | list[str]] | None,
    confidence: Mapping[str, float],
    problem: str,
) -> Caption:
    """The caption that an answer makes; where there is none, the one that measured facts make, marked as such.

    Its score is how sure the words and the speakers are, times the least sure thing that the model says it sees.
    """
    written = captioner.write(brief.facts)
    if data is None:
        note = f"no caption by a model ({problem}): written from what was measured"
        score = round(written.score * UNREAD_SCORE, 4)
        return written.model_copy(update={"score": score, "notes": (*written.notes, note)})
    ids = [role.id for role in brief.cast]
    seen = [each for each in ids if each in data["characters"]]
    text, quotes = dialogue(str(data["caption"]), brief.facts, written.quotes)
    heard = captioner.heard(brief.facts)
    return Caption(
        clip=brief.facts.clip,
        text=text,
        quotes=quotes,
        characters=tuple(dict.fromkeys([*seen, *written.characters])),
        score=round(heard * min(confidence.values(), default=1.0), 4),
        notes=written.notes,
        short=_line(_NUMBER.sub("", str(data.get("short", "")))),
        observed=Observed(
            shot=str(data["shot"]), camera=str(data["camera"]), light=_line(data["light"]), sounds=_line(data["sounds"])
        ),
    )


_NUMBER = re.compile(r"[\"“”']?\[(\d{1,3})\][\"“”']?")


def dialogue(text: str, facts: Facts, quotes: Sequence[Quote], *, whole: bool = True) -> tuple[str, tuple[Quote, ...]]:
    """`text` with the lines in place of their numbers, and the quotes in the order in which they stand.

    A number that stands twice, or is nobody's, goes. Where the `whole` dialogue is wanted, lines that are left out
    follow in sentences of their own.
    """
    placed: list[Quote] = []

    def put(match: re.Match[str]) -> str:
        number = int(match.group(1))
        if not 1 <= number <= len(quotes) or quotes[number - 1] in placed:
            return ""
        placed.append(quotes[number - 1])
        return f'"{quotes[number - 1].text}"'

    filled = re.sub(r"[,:]?\s+([,.;!?])", r"\1", " ".join(_NUMBER.sub(put, text).split()))
    # The line has its own stop: `"Where is he?".` reads badly, and `"Where is he." She` too.
    filled = re.sub(r'([.!?…])"\.(?=\s|$)', r'\1"', filled)
    left = [index for index, quote in enumerate(quotes) if quote not in placed]
    filled = " ".join([filled, *(captioner.sentence(facts, index) for index in left)]).strip()
    return filled, (*placed, *(quotes[index] for index in left))


def _line(value: str | list[str]) -> str:
    return " ".join(str(value).split())
