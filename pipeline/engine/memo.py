"""Results kept item by item, so that a killed step resumes at the item it was on.

An entry's name is the digest of all that made it: the step, its version and code, and what the step says the item
is made of (a prompt, a clip's digest, the settings that matter to it).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from pydantic import ValidationError

from pipeline.engine import fingerprint
from pipeline.engine.events import Events
from pipeline.engine.fingerprint import Digest
from pipeline.engine.records import Record, files_of
from pipeline.engine.store import Store

R = TypeVar("R", bound=Record)


class LimitedError(Exception):
    """A step ends here on purpose: only its first items were wanted. `paths` are where they lie, of `total` in all."""

    def __init__(self, paths: Sequence[Path], total: int) -> None:
        self.paths, self.total = tuple(paths), total
        super().__init__(f"only {len(self.paths)} of {total} items were wanted")


@dataclass(frozen=True, slots=True)
class Filling:
    """Items that are being made: `lacking` are their names, in order, `batch` of them at most at a time.

    `make` makes and keeps those of the given names and yields each as it is kept; `kept` tells that one is. Any
    process that runs the step comes to items of the same `identity`.
    """

    identity: str
    lacking: Sequence[Digest]
    batch: int
    make: Callable[[Sequence[Digest]], Iterator[Digest]]
    kept: Callable[[Digest], None]
    describe: Callable[[Digest], str]


class Spreading(Protocol):
    """Who makes items in many processes; see `pipeline.engine.spread`."""

    is_making: bool

    def fill(self, filling: Filling) -> None: ...


@dataclass(slots=True)
class Memo(Generic[R]):
    """One kind of item of one step. `used` collects the names that this run read or wrote, for `gc`.

    With a `limit`, only so many items are made, for people to look at. They are the items of a whole run, which takes
    them from here; but no output is made of a part of them.
    """

    store: Store
    step: str
    code: object
    kind: type[R]
    events: Events
    used: set[Digest] = field(default_factory=set)
    limit: int | None = None
    spread: Spreading | None = None

    def fill(self, items: Sequence[object], make: Callable[[Sequence[int]], Iterable[R]], *, batch: int = 1) -> list[R]:
        """One result for each item, in order; `make` is given the indexes of those that lack one, `batch` at a time.

        Each result is kept as soon as `make` yields it, in the order of the indexes it was given. `items` are
        JSON-able values: all that decides the item's result, apart from the step's own code. Raises LimitedError where
        items are left over that the limit did not allow.
        """
        names = [self._name(item) for item in items]
        self.used |= set(names)
        found: dict[Digest, R] = {}
        for name in names:
            if name not in found and (result := self._read(name)) is not None:
                found[name] = result
        first = {name: index for index, name in reversed(list(enumerate(names)))}
        lacking = sorted(index for name, index in first.items() if name not in found)
        missing = [index for index in lacking if self.limit is None or index < self.limit]
        done = len(items) - len(lacking)
        self.events.emit("items", done=done, total=len(items), kept=done)

        def make_named(wanted: Sequence[Digest]) -> Iterator[Digest]:
            chunk = [first[name] for name in wanted]
            for name, result in zip(wanted, make(chunk), strict=True):
                self._write(name, result)
                found[name] = result
                yield name

        def kept(name: Digest) -> None:
            nonlocal done
            done += 1
            self.events.emit("items", done=done, total=len(items))

        made = [names[index] for index in missing]
        if self.spread is None or self.spread.is_making:
            for chunk in _chunks(made, batch):
                for name in make_named(chunk):
                    kept(name)
        else:
            identity = fingerprint.of_value("items", [self.kind.__name__, names])
            self.spread.fill(
                Filling(identity, made, batch, make_named, kept, lambda name: f"item {first[name] + 1} of {len(items)}")
            )
            # What other processes made is in the store by now.
            made_elsewhere = [(name, self._read(name)) for name in made if name not in found]
            found |= {name: result for name, result in made_elsewhere if result is not None}
        if len(missing) < len(lacking):
            raise LimitedError([self._path(name) for name in dict.fromkeys(names[: self.limit])], len(items))
        return [found[name] for name in names]

    def find(self, item: object) -> R | None:
        """What is kept for `item`, if anything; nothing is made."""
        if (result := self._read(name := self._name(item))) is not None:
            self.used.add(name)
        return result

    def add(self, item: object, result: R) -> R:
        """Keep what came of itself, a training's checkpoint, say. The first result wins and is returned."""
        self._write(self._name(item), result)
        found = self.find(item)
        assert found is not None
        return found

    def _name(self, item: object) -> Digest:
        return fingerprint.of_value(self.kind.__name__, [self.code, item])

    def _path(self, name: Digest) -> Path:
        return self.store.root / "memo" / self.step / name[:2] / f"{name[2:]}.json"

    def _read(self, name: Digest) -> R | None:
        path = self._path(name)
        if not path.exists():
            return None
        try:
            result = self.kind.model_validate_json(path.read_bytes())
        except ValidationError:  # Written by a record of another shape, or damaged: made again.
            return None
        return result if all(self.store.has(file) for file in files_of(result)) else None

    def _write(self, name: Digest, result: R) -> None:
        path, content = self._path(name), result.model_dump_json().encode()
        if path.exists() and self._read(name) is None:
            self.store.replace(path, content)
        else:
            self.store.publish(path, content)


def _chunks(names: Sequence[Digest], size: int) -> Iterator[Sequence[Digest]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
