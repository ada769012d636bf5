"""Captions, what reviewers decided about transcripts and captions, and the two merged."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from pipeline.engine.records import File, Record
from pipeline.schemas.edits import BatchEdit, EditAccount
from pipeline.schemas.timeline import Probability, Segment, Span


class Quote(Record):
    """A line spoken in a clip as the caption words it: `text` stands in the caption between quotation marks.

    `speaker` is how the caption names who says it (a name, or words like "someone").
    """

    segment: str
    speaker: str
    text: str


class Observed(Record):
    """What a model saw and heard in a clip apart from its caption, in a few words each; `sounds` are no speech."""

    shot: str
    camera: str
    light: str
    sounds: str


class Caption(Record):
    """One paragraph for one clip; every quote's text stands in `text`, each once, in this order.

    `short` says the same in a sentence or two, where that was asked for.
    """

    clip: str
    text: str
    quotes: tuple[Quote, ...]
    characters: tuple[str, ...]
    score: Probability
    notes: tuple[str, ...] = ()
    # Left out where no model looked, so that captions from measured facts keep their bytes.
    short: str = Field(default="", exclude_if=lambda short: not short)
    observed: Observed | None = Field(default=None, exclude_if=lambda observed: observed is None)


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


class Asked(Record):
    """A doubt as it was put to a reviewer: which line, where in the episode, and which words were heard.

    It places an answer in later machine output, which may know neither the line's id nor the doubt's. `context` is the
    doubt's; older snapshots lack it.
    """

    doubt: str
    kind: Literal["text", "speaker"]
    segment: str
    span: Span
    heard: str
    context: str = Field(default="", exclude_if=lambda context: not context)


class CheckResult(Record):
    """What became of a hidden known answer: words of a line that were shown misheard (`shown`) though they are `known`.

    "found": the reviewer put the known words there; "missed": the misheard ones were let stand; "changed": neither
    stands, or nobody can say (the line was taken out).
    """

    segment: str
    shown: str
    known: str
    outcome: Literal["found", "missed", "changed"]


class TranscriptAnswer(Record):
    """What a reviewer made of a clip's lines.

    `seen` are the lines as shown, `answers` doubt id -> chosen value; `asked` tells what these doubts were about.
    Where `check` tells of a hidden known answer, it is taken out of `seen` and `lines` already: they say what they
    would say without it.
    """

    kind: Literal["transcript"] = "transcript"
    seen: tuple[Line, ...]
    lines: tuple[Line, ...]
    answers: dict[str, str] = {}
    asked: tuple[Asked, ...] = ()
    flags: tuple[str, ...] = ()
    note: str = ""
    # Left out where there is none, so that snapshots without checks keep their bytes.
    check: CheckResult | None = Field(default=None, exclude_if=lambda check: check is None)


class CaptionAnswer(Record):
    """What a reviewer made of a clip's caption. `seen` is the caption as shown."""

    kind: Literal["caption"] = "caption"
    seen: str
    text: str
    verdict: Literal["keep", "drop", "second look"]
    reasons: tuple[str, ...] = ()
    characters: tuple[str, ...] = ()
    note: str = ""


class RawAnswer(Record):
    """An annotation as Label Studio has it, and what its reviewer was shown (`Shown`): enough to put it back."""

    result: tuple[dict[str, Any], ...]
    shown: dict[str, Any]


class ReviewDecision(Record):
    """One person's answer to one task.

    `key` is the task's own (`s01e01/s01e01_0012340#caption`); `revision` the digest of what was shown; `span` where the
    clip lay then. `skipped` answers have neither lines nor caption. `raw` is what a restore needs; older snapshots lack
    it.
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
    raw: RawAnswer | None = None


class ReviewSnapshot(Record):
    """A source: all decisions at one pull, in the order of (key, at). The empty one stands before anybody reviewed.

    `edits` are the batch edits that were made by then and say something of words, speakers or clips, the oldest first;
    those that undo one are among them.
    """

    decisions: tuple[ReviewDecision, ...] = ()
    # Left out where there are none, so that snapshots without edits keep their bytes.
    edits: tuple[BatchEdit, ...] = Field(default=(), exclude_if=lambda edits: not edits)


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


class DecisionAccount(Record):
    """What became of one decision, named by its task's `key`, `by` and `at`.

    `state` is "applied" where all of it fits what the machines say now as it fitted what the reviewer saw, "carried"
    where some of it was moved to new words or clips, "queued again" where some of it is no longer sure enough and the
    task shows it with the old answer (the rest of it counts), "superseded" where newer decisions took all its places,
    and "waiting" where some of it has no place now; it counts again when its stretch comes back. A batch edit made
    since then goes on from what the decision left and has an account of its own.

    `sureness` is that of its least sure part: 1 where it fits, else how much of the letters and of the time agrees, as
    pipeline/review/carry.py measures it. It is None where nothing was carried (superseded, waiting, skipped).
    `superseded_by` names the decisions that took its place or a part of it, `why` says in words what does not count.
    """

    key: str
    episode: str
    by: str
    at: datetime
    state: Literal["applied", "carried", "queued again", "superseded", "waiting"]
    sureness: Probability | None
    superseded_by: tuple[str, ...] = ()
    why: str = ""


class Reviewed(Record):
    """step2-reviewed: every clip of every episode is in `clips` or in `left_out`.

    `accounts` has one entry for each decision of the snapshot, in its order; `outdated` says in words which of them do
    not count, or not wholly, and why. `edits` accounts for the places of every batch edit.
    """

    clips: tuple[ReviewedClip, ...]
    left_out: tuple[LeftOut, ...]
    subtitles: tuple[Subtitles, ...]
    outdated: tuple[str, ...] = ()
    accounts: tuple[DecisionAccount, ...] = ()
    edits: tuple[EditAccount, ...] = ()
    policy: str
