"""A running step's hands: bytes in and out, results item by item, models that stay loaded, progress."""

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pipeline.engine.events import Events, Reader
from pipeline.engine.fingerprint import Digest
from pipeline.engine.memo import Memo, Spreading
from pipeline.engine.records import File, Record
from pipeline.engine.store import Store

T = TypeVar("T")
R = TypeVar("R", bound=Record)


@dataclass(slots=True)
class Models:
    """Models in memory, kept for the next job of the same worker; closing frees them all."""

    stack: ExitStack = field(default_factory=ExitStack)
    loaded: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def get(self, load: Callable[..., AbstractContextManager[T]], *args: Any) -> T:
        key = (load, *args)
        if key not in self.loaded:
            self.loaded[key] = self.stack.enter_context(load(*args))
        model: T = self.loaded[key]
        return model

    def close(self) -> None:
        self.loaded.clear()
        self.stack.close()


@dataclass(frozen=True, slots=True)
class Services:
    """Where a step finds what no store holds. Addresses and keys change no result, so they are no part of a recipe.

    `folder` is where a step's relative paths begin. `model_server_url` is an OpenAI-compatible server's.
    """

    folder: Path = Path()
    model_server_url: str | None = None
    model_server_key: str | None = field(default=None, repr=False)

    def place(self, name: str) -> str:
        """Where a folder lies that settings name (`./`, `../`, `~/` or absolute); any other name stays as it is."""
        if name.startswith("~"):
            return str(Path(name).expanduser())
        return str(self.folder / name) if name.startswith(("./", "../")) else name


@dataclass(slots=True)
class Stopping:
    """Word from outside that a job is to end. Most jobs are ended at once: their finished items are kept.

    One that says `graceful()` is asked instead (`asked` is set), and given `GRACE_SECONDS` to keep what it has.
    """

    asked: threading.Event = field(default_factory=threading.Event)
    is_graceful: bool = False

    GRACE_SECONDS: ClassVar[int] = 60


class StoppedError(Exception):
    """A job ends because it was asked to. What it kept is where it goes on; it is no failure."""


NOWHERE = Services()
"""For steps that need nothing from outside."""


@dataclass(slots=True)
class Workspace:
    """A step's only way to bytes: write under `scratch`, publish with `keep`, read with `open`.

    `scratch` is empty at first and gone afterwards. `cache` is for files that can be made again at any time
    (assembled model weights); it is shared by all jobs and never part of a result.
    """

    store: Store
    scratch: Path
    cache: Path
    step: str = "step"
    code: object = None
    events: Events = field(default_factory=lambda: Events(None))
    models: Models = field(default_factory=Models)
    memos: list[Memo[Any]] = field(default_factory=list)
    services: Services = NOWHERE
    limit: int | None = None
    stopping: Stopping = field(default_factory=Stopping)
    requests: Reader | None = None
    spread: Spreading | None = None

    def keep(self, path: Path, name: str | None = None) -> File:
        """Publish a file under its content; it leaves `scratch`. `name` is what its users see."""
        return self.store.put_file(path, name or path.name, move=True)

    def open(self, file: File) -> Path:
        """Where the bytes lie, to read only. Raises KeyError if the store lacks them."""
        return self.store.path_of(file)

    def memo(self, kind: type[R]) -> Memo[R]:
        """Results of `kind`, one for each item, kept across runs and crashes."""
        memo = Memo(self.store, self.step, self.code, kind, self.events, limit=self.limit, spread=self.spread)
        self.memos.append(memo)
        return memo

    def memo_used(self) -> list[Digest]:
        return sorted({name for memo in self.memos for name in memo.used})

    def model(self, load: Callable[..., AbstractContextManager[T]], *args: Any) -> T:
        """What `load(*args)` yields, loaded once for consecutive jobs of this worker. Arguments must hash."""
        return self.models.get(load, *args)

    def track(self, items: Iterable[T], total: int | None = None) -> Iterator[T]:
        """Pass items through and tell how many are done."""
        if total is None:
            items = list(items)
            total = len(items)
        for done, item in enumerate(items):
            self.events.emit("items", done=done, total=total)
            yield item
        self.events.emit("items", done=total, total=total)

    def log(self, message: str) -> None:
        """One line for people who watch."""
        self.events.emit("log", message=message)

    def tell(self, record: Record) -> None:
        """Tell a record of what goes on, as the event of its kind: a `HoldoutLoss` is "holdout loss".

        In an event `step` is the step of the pipeline: a record's own `step`, of training, is told as `at_step`.
        """
        kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(record).__name__).lower()
        values = record.model_dump(mode="json")
        self.events.emit(kind, **{"at_step" if name == "step" else name: value for name, value in values.items()})

    def graceful(self) -> threading.Event:
        """Ask to be told of the end, not ended: set once the job is to keep what it has and raise StoppedError."""
        self.stopping.is_graceful = True
        return self.stopping.asked

    def asked(self) -> list[str]:
        """What people asked of this job since the last call ("save", "sample"), in their order."""
        found = self.requests.poll() if self.requests else ()
        return [event["ask"] for event in found if event["step"] == self.step]

    def report(self, **figures: float | int | str) -> None:
        """Figures about this run that are not results: seconds per stage, counts kept and dropped by reason."""
        self.events.emit("report", **figures)
