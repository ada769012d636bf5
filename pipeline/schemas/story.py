"""What a show knows (its bible), and what is settled or doubted about its dialogue."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from pipeline.engine.records import File, Record
from pipeline.schemas.timeline import Probability, Segment, Span

UNKNOWN = "UNKNOWN"
"""The speaker label of a line that nobody has named yet."""


class BibleSource(Record):
    """A source: the text of `bible.toml` and the pictures it refers to, by the path written there."""

    file: File
    pictures: dict[str, File] = {}


class Character(Record):
    """`name` in full, `short` as the show's captions call them, `aliases` as people address them."""

    id: str
    name: str
    short: str
    aliases: tuple[str, ...] = ()
    role: str = ""
    voice: str = ""
    looks: str = ""
    mishearings: tuple[str, ...] = ()
    references: tuple[File, ...] = ()


class Place(Record):
    id: str
    name: str
    looks: str = ""
    mishearings: tuple[str, ...] = ()


class Term(Record):
    """A word with a spelling of its own; `kind` as the bible says it (person, place, operation, thing, ...)."""

    term: str
    kind: str = ""
    mishearings: tuple[str, ...] = ()
    note: str = ""


class Bible(Record):
    """step2-bible: bible.toml, checked."""

    title: str
    language: str = "en"
    style: str = ""
    characters: tuple[Character, ...] = ()
    places: tuple[Place, ...] = ()
    terms: tuple[Term, ...] = ()
    warnings: tuple[str, ...] = ()


class SpokenNames(Record):
    """What a recogniser is told of the bible: its spellings, not its prose, so new looks transcribe nothing anew.

    `speakers` maps each character's names, in lower case, to the character's id, for subtitles that say who speaks;
    a name that two characters share is not in it.
    """

    language: str
    names: tuple[str, ...]
    speakers: dict[str, str] = {}

    @classmethod
    def project(cls, bible: Bible) -> "SpokenNames":
        spoken = [form for c in bible.characters for form in (c.short, *c.aliases, c.name)]
        spoken += [place.name for place in bible.places]
        # A plain thing ("cone", "price") is listed to be told apart from a name, not to be listened for.
        spoken += [term.term for term in bible.terms if term.kind != "thing"]
        owners: dict[str, set[str]] = {}
        for c in bible.characters:
            for form in (c.id, c.short, *c.aliases, c.name):
                owners.setdefault(form.lower(), set()).add(c.id)
        speakers = {form: min(ids) for form, ids in sorted(owners.items()) if len(ids) == 1}
        return cls(language=bible.language, names=tuple(dict.fromkeys(spoken)), speakers=speakers)


class KnownNames(Record):
    """Who and what has a name, and how it is misheard: the bible without looks, voices, pictures and notes."""

    language: str
    characters: tuple[Character, ...]
    places: tuple[Place, ...]
    terms: tuple[Term, ...]

    @classmethod
    def project(cls, bible: Bible) -> "KnownNames":
        plain = {"role": "", "voice": "", "looks": "", "references": ()}
        return cls(
            language=bible.language,
            characters=tuple(character.model_copy(update=plain) for character in bible.characters),
            places=tuple(place.model_copy(update={"looks": ""}) for place in bible.places),
            terms=tuple(term.model_copy(update={"note": ""}) for term in bible.terms),
        )


class Candidate(Record):
    """One possible answer to a doubt; scores of a doubt's candidates sum to 1 at most."""

    value: str
    score: Probability


class Weighed(Record):
    """What speaks for one candidate, each as a share of 1 among the candidates, and the `score` it comes to.

    None: that source has nothing to say of this doubt.
    """

    value: str
    lexical: Probability | None = None
    voices: Probability | None = None
    model: Probability | None = None
    score: Probability


class Consulted(Record):
    """What a model was asked about a doubt, and what it answered.

    `backend` is the one of the fallback chain that answered, `revision` never moves, `prompt` is the digest of all of
    the request. It was shown the segments `lines`, the pictures `frames` (by name), and heard `sounds`; what it cannot
    perceive is `withheld`. `chosen` is the candidate it took (None: it gave no answer that can be read, and `problem`
    says why), `confidence` the measured probability of that answer, None where nobody measured it.
    """

    backend: str
    model: str
    revision: str
    prompt: str
    lines: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    sounds: tuple[Span, ...] = ()
    withheld: tuple[Literal["pictures", "sound"], ...] = ()
    chosen: str | None = None
    confidence: Probability | None = None
    reason: str = ""
    alternatives: tuple[str, ...] = ()
    problem: str = ""


class Doubt(Record):
    """Something the machine is not sure of, put as a question a person can answer with one key.

    `kind` "text": words `first_word` to `last_word` (both in it) of `segment` were heard as `heard`; candidates
    are texts that take the place of these words whole, punctuation included, and one may be `heard` itself. `kind`
    "speaker": the whole segment; candidates are characters' ids or UNKNOWN. `context` groups doubts that one answer
    may settle together: same heard form, same kind of neighbours. `weighed` are the parts of each candidate's score,
    `consulted` what a model answered, both where more than the words were weighed.
    """

    id: str
    kind: Literal["text", "speaker"]
    segment: str
    span: Span
    first_word: int
    last_word: int
    heard: str
    context: str
    candidates: tuple[Candidate, ...] = Field(min_length=1)
    evidence: tuple[str, ...]
    weighed: tuple[Weighed, ...] = ()
    consulted: Consulted | None = None


class Decision(Record):
    """A doubt that is settled: who, what it was, what it is now, why, and how sure.

    `original` and `chosen` are equal where what was heard was asked about and stands.
    """

    doubt: Doubt
    original: str
    chosen: str
    by: str
    reason: str
    score: Probability


def shift(doubt: Doubt, decisions: Iterable[Decision]) -> int:
    """By how many places a doubt's words move in their line once `decisions` are applied."""
    return sum(
        len(each.chosen.split()) - len(each.original.split())
        for each in decisions
        if each.doubt.kind == "text"
        and each.doubt.segment == doubt.segment
        and each.doubt.first_word < doubt.first_word
    )


class SettledTranscript(Record):
    """step2-transcript-disambiguate: the transcript with its decisions applied, and the doubts that people must settle.

    Words outside a decision are byte for byte those of the transcript it came from. The doubts left count words as
    `segments` has them now; a decision's doubt counts them as they were.
    """

    episode: str
    language: str
    segments: tuple[Segment, ...]
    decisions: tuple[Decision, ...]
    doubts: tuple[Doubt, ...]
    notes: tuple[str, ...] = ()


class Frame(Record):
    """A still of a shot at `at` seconds; `sharpness` is the variance of its Laplacian, brightness 0 to 1."""

    at: float
    picture: File
    sharpness: float
    brightness: Probability


ShotScale = Literal["extreme close-up", "close-up", "medium close-up", "medium shot", "full shot", "wide shot"]


Camera = Literal["static", "pan", "tilt", "push in", "pull out", "handheld", "moving"]
Heading = Literal["left", "right", "up", "down"]


class ShotReference(Record):
    """What can be measured of one shot.

    `motion`: mean optical flow in frame widths a second. `camera`: what the flow says the camera does; `heading`,
    where a pan or a tilt turns it ("moving": in no one way, or it cannot be told). `warmth`: mean of red minus blue,
    -1 to 1. `contrast`: 1 is half black, half white. `scale` is None where it cannot be told. `hash` is a 64-bit
    perceptual hash of the middle frame in hex; shots with the same `look` group show nearly the same picture.
    """

    shot: int
    span: Span
    frames: tuple[Frame, ...] = Field(min_length=1)
    brightness: Probability
    contrast: Probability
    warmth: float
    motion: float
    camera: Camera
    heading: Heading | None = None
    scale: ShotScale | None
    faces: int
    hash: str
    look: int


class ShotReferences(Record):
    """step2-shot-reference."""

    episode: str
    shots: tuple[ShotReference, ...]
    notes: tuple[str, ...] = ()


class SceneContext(Record):
    """What a captioner or a reviewer should know about one scene.

    `place` and `cast` are ids of the bible; `place` is None where nothing tells. `why` says what each rests on.
    """

    scene: int
    span: Span
    place: str | None
    cast: tuple[str, ...]
    dialogue: tuple[Segment, ...]
    previously: str
    why: tuple[str, ...]


class SceneContexts(Record):
    """step2-scene-context."""

    episode: str
    scenes: tuple[SceneContext, ...]
