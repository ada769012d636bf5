"""Captions, what reviewers decided about transcripts and captions, and the two merged."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from pipeline.engine.records import File, Record
from pipeline.schemas.timeline import Probability, Segment, Span


class Quote(Record):
    """A line spoken in a clip as the caption words it: `text` stands in the caption between quotation marks.

    `speaker` is how the caption names who says it (a name, or words like "an unseen voice").
    """

    segment: str
    speaker: str
    text: str


class Caption(Record):
    """One paragraph for one clip; every quote's text stands in `text`, each once, in this order."""

    clip: str
    text: str
    quotes: tuple[Quote, ...]
    characters: tuple[str, ...]
    score: Probability
    notes: tuple[str, ...] = ()


class Captions(Record):
    """step2-caption: one for each clip of step1-scenes."""

    episode: str
    backend: str
    captions: tuple[Caption, ...]


class Line(Record):
    """A line as a reviewer left it: `id` is the segment's, or Label Studio's random one for a new line.

    `span` is in seconds of the episode, `speaker` a character's id or None.
    """

    id: str
    span: Span
    speaker: str | None
    text: str
    flags: tuple[str, ...] = ()


class TranscriptAnswer(Record):
    """What a reviewer made of a clip's lines. `seen` are the lines as shown, `answers` doubt id -> chosen value."""

    kind: Literal["transcript"] = "transcript"
    seen: tuple[Line, ...]
    lines: tuple[Line, ...]
    answers: dict[str, str] = {}
    flags: tuple[str, ...] = ()
    note: str = ""


class CaptionAnswer(Record):
    """What a reviewer made of a clip's caption. `seen` is the caption as shown."""

    kind: Literal["caption"] = "caption"
    seen: str
    text: str
    verdict: Literal["keep", "drop", "second look"]
    reasons: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    note: str = ""


class ReviewDecision(Record):
    """One person's answer to one task.

    `key` is the task's own (`s01e01/s01e01_0012340#caption`); `revision` the digest of what was shown; `span` where the
    clip lay then. `skipped` answers have neither lines nor caption.
    """

    key: str
    episode: str
    clip: str
    span: Span
    revision: str
    by: str
    at: datetime
    seconds: float = Field(ge=0)
    skipped: bool = False
    answer: TranscriptAnswer | CaptionAnswer | None = Field(default=None, discriminator="kind")


class ReviewSnapshot(Record):
    """A source: all decisions at one pull, in the order of (key, at). The empty one stands before anybody reviewed."""

    decisions: tuple[ReviewDecision, ...] = ()


class ReviewedClip(Record):
    """A clip that may be trained on: its caption, and the lines that are heard in it."""

    episode: str
    clip: str
    span: Span
    video: File
    caption: Caption
    lines: tuple[Segment, ...]
    reviewed: bool
    by: tuple[str, ...]


class LeftOut(Record):
    """A clip that is not used, and why."""

    episode: str
    clip: str
    reason: str


class Subtitles(Record):
    """The reviewed transcript of one episode, as files."""

    episode: str
    srt: File
    vtt: File


class Reviewed(Record):
    """step2-reviewed: every clip of every episode is in `clips` or in `left_out`."""

    clips: tuple[ReviewedClip, ...]
    left_out: tuple[LeftOut, ...]
    subtitles: tuple[Subtitles, ...]
    outdated: tuple[str, ...] = ()
    policy: str
