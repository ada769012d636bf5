"""What an episode has for a model that is asked about its scenes, and what of it goes with each request. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, product
from string import ascii_uppercase
from typing import TYPE_CHECKING

from pipeline.engine.records import File
from pipeline.models import scene_asks
from pipeline.models.disambiguation import Draft
from pipeline.models.scene_asks import Ask, Budget, Clip, Still
from pipeline.models.vlm import Request, Vlm
from pipeline.models.whereabouts import by_scene
from pipeline.schemas.story import Bible, Frame, ShotReference
from pipeline.schemas.timeline import Scene, Segment, Span
from pipeline.schemas.voices import EpisodeVoices

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Pixels = npt.NDArray[np.uint8]
    Samples = npt.NDArray[np.float32]

AROUND_SECONDS = 0.25
"""Sound on either side of a line: word times are off by about 0.1 s, and a cut syllable is a misheard one."""


@dataclass(frozen=True, slots=True)
class Material:
    """The scenes, shots and voices of an episode, the bible, and the way to its pictures and its sound.

    `seconds` is how long the sound is.
    """

    scenes: Sequence[Scene]
    shots: Sequence[ShotReference]
    voices: EpisodeVoices
    bible: Bible
    picture: Callable[[File], Pixels]
    sound: Callable[[Span], Samples]
    seconds: float


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked: what it is told to do, how often, and how much of everything at once.

    `references` counts the pictures of each character that go with every request.
    """

    instructions: str
    budget: Budget
    references: int = 1
    samples: int = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """What went with one request: names of the `frames` shown, and the `sounds` played, by segment."""

    frames: tuple[str, ...]
    sounds: Mapping[str, Span]


NOTHING = Evidence((), {})


def asks(made: Draft, scenes: Sequence[Scene], budget: Budget) -> list[Ask]:
    """The requests that the doubts of a draft need, scene by scene."""
    doubts = made.askable
    found: list[Ask] = []
    for scene, lines in zip(scenes, by_scene(scenes, made.segments), strict=True):
        ids = {line.id for line in lines}
        found += scene_asks.plan(scene.index, lines, [d for d in doubts if d.segment in ids], budget)
    return found


class Writer:
    """Writes requests for one model about one episode; what the model cannot perceive is left out of them."""

    def __init__(self, vlm: Vlm, material: Material, manner: Manner) -> None:
        self._sees, self._hears = vlm.sees, vlm.hears
        self._material, self._manner = material, manner
        people = material.bible.characters if vlm.sees else ()
        self._references = [(c.id, material.picture(f)) for c in people for f in c.references[: manner.references]]
        self._letters = letters(material.voices)

    def request(self, ask: Ask) -> tuple[Request, Evidence]:
        about = {doubt.segment: doubt.kind for doubt in reversed(ask.doubts)}
        # Where there is not room for all sound, doubtful words need it more than doubtful speakers.
        lines = sorted((line for line in ask.lines if line.id in about), key=lambda line: about[line.id] != "text")
        budget, material = self._manner.budget, self._material
        frames = shown(lines, material.shots, budget.pictures) if self._sees else []
        spans = played(lines, budget.sound_seconds, material.seconds) if self._hears else {}
        request = scene_asks.request(
            ask,
            material.bible,
            instructions=self._manner.instructions,
            voices=self._letters,
            references=self._references,
            stills=[Still(frame.at, material.picture(frame.picture)) for frame in frames],
            clips=[Clip(segment, material.sound(span)) for segment, span in spans.items()],
            samples=self._manner.samples,
        )
        return request, Evidence(tuple(frame.picture.name for frame in frames), spans)


def letters(voices: EpisodeVoices) -> dict[str, str]:
    """A letter for the voice of each line that has one, in the order in which they are first heard: A, B, ... AA."""
    names = ("".join(name) for length in count(1) for name in product(ascii_uppercase, repeat=length))
    known: dict[str, str] = {}
    return {
        line.segment: known[line.voice] if line.voice in known else known.setdefault(line.voice, next(names))
        for line in voices.lines
        if line.voice is not None and not line.overlap
    }


def shown(lines: Iterable[Segment], shots: Iterable[ShotReference], most: int) -> list[Frame]:
    """The sharpest still of each shot in which `lines` are said, in order; `most` of them, evenly taken."""
    wanted = {line.shot for line in lines}
    best = [max(s.frames, key=lambda frame: (frame.sharpness, -frame.at)) for s in shots if s.shot in wanted]
    apart = max(1.0, len(best) / most) if most else 1.0
    return [best[math.floor(index * apart)] for index in range(min(most, len(best)))]


def played(lines: Iterable[Segment], seconds: float, end: float) -> dict[str, Span]:
    """What is played of each line, by its id, as long as it fits into `seconds`; nothing lies behind `end`."""
    return dict(_played(lines, seconds, end))


def _played(lines: Iterable[Segment], left: float, end: float) -> Iterator[tuple[str, Span]]:
    for line in lines:
        start, stop = max(0.0, line.span.start - AROUND_SECONDS), min(end, line.span.end + AROUND_SECONDS)
        if 0 < stop - start <= left:
            left -= stop - start
            yield line.id, Span(start=round(start, 3), end=round(stop, 3))
