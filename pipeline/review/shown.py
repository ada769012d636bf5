"""What one task shows a reviewer, and what it must remember so that the answer can be read back."""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from pipeline.engine import fingerprint
from pipeline.engine.records import Record
from pipeline.schemas.captions import Asked, Line
from pipeline.schemas.story import UNKNOWN, Bible
from pipeline.schemas.timeline import Span

Kind = Literal["transcripts", "captions"]
"""The two projects; also the stem of their tasks' keys and of their labeling configs."""

KINDS: tuple[Kind, ...] = ("transcripts", "captions")

SLOTS = ("q_a", "q_b", "q_c", "q_d")
"""The question slots of transcript.xml. Letters: Label Studio does not see `$q0_options` as coming from the task."""

MODEL_VERSION = "dailies"
"""One name for all our predictions, for ever.

Label Studio's queue serves, and its editor opens, only predictions of the project's one `model_version`; tasks that
did not change would drop out if every push had its own. Which machine made what is told by `rev` instead.
"""


GONE = "its clip is gone"
DOUBLE = "another task has the same key"
ANSWERED = "it was answered, and a new task asks again"
"""Why a task is archived. One whose clip is gone comes back with the clip; the others have left their place to another
task, and come back never."""


class Question(Record):
    """A doubt as it was put into a slot: what each option's label stands for (a text, or a character's id)."""

    doubt: str
    options: dict[str, str]
    asked: Asked | None = None


class Check(Record):
    """A hidden known answer: a line (`segment`) shows `misheard` where the machine is certain of `known`.

    Both are words without the punctuation around them; `text` is the whole line as the machine has it.
    """

    segment: str
    misheard: str
    known: str
    text: str


class Shown(Record):
    """All that is needed to read an answer to one revision of a task, without the run that made it.

    `clip` is where the clip lies in the episode; `lines` are in seconds of the episode, as they were on the screen.
    `people` maps the labels on the screen to characters' ids (UNKNOWN to UNKNOWN), `questions` a slot to the doubt it
    asks, and `check` tells what is hidden in `lines`. `again` names the earlier answers that the task asks again: each
    as `Earlier.name` does.
    """

    clip: Span
    lines: tuple[Line, ...] = ()
    caption: str = ""
    people: dict[str, str]
    questions: dict[str, Question] = {}
    # Left out where there is none, so that tasks without a check keep their revision.
    check: Check | None = Field(default=None, exclude_if=lambda check: check is None)
    # The batch edits that the lines were shown with, by id: who let these stand has seen them.
    edits: tuple[str, ...] = Field(default=(), exclude_if=lambda edits: not edits)
    again: tuple[str, ...] = Field(default=(), exclude_if=lambda again: not again)


@dataclass(frozen=True, slots=True)
class ReviewTask:
    """A task as it should stand on the server. `data` is what the labeling config shows, `result` the prediction.

    The lower its `score`, the sooner it is served, if it `waits` for an answer.
    """

    kind: Kind
    key: str
    data: dict[str, Any]
    result: list[dict[str, Any]]
    score: float
    shown: Shown
    waits: bool = True

    @property
    def rev(self) -> str:
        return str(self.data["rev"])

    @property
    def again(self) -> bool:
        """Whether what people answered to it no longer fits, so that it belongs into the queue once more."""
        return bool(self.shown.again)


def task(kind: Kind, data: dict[str, Any], result: list[dict[str, Any]], score: float, shown: Shown) -> ReviewTask:
    """Give a task its revision: the digest of everything about it but the score, marked in the prediction too.

    An annotation starts as a copy of the prediction, so the mark (a hidden field) tells for ever which revision its
    reviewer saw, even where the task has changed between opening and submitting.
    """
    content = {"data": data, "result": result, "shown": shown.model_dump(mode="json")}
    rev = fingerprint.of_value("review-task", content)[:16]
    target = "audio" if kind == "transcripts" else "video"
    mark = {"id": "rev", "from_name": "rev", "to_name": target, "type": "textarea", "value": {"text": [rev]}}
    return ReviewTask(kind, data["key"], {**data, "rev": rev}, [*result, mark], round(score, 6), shown)


def people_of(bible: Bible) -> dict[str, str]:
    """Each character's id -> its label on the screen, in the bible's order: the short name where only one has it."""
    shorts = Counter(character.short for character in bible.characters)
    names = Counter(character.name for character in bible.characters)
    labels = {}
    for character in bible.characters:
        label = character.short
        if shorts[label] > 1 or label == UNKNOWN:
            label = character.name if names[character.name] == 1 else f"{character.name} ({character.id})"
        labels[character.id] = label
    return labels
