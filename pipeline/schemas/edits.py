"""What people do to many places at once, outside Label Studio: entries of a log that only ever grows."""

from datetime import datetime
from typing import Literal

from pipeline.engine.records import Record
from pipeline.schemas.timeline import Span

What = Literal["answer", "refusal", "replace", "speaker", "undo", "send back", "glossary"]
"""A suggestion taken, one refused, words replaced, a speaker changed, an entry undone, a clip sent back to its
reviewer, a mishearing written into the bible."""


class EditPlace(Record):
    """Some words of one line ("text"), who says a line ("speaker"), or a clip that is sent back ("clip").

    `span` is where the words, the line or the clip lie, in seconds of the episode, and `line` the text of the whole
    line as it stood. `before` and `after` are the words ("" takes them out), or characters' ids (UNKNOWN for nobody
    known). `first_word` counts from 0 in the line. `key` is the task of a clip that is sent back.
    """

    about: Literal["text", "speaker", "clip"]
    episode: str
    span: Span
    segment: str = ""
    line: str = ""
    first_word: int = 0
    before: str = ""
    after: str = ""
    key: str = ""


class Origin(Record):
    """Whose answer to which task a suggestion was taken from, and the second of the episode that it was about."""

    key: str
    by: str
    at: datetime
    episode: str
    seconds: float


class BatchEdit(Record):
    """One thing that a person did to `places` at once. `id` counts the entries of the log from 1.

    `group` names the suggestions that were taken or refused; `whole` says that its later places are refused too.
    `undoes` is the entry that an "undo" takes back, `reason` why something was sent back, or what was written.
    `decision` is the id of the machine's decision that a "replace" or a "speaker" takes back, "" for all others.
    """

    id: str
    what: What
    by: str
    at: datetime
    places: tuple[EditPlace, ...] = ()
    group: str = ""
    whole: bool = False
    undoes: str = ""
    reason: str = ""
    taken_from: Origin | None = None
    decision: str = ""


class EditAccount(Record):
    """What became of the places of one batch edit; the counts sum to the number of its places.

    "applied" where the place stands as it was seen, "carried" where it was found again in newer machine output,
    "superseded" where a newer answer of a person has it (for a suggestion that was taken: any answer), "waiting" where
    its words or its line are not to be found now, "undone" where somebody took the edit back. `why` says in words what
    does not count.
    """

    id: str
    what: What
    by: str
    at: datetime
    applied: int = 0
    carried: int = 0
    superseded: int = 0
    waiting: int = 0
    undone: int = 0
    why: tuple[str, ...] = ()
