"""The panel's log: who did what when and from where. Lines are added before and after, and never changed.

`.dailies/panel/log.jsonl` has a line when somebody begins ("asked") and one with what came of it, so that nothing is
done without one, even where the power fails in between.
"""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pipeline import access
from pipeline.engine.events import Events, Reader

Outcome = Literal["begun", "done", "failed", "refused"]

_LONGEST = 2_000  # letters of one text: a trace or a browser's header must not fill the disk
_TAIL_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that somebody did or tried. `outcome` "begun": it goes on, or nobody was left to say how it ended."""

    id: str
    at: datetime
    by: str
    address: str
    what: str
    where: str
    outcome: Outcome
    said: str


@dataclass(frozen=True, slots=True)
class Telling:
    """What was done, in the words to keep; set while it is done."""

    words: list[str] = field(default_factory=list)

    def say(self, words: str) -> None:
        self.words[:] = [words]


def path_of(show: Path) -> Path:
    return access.folder_of(show) / "log.jsonl"


@contextmanager
def doing(show: Path, what: str, *, by: str, address: str, where: str = "") -> Iterator[Telling]:
    """Write down that somebody does `what`, and how it ends; an error is written down and goes on its way."""
    events, id_ = _events(show), uuid.uuid4().hex[:12]
    events.emit("asked", id=id_, by=_cut(by), address=_cut(address), what=_cut(what), where=_cut(where))
    telling = Telling()
    try:
        yield telling
    except BaseException as error:
        events.emit("failed", id=id_, said=_cut(str(error) or type(error).__name__))
        raise
    events.emit("done", id=id_, said=_cut(" ".join(telling.words)))


def note(show: Path, what: str, *, by: str, address: str, outcome: Outcome = "done", where: str = "") -> None:
    """Write down what happened in one moment: a sign-in, a refusal."""
    fields = {"by": by, "address": address, "what": what, "where": where, "outcome": outcome}
    _events(show).emit("noted", id=uuid.uuid4().hex[:12], **{name: _cut(text) for name, text in fields.items()})


def entries(show: Path, most: int | None = 200) -> list[Entry]:
    """What was done, the newest first; with `most`, only the end of a long log is read."""
    path = path_of(show)
    reader = Reader(path)
    size = path.stat().st_size if path.exists() else 0
    if most is not None and size > _TAIL_BYTES:
        with path.open("rb") as stream:
            stream.seek(size - _TAIL_BYTES)
            stream.readline()
            reader = Reader(path, stream.tell())
    found: dict[str, Entry] = {}
    for event in reader.poll():
        _told(event, found)
    return list(reversed(found.values()))[:most]


def _told(event: dict[str, Any], found: dict[str, Entry]) -> None:
    id_, kind = event["id"], event["event"]
    begun = found.get(id_)
    if kind in ("asked", "noted"):
        at = datetime.fromtimestamp(event["t"]).astimezone()
        texts = (event["by"], event["address"], event["what"], event["where"])
        found[id_] = Entry(id_, at, *texts, event.get("outcome", "begun"), "")
    elif begun:  # The end of what began before the part that is read tells nothing by itself.
        texts = (begun.by, begun.address, begun.what, begun.where)
        found[id_] = Entry(id_, begun.at, *texts, kind, event["said"])


def as_json(found: list[Entry]) -> str:
    return json.dumps([{name: getattr(each, name) for name in Entry.__slots__} for each in found], default=str)


def _events(show: Path) -> Events:
    path = path_of(show)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    return Events(path)


def _cut(text: str) -> str:
    """Plain text: what a stranger typed must not move the cursor of whoever reads it in a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:_LONGEST])
