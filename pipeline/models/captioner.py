"""A clip's caption made of measured facts alone: one paragraph, in plain words, the dialogue quoted word for word.

Says nothing that was not measured or heard. Wording varies from clip to clip, by the clip's id, because a model learns
whatever all captions share.
"""

import hashlib
from collections.abc import Sequence
from statistics import fmean

from pipeline.engine.records import Record
from pipeline.schemas.captions import Caption, Quote
from pipeline.schemas.story import Camera, Heading
from pipeline.schemas.timeline import Probability
from pipeline.schemas.wording import SOMEONE, quotable

DARK, DIM, BRIGHT = 0.12, 0.3, 0.6
"""Mean brightness of a picture, 0 to 1, up to which it is dark or dim, and from which it is bright."""
WARM = 0.06
"""Mean red less mean blue, of 1, from which a picture looks warm (below minus this: cool)."""
UNSEEN_SCORE, UNNAMED_SCORE = 0.6, 0.7
"""What is left of the score because nothing looked at the picture, and where nobody knows who speaks."""


class Look(Record):
    """What was measured of one shot of a clip. `scale` is None where it cannot be told, `faces` those found."""

    scale: str | None
    camera: Camera
    heading: Heading | None = None
    brightness: Probability
    warmth: float
    faces: int


class Person(Record):
    """A character as captions name them; `looks` only where captions shall repeat them."""

    id: str
    name: str
    looks: str = ""


class Said(Record):
    """Words heard in a clip. `speaker` and `spoken_to` are names; `sure` is the recogniser's mean probability."""

    segment: str
    text: str
    speaker: Person | None
    spoken_to: Person | None
    sure: Probability


class Facts(Record):
    """All that decides a caption. `unsettled` says what somebody should look at."""

    clip: str
    looks: tuple[Look, ...]
    place: str | None
    said: tuple[Said, ...]
    has_sound: bool
    unsettled: tuple[str, ...] = ()


def write(facts: Facts) -> Caption:
    """The caption of one clip."""
    sentences = [*_picture(facts), *_people(facts), *(sentence(facts, index) for index in range(len(facts.said)))]
    quotes = [_quote(said) for said in facts.said]
    if not quotes:
        silent = ("No one speaks.", "Nobody speaks.", "There is no dialogue.", "Not a word is spoken.")
        sentences.append(_pick(facts.clip, "silence", silent) if facts.has_sound else "There is no sound.")
    people = [person for said in facts.said for person in (said.speaker, said.spoken_to) if person]
    return Caption(
        clip=facts.clip,
        text=" ".join(sentences),
        quotes=tuple(quotes),
        characters=tuple(dict.fromkeys(person.id for person in people)),
        score=round(UNSEEN_SCORE * heard(facts), 4),
        notes=facts.unsettled,
    )


def sentence(facts: Facts, index: int) -> str:
    """The sentence that carries one line of the dialogue."""
    said = facts.said[index]
    return _line(said, facts.said[index - 1] if index else None, _quote(said), facts)


def heard(facts: Facts) -> float:
    """How sure the words and those who say them are, 0 to 1."""
    sure = fmean(said.sure for said in facts.said) if facts.said else 1.0
    return sure * (1 if all(said.speaker for said in facts.said) else UNNAMED_SCORE)


def measured(facts: Facts) -> str:
    """The shots in plain words, for who should know what was measured: `A close-up in dim light, the camera still.`"""
    plain = facts.model_copy(update={"place": None})
    return " ".join([*_picture(plain), *_people(plain.model_copy(update={"said": ()}))])


def _pick(clip: str, about: str, choices: Sequence[str]) -> str:
    """One of `choices`, always the same for the same clip and subject."""
    return choices[int.from_bytes(hashlib.sha256(f"{clip} {about}".encode()).digest()[:4]) % len(choices)]


# The picture


def _picture(facts: Facts) -> list[str]:
    place = f" at {facts.place}" if facts.place else ""
    if not facts.looks:
        return [f"The scene plays{place}."] if place else []
    first, *others = facts.looks
    light = _light(first)
    in_light = f" in {light}" if light else ""
    if others:
        cut = _pick(facts.clip, "cuts", ("; then ", "; next, ", "; the film cuts to "))
        shots = [f"{_shot(look)}{_change(first, look)}, the camera {_camera(look, 1)}" for look in others]
        opening = f"{_shot(first)}{place}{in_light}, the camera {_camera(first, 1)}"
        return [_capital(f"{cut.join([opening, *shots])}.")]
    lead, shot = f"in {light}, " if light else "", _shot(first)
    moves, moving = f"the camera {_camera(first, 0)}", f"the camera {_camera(first, 1)}"
    if first.scale is None:
        wordings = [
            f"{moves}{place}{f', in {light}' if light else ''}.",
            f"{lead}{moves}{place}.",
            f"{f'{place[1:]}, ' if place else ''}{lead}{moves}.",
        ]
    else:
        wordings = [
            f"{shot}{place}{in_light}, {moving}.",
            f"{lead}{shot}{place}, {moving}.",
            f"{lead}{moves}: {shot}{place}.",
            f"{shot}{place}; {moves}{f', and the picture is in {light}' if light else ''}.",
        ]
    return [_capital(_pick(facts.clip, "picture", wordings))]


_CAMERA = {
    "static": ("holds still", "still"),
    "pan": ("pans", "panning"),
    "tilt": ("tilts", "tilting"),
    "push in": ("pushes in", "pushing in"),
    "pull out": ("pulls back", "pulling back"),
    "handheld": ("sways in somebody's hands", "handheld"),
    "moving": ("moves", "moving"),
}


def _camera(look: Look, form: int) -> str:
    """What the camera does, as a verb (0) or as a participle (1)."""
    return f"{_CAMERA[look.camera][form]} {look.heading or ''}".rstrip()


def _shot(look: Look) -> str:
    scale = look.scale or "shot"
    return f"{'an' if scale[0] in 'aeiou' else 'a'} {scale}"


def _light(look: Look) -> str:
    level = "near darkness" if look.brightness < DARK else "dim" if look.brightness < DIM else ""
    level = "bright" if look.brightness >= BRIGHT else level
    tint = "warm" if look.warmth >= WARM else "cool" if look.warmth <= -WARM else ""
    if level == "near darkness":
        return level
    return f"{', '.join(part for part in (level, tint) if part)} light" if level or tint else ""


def _change(first: Look, look: Look) -> str:
    """The light, where it is another than at first."""
    light = _light(look)
    return f" in {light}" if light and light != _light(first) else ""


def _people(facts: Facts) -> list[str]:
    sentences = []
    if len(facts.looks) == 1 and facts.looks[0].faces:
        faces = facts.looks[0].faces
        number = ("One", "Two", "Three", "Four")[faces - 1] if faces <= 4 else "Several"
        be = "is" if faces == 1 else "are"
        sentences.append(f"{number} {'face' if faces == 1 else 'faces'} {be} in view.")
    described = {said.speaker.name: said.speaker.looks for said in facts.said if said.speaker and said.speaker.looks}
    return sentences + [f"{name}: {looks.rstrip('.')}." for name, looks in described.items()]


# The dialogue


def _quote(said: Said) -> Quote:
    return Quote(segment=said.segment, speaker=_name(said), text=quotable(said.text))


def _name(said: Said) -> str:
    return said.speaker.name if said.speaker else SOMEONE


def _line(said: Said, last: Said | None, quote: Quote, facts: Facts) -> str:
    """One sentence that carries one line, so that the line can be taken out again."""
    stop = "" if quote.text.endswith((".", "!", "?", "…")) else "."
    again = last is not None and not last.speaker and not said.speaker
    lead = _pick(facts.clip, f"{said.segment} lead", ("Then ", "")) if again else ""
    return f'{_capital(lead + quote.speaker)} {_verb(quote.text, said, last, facts.clip)}, "{quote.text}"{stop}'


def _verb(text: str, said: Said, last: Said | None, clip: str) -> str:
    to = said.spoken_to.name if said.spoken_to else ""
    speaker, before = said.speaker, last.speaker if last else None
    replies = last is not None and last.text.rstrip().endswith("?") and speaker and before and before != speaker
    if text.endswith("?"):
        return f"asks {to}".rstrip()
    if text.endswith("!"):
        return f"calls out to {to}" if to else _pick(clip, said.segment, ("exclaims", "calls out"))
    if replies:
        return f"answers {to}".rstrip()
    if to:
        return _pick(clip, said.segment, (f"says to {to}", f"tells {to}"))
    return _pick(clip, said.segment, ("goes on", "adds", "continues")) if speaker and before == speaker else "says"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
