"""What Dailies remembers of Label Studio between two commands. It only saves time, and may be deleted at any moment."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from pipeline.engine.records import Record
from pipeline.engine.store import Store
from pipeline.review import answers, checks
from pipeline.review.queries import Listed, Project
from pipeline.review.shown import Kind
from pipeline.schemas import captions
from pipeline.schemas.captions import ReviewDecision


class _Read(Record):
    stamp: str
    decisions: tuple[ReviewDecision, ...] = ()
    unreadable: tuple[str, ...] = ()


class _Readings(Record):
    """Answers by task id, as this code reads them (`reader`) where people have these e-mails."""

    reader: str
    people: dict[int, str]
    tasks: dict[int, _Read] = {}


@dataclass(slots=True)
class Read:
    """What the answers of one task say. `stamp` is the server's; while it is the same, so are the answers."""

    stamp: str
    decisions: list[ReviewDecision] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    @property
    def touched(self) -> str:
        """When the server touched the task last, as it says that itself."""
        return self.stamp.partition(" ")[0]


def listing(store: Store, show: str, kind: Kind, project: Project) -> list[Listed] | None:
    """The tasks that the last push left, for the server to confirm; None where nothing useful is remembered."""
    try:
        found = json.loads(_path(store, show, kind, "tasks").read_bytes())
        tasks = [Listed(**task) for task in found["tasks"]] if found["project"] == project.url else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    # Which of two tasks with one key stands depends on who has worked on them, which only a listing tells.
    keys = [task.key for task in tasks or () if not task.replaced]
    return tasks if tasks and len(set(keys)) == len(keys) else None


def addresses(store: Store, show: str, kind: Kind) -> dict[str, str]:
    """Where each task opens, by its key, as the last push left them; without asking the server."""
    try:
        found = json.loads(_path(store, show, kind, "tasks").read_bytes())
        return {task["key"]: f"{found['project']}?task={task['id']}" for task in found["tasks"] if not task["archived"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}


def remember_listing(store: Store, show: str, kind: Kind, project: Project, tasks: Sequence[Listed]) -> None:
    content = {"project": project.url, "tasks": [asdict(task) for task in tasks]}
    _write(store, _path(store, show, kind, "tasks"), json.dumps(content))


def forget_listing(store: Store, show: str, kind: Kind) -> None:
    """Before the first write, so that a push that is cut off leaves no wrong memory."""
    _path(store, show, kind, "tasks").unlink(missing_ok=True)


def readings(store: Store, show: str, kind: Kind, project: Project, people: Mapping[int, str]) -> dict[int, Read]:
    """What was read before, by task; nothing where another release read it, or somebody's e-mail has changed."""
    try:
        found = _Readings.model_validate_json(_path(store, show, kind, "answers").read_bytes())
    except (FileNotFoundError, ValidationError):
        return {}
    if found.reader != _reader(project) or any(people.get(id_) != email for id_, email in found.people.items()):
        return {}
    return {id_: Read(task.stamp, [*task.decisions], [*task.unreadable]) for id_, task in found.tasks.items()}


def remember_readings(
    store: Store, show: str, kind: Kind, project: Project, people: Mapping[int, str], read: Mapping[int, Read]
) -> None:
    tasks = {
        id_: _Read(stamp=task.stamp, decisions=tuple(task.decisions), unreadable=tuple(task.unreadable))
        for id_, task in read.items()
    }
    content = _Readings(reader=_reader(project), people=dict(people), tasks=tasks)
    _write(store, _path(store, show, kind, "answers"), content.model_dump_json())


def newest(store: Store, show: str) -> dict[Kind, str] | None:
    """The server's newest stamp among the answers of the last pull, by project; None where no pull is remembered."""
    try:
        return TypeAdapter(dict[Kind, str]).validate_json(_pulled(store, show).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def remember_newest(store: Store, show: str, stamps: Mapping[Kind, str]) -> None:
    """To be called once what was pulled is kept: what is newer waits to be pulled."""
    _write(store, _pulled(store, show), json.dumps(dict(stamps)))


def _reader(project: Project) -> str:
    return f"{project.url} {_code()}"


@cache
def _code() -> str:
    """The digest of the code that reads answers: another release may read the same answer in another way."""
    files = [Path(module.__file__ or "") for module in (answers, captions, checks)]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _path(store: Store, show: str, kind: Kind, what: str) -> Path:
    return store.root / "review" / f"{show}-{kind}-{what}.json"


def _pulled(store: Store, show: str) -> Path:
    return store.root / "review" / f"{show}-pulled.json"


def _write(store: Store, path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    store.replace(path, text.encode())
