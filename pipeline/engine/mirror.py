"""The mirror: the store's objects and finished runs at an address that several machines reach.

objects/ab/cdef...     bytes, named by their own digest, as in the store
runs/<name>.json       a finished run, and the sizes of all objects that its output names
state/unreached.json   what the last `gc` found that no run reaches, and when: deleted once it is old
state/job-<id>.json    a job that a host is to run; beside it `asks-<id>`: what people asked of it meanwhile
state/generation       a word that changes whenever something was deleted; who remembers it need not list what is there

Objects are named by content, so a push sends only what is missing, a broken transfer is simply done again, and writers
cannot disagree. What a run's files are is known at once; their bytes are fetched when somebody opens them.
"""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from pipeline.engine import fingerprint, upkeep
from pipeline.engine.fingerprint import Digest
from pipeline.engine.records import Record
from pipeline.engine.store import Run, Store
from pipeline.engine.transport import ASIDE, MirrorError, Transport, transport

GENERATION = "state/generation"
UNREACHED = "state/unreached.json"
_PREFIXES = [f"{number:02x}" for number in range(256)]
_FOLDERS = ["", ASIDE, "state", "runs", "objects", *(f"objects/{prefix}" for prefix in _PREFIXES)]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a transfer did: objects and bytes that went over, objects that were there already, runs told of."""

    objects: int = 0
    size_bytes: int = 0
    present: int = 0
    runs: int = 0


class Manifest(Record):
    """A run as the mirror has it; `sizes` are the bytes of all objects that it made and read, by digest."""

    run: Run
    sizes: dict[Digest, int]


def _silent(_: int) -> None:
    return None


@dataclass(slots=True)
class Mirror:
    store: Store
    url: str
    ssh_config: Path | None = None
    _transport: Transport = field(init=False)

    def __post_init__(self) -> None:
        self._transport = transport(self.url, self.ssh_config, self.store.identity())

    # Towards the mirror

    def push(self, runs: Sequence[Run], more: Iterable[Digest] = (), tell: Callable[[int], None] = _silent) -> Moved:
        """Send what these runs are made of and what the mirror lacks, then tell it of the runs. `more` are objects
        beside: sources, snapshots.

        A run is told of when all its objects are there. Raises MirrorError; what went over stays.
        """
        needed = {digest for run in runs for digest in self._made_of(run)} | set(more)
        here = {digest for digest in needed if self.store.object_path(digest).exists()}
        known = self._known(self._generation())
        sent: set[Digest] = set()
        while lacking := sorted(here - known.objects):
            self._send(lacking, tell)
            sent |= set(lacking)
            known.objects |= here
            if (now := self._generation()) != known.generation:  # Somebody deleted meanwhile: maybe what we counted on.
                known = self._list(now)
        told = self._tell_of([run for run in runs if run.name not in known.runs])
        known.runs |= {run.name for run in runs}
        self._remember(known)
        size = sum(self.store.object_path(digest).stat().st_size for digest in sent)
        return Moved(len(sent), size, len(here) - len(sent), told)

    def _send(self, digests: Sequence[Digest], tell: Callable[[int], None]) -> None:
        if digests:
            self._transport.put({_name(digest): self.store.object_path(digest) for digest in digests}, tell)

    def _tell_of(self, runs: Sequence[Run]) -> int:
        if not runs:
            return 0
        with self.store.scratch() as scratch:
            files: dict[str, Path] = {}
            for run in runs:
                sizes = {digest: self.store.size(digest) for digest in sorted(self._made_of(run))}
                path = scratch / f"{run.name}.json"
                path.write_text(Manifest(run=run, sizes=sizes).model_dump_json())
                files[f"runs/{run.name}.json"] = path
            self._transport.put(files, _silent)
        return len(runs)

    def _made_of(self, run: Run) -> set[Digest]:
        """Its output with all files, and what it read: records and sources, that others may build on them."""
        return {digest for digest in upkeep.reached(self.store, run) if self.store.knows(digest)}

    # From the mirror

    def runs(self) -> list[str]:
        """The names of the runs that the mirror has."""
        there = self._transport.sizes(["runs"])
        return sorted(name.removeprefix("runs/").removesuffix(".json") for name in there if name.endswith(".json"))

    def adopt(self, names: Sequence[str], *, heads: bool = True) -> list[Run]:
        """Take finished runs into the store, with their records; their files stay in the mirror until they are opened.

        With `heads`, the newest stands for its unit where none does yet. Raises MirrorError where the mirror lacks one.
        """
        names = [name for name in names if self.store.find_run(name) is None]
        manifests = self._manifests(names)
        self.fetch([each.run.output for each in manifests])
        for each in sorted(manifests, key=lambda each: -each.run.finished):
            self.store.await_objects({d: size for d, size in each.sizes.items() if d != each.run.output})
            head = heads and self.store.head(each.run.step, each.run.unit) is None
            self.store.take_run(each.run, upkeep.files_of_output(self.store, each.run), head=head)
        return [each.run for each in manifests]

    def fetch(self, digests: Iterable[Digest], tell: Callable[[int], None] = _silent) -> Moved:
        """Bring objects that the store lacks; each is verified by its digest before anybody sees it.

        A transfer that was cut goes on where it was. Raises MirrorError for what the mirror lacks or holds damaged.
        """
        wanted = sorted({digest for digest in digests if not self.store.object_path(digest).exists()})
        if not wanted:
            return Moved()
        parts = self.store.root / "arriving"
        parts.mkdir(parents=True, exist_ok=True)
        with self.store.lock("arriving"):
            paths = {digest: parts / digest for digest in wanted}
            self._transport.get({_name(digest): path for digest, path in paths.items()}, tell)
            damaged = [digest for digest, path in paths.items() if fingerprint.of_file(path) != digest]
            for digest in damaged:  # What was there of it may be the fault: once more from the start.
                paths[digest].unlink()
            self._transport.get({_name(digest): paths[digest] for digest in damaged}, _silent)
            for digest in damaged:
                if fingerprint.of_file(paths[digest]) != digest:
                    paths[digest].unlink()
                    raise MirrorError(
                        f"{_name(digest)} in the mirror {self.url} is damaged: delete it there, and push it again from"
                        " where it was made"
                    )
            size = sum(path.stat().st_size for path in paths.values())
            for path in paths.values():
                self.store.put_file(path, move=True)
        return Moved(len(wanted), size)

    def _manifests(self, names: Sequence[str]) -> list[Manifest]:
        with self.store.scratch() as scratch:
            files = {f"runs/{name}.json": scratch / f"{name}.json" for name in names}
            if files:
                self._transport.get(files, _silent)
            try:
                return [Manifest.model_validate_json(path.read_bytes()) for path in files.values()]
            except ValidationError as error:
                raise MirrorError(f"a run in the mirror {self.url} was written by another version: {error}") from error

    # Upkeep

    def gc(self, keep: frozenset[str], grace_seconds: float, *, dry: bool = False) -> Moved:
        """Forget runs that are not in `keep`, and delete objects that no run reaches, once both were so for
        `grace_seconds`: another writer may just be about to need them.

        Returns what was (with `dry`: would be) deleted.
        """
        with self.store.lock(f"mirror-gc-{self._id()}"):
            names = self.runs()
            listed = self._transport.sizes([f"objects/{prefix}" for prefix in _PREFIXES])
            sizes = {_digest(name): size for name, size in listed.items()}
            kept = self._manifests([name for name in names if name in keep])
            wanted = {digest for each in kept for digest in each.sizes}
            loose = {f"runs/{name}.json" for name in names if name not in keep}
            loose |= {_name(digest) for digest in sizes.keys() - wanted}
            since: dict[str, float] = json.loads(self.read(UNREACHED) or "{}")
            now = time.time()
            old = sorted(name for name in loose if now - since.get(name, now) >= grace_seconds)
            gone = [_digest(name) for name in old if name.startswith("objects/")]
            if not dry:
                self._transport.remove(old)
                self.write(UNREACHED, json.dumps({name: since.get(name, now) for name in loose - set(old)}))
                if old:
                    self.write(GENERATION, uuid.uuid4().hex)
            return Moved(len(gone), sum(sizes[d] for d in gone), len(sizes) - len(gone), len(old) - len(gone))

    # What is there, remembered

    def _generation(self) -> str:
        if found := self.read(GENERATION):
            return found
        self._transport.prepare(_FOLDERS)
        self.write(GENERATION, first := uuid.uuid4().hex)
        return first

    def _known(self, generation: str) -> "_Known":
        """What the mirror has: as it was left, where nothing was deleted since, else as it lists it."""
        try:
            known = _Known(**json.loads(self._memory().read_text()))
        except FileNotFoundError:
            return self._list(generation)
        return known if known.generation == generation else self._list(generation)

    def _list(self, generation: str) -> "_Known":
        there = self._transport.sizes(["runs", *(f"objects/{prefix}" for prefix in _PREFIXES)])
        objects = {_digest(name) for name in there if name.startswith("objects/")}
        runs = {name[len("runs/") : -len(".json")] for name in there if name.startswith("runs/")}
        return _Known(generation, objects, runs)

    def _remember(self, known: "_Known") -> None:
        content = {"generation": known.generation, "objects": sorted(known.objects), "runs": sorted(known.runs)}
        self.store.replace(self._memory(), json.dumps(content).encode())

    def _memory(self) -> Path:
        return self.store.root / "mirrors" / self._id()

    def _id(self) -> str:
        return fingerprint.of_value("mirror", self.url)[:16]

    def read(self, name: str) -> str:
        """A small text (`state/...`) that is there; "" where there is none."""
        with self.store.scratch() as scratch:
            return (self._transport.read(name, scratch / "word") or b"").decode()

    def write(self, name: str, text: str) -> None:
        """Put a small text there, whole or not at all, in place of what it was."""
        with self.store.scratch() as scratch:
            (scratch / "word").write_text(text)
            self._transport.put({name: scratch / "word"}, _silent)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Brings a store's objects from its mirror; nothing is asked of the mirror before something is wanted."""

    store: Store
    url: str
    ssh_config: Path | None

    def __call__(self, digests: Sequence[Digest]) -> Moved:
        return Mirror(self.store, self.url, self.ssh_config).fetch(digests)


@dataclass(slots=True)
class _Known:
    generation: str
    objects: set[Digest]
    runs: set[str]

    def __post_init__(self) -> None:
        self.objects, self.runs = set(self.objects), set(self.runs)


def _name(digest: Digest) -> str:
    return f"objects/{digest[:2]}/{digest[2:]}"


def _digest(name: str) -> Digest:
    return Digest("".join(name.split("/")[-2:]))
