"""step2-voices: who speaks in one voice all over the show, whose voice it is, and why.

Lines are gathered into voices by their sound alone. A voice then gets its name from votes on all its lines together:
names that are spoken, subtitles that say who speaks, and, before all else, what reviewers settled. One line alone
names nobody, unless people introduce themselves in it; one reviewed name moves every line of its voice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pydantic import Field

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.models import casting, speaking, voices
from pipeline.schemas.story import KnownNames
from pipeline.schemas.timeline import Segment, Transcript
from pipeline.schemas.voices import ReviewedSpeakers, VoiceLine, Voiceprint, Voiceprints, Voices

OVERLAP = 0.2
"""A line that shares so much of its time with a neighbour sounds like both."""


class Config(StepConfig):
    alike: float = Field(default=0.3, ge=-1, le=1, description="Groups of lines so alike in voice are one person's.")
    founding_seconds: float = Field(
        default=1.0, ge=0, description="Shorter turns join a voice, they found none.", title="founding turn, s"
    )
    least_alike: float = Field(default=0.3, ge=-1, le=1, description="A short turn less like all voices has none.")
    steadiness: float = Field(default=0.6, ge=-1, le=1, description="In a line less like itself, two people speak.")


@step(version=1, per="show", partial=True)
def run(
    config: Config,
    work: Workspace,
    *,
    step2_transcript_base: dict[str, Transcript],
    step2_voiceprints: dict[str, Voiceprints],
    step2_bible: KnownNames,
    review: ReviewedSpeakers,
) -> Voices:
    made = named(config, step2_transcript_base, step2_voiceprints, step2_bible, review)
    every = [line for lines in made.lines.values() for line in lines]
    work.report(
        voices=len(made.voices),
        lines=len(every),
        without_voice=sum(line.voice is None for line in every),
        overlapping=sum(line.overlap for line in every),
    )
    return made


def named(
    config: Config,
    transcripts: Mapping[str, Transcript],
    prints: Mapping[str, Voiceprints],
    known: KnownNames,
    review: ReviewedSpeakers,
) -> Voices:
    """The voices of all episodes, with their names."""
    how = voices.Grouping(config.alike, config.founding_seconds, config.least_alike)
    heard = {name: _lines(config, transcripts[name].segments, prints[name].prints) for name in transcripts}
    lines = {
        name: tuple(
            VoiceLine(
                segment=line.segment,
                voice=place.voice,
                likeness=place.likeness,
                founds=place.founds,
                overlap=line.overlap,
            )
            for line, place in zip(heard[name], places, strict=True)
        )
        for name, places in voices.grouped(heard, how).items()
    }
    votes = [
        vote
        for name, transcript in transcripts.items()
        for vote in (
            *casting.dialogue(transcript, known, lines[name]),
            *casting.written(transcript),
            *casting.reviewed(transcript, review.said),
        )
    ]
    ids = [character.id for character in known.characters]
    models = sorted({each.model for each in prints.values()})
    return Voices(model=", ".join(models), lines=lines, voices=casting.cast(lines, votes, ids), votes=tuple(votes))


def _lines(config: Config, segments: Sequence[Segment], prints: Sequence[Voiceprint]) -> list[voices.Line]:
    goes_on = [False, *(speaking.goes_on(before, after) for before, after in pairwise(segments))][: len(segments)]
    neighbours = [(*segments[max(0, i - 1) : i], *segments[i + 1 : i + 2]) for i in range(len(segments))]
    return [
        voices.Line(
            segment=segment.id,
            vector=one.vector,
            seconds=one.seconds,
            goes_on=on,
            overlap="overlap" in segment.marks
            or (one.steadiness is not None and one.steadiness < config.steadiness)
            or any(segment.span.overlap(other.span) > OVERLAP * segment.span.seconds for other in beside),
        )
        for segment, one, on, beside in zip(segments, prints, goes_on, neighbours, strict=True)
    ]
