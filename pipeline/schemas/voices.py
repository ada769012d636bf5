"""Who speaks: the voices heard across a show, whom each may belong to, and why."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.engine.records import Record
from pipeline.schemas.captions import ReviewSnapshot, TranscriptAnswer
from pipeline.schemas.story import Candidate
from pipeline.schemas.timeline import Seconds, Span

Cosine = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]

VoteSource = Literal["dialogue", "subtitles", "screen", "model", "review"]


class Voiceprint(Record):
    """How one segment sounds.

    `vector` is a direction (length 1) of as many numbers as the model has; empty where the segment is too short to
    tell anything. `seconds` is how much sound it comes from. `steadiness` is the likeness of the two least alike
    stretches of the segment, None where it has only one: low where a second voice breaks in.
    """

    segment: str
    seconds: Seconds
    vector: tuple[float, ...] = ()
    steadiness: Cosine | None = None


class Voiceprints(Record):
    """step2-voiceprints: one for each segment of step2-transcript-base, in its order; `model` with its revision."""

    episode: str
    model: str
    prints: tuple[Voiceprint, ...]


class Vote(Record):
    """One reason to think that a character says a line, or does not.

    `weight` is a natural logarithm of odds: 0.7 doubles them, -4 makes them fifty times less. A vote on a line counts
    for the whole voice that the line is spoken in.
    """

    episode: str
    segment: str
    character: str
    weight: float = Field(allow_inf_nan=False)
    source: VoteSource
    why: str


class VoiceLine(Record):
    """The voice in which a segment is spoken.

    `voice` is the id of a Voice; None where the line is too short or too unlike all of them. `likeness` is that of the
    line to the voice as a whole. `founds`: the line is long enough to have helped to tell the voice from others; else
    it only joined the nearest. `overlap`: more than one person speaks, so the line says nothing about its voice.
    """

    segment: str
    voice: str | None
    likeness: Cosine | None
    founds: bool = False
    overlap: bool = False


class Voice(Record):
    """One person's voice, as far as can be heard, in all episodes of the show.

    `id` names the first line spoken in it (`voice-s01e01@0012340`), so that another episode renames only the voices
    that it is the first to hear. `candidates` are characters' ids and UNKNOWN, best first, with scores that sum to 1
    at most; `why` says in whole sentences what they rest on, the weightiest first.
    """

    id: str
    candidates: tuple[Candidate, ...] = ()
    why: tuple[str, ...] = ()


class Voices(Record):
    """step2-voices: `lines` by episode, one for each segment of its transcript, in its order."""

    model: str
    lines: dict[str, tuple[VoiceLine, ...]]
    voices: tuple[Voice, ...]
    votes: tuple[Vote, ...] = ()
    notes: tuple[str, ...] = ()


class EpisodeVoices(Record):
    """What one episode reads of step2-voices: its own lines, and the voices that are heard in it.

    Votes stay with the show: a vote more in another episode changes nothing here unless it moves a candidate.
    """

    lines: tuple[VoiceLine, ...]
    voices: tuple[Voice, ...]

    @classmethod
    def project(cls, voices: Voices, episode: str) -> "EpisodeVoices":
        lines = voices.lines.get(episode, ())  # An episode that could not be listened to has none.
        heard = {line.voice for line in lines}
        return cls(lines=lines, voices=tuple(voice for voice in voices.voices if voice.id in heard))

    def of(self, segment: str) -> tuple[VoiceLine | None, Voice | None]:
        """The line of a segment and its voice; None for what there is not."""
        line = next((each for each in self.lines if each.segment == segment), None)
        voice = next((each for each in self.voices if line and each.id == line.voice), None)
        return line, voice


class SaidBy(Record):
    """A reviewer's word on who says the line at `span` of an episode; `by` is the reviewer."""

    episode: str
    span: Span
    speaker: str
    by: str


class ReviewedSpeakers(Record):
    """What step2-voices reads of the reviews: who says what, not what was said. The newest answer to a clip counts."""

    said: tuple[SaidBy, ...]

    @classmethod
    def project(cls, snapshot: ReviewSnapshot) -> "ReviewedSpeakers":
        newest = {
            decision.key: decision
            for decision in sorted(snapshot.decisions, key=lambda decision: (decision.key, decision.at))
            if isinstance(decision.answer, TranscriptAnswer) and not decision.skipped
        }
        said = (
            SaidBy(episode=decision.episode, span=line.span, speaker=line.speaker, by=decision.by)
            for decision in newest.values()
            if isinstance(decision.answer, TranscriptAnswer)
            for line in decision.answer.lines
            if line.speaker is not None
        )
        return cls(said=tuple(said))
