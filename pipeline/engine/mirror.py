"""The mirror: the store's objects and finished runs at an address that several machines reach.

objects/ab/cdef...     bytes, named by their own digest, as in the store
runs/<name>.json       a finished run, and the sizes of all objects that its output names
state/unreached.json   what the last `gc` found that no run reaches, and when: deleted once it is old
state/job-<id>.json    a job that a host is to run; beside it `asks-<id>.<run>`: what people asked of it
state/doubt-<digest>   somebody found this object missing or damaged: who has it sends it again
state/generation       a word that changes whenever something was deleted or is doubted; who remembers it need not list
                       what is there
tmp/                   files that are being written

Objects are named by content, so a push sends only what is missing, a broken transfer is simply done again, and writers
cannot disagree. What a run's files are is known at once; their bytes are fetched when somebody opens them.
"""

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import portalocker
from pydantic import ValidationError

from pipeline.engine import fingerprint, upkeep
from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror_known import DOUBT, FOLDERS, GENERATION, Known, listed, name_of, remembered
from pipeline.engine.records import Record
from pipeline.engine.store import Run, Store
from pipeline.engine.transport import PARALLEL, RESUMED_BYTES, MirrorError, Transport, transport


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


class LackingError(MirrorError):
    """The mirror has not what a run of its own names, or has it damaged."""


def _silent(_: int) -> None:
    return None


@dataclass(slots=True)
class Mirror:
    store: Store
    url: str
    ssh_config: Path | None = None
    transport: Transport = field(init=False)

    def __post_init__(self) -> None:
        self.transport = transport(self.url, self.ssh_config, self.store.identity())

    # Towards the mirror

    def push(self, runs: Sequence[Run], more: Iterable[Digest] = (), tell: Callable[[int], None] = _silent) -> Moved:
        """Send what these runs are made of and what the mirror lacks, then tell it of the runs. `more` are objects
        beside: sources, snapshots.

        A run is told of when all its objects are there. Raises MirrorError; what went over stays.
        """
        with ThreadPoolExecutor(1) as pool:
            generation = pool.submit(self._generation)  # While we connect, we look what there is to send.
            needed = {digest for run in runs for digest in self._made_of(run)} | set(more)
            paths = {digest: self.store.object_path(digest) for digest in needed}
            here = {digest: path.stat().st_size for digest, path in paths.items() if path.exists()}
            known = self._known(generation.result())
        sent: set[Digest] = set()
        told = 0
        while True:
            lacking = sorted(here.keys() - known.objects)
            untold = [run for run in runs if run.name not in known.runs]
            if not (lacking or untold):
                break
            self._memory().unlink(missing_ok=True)  # Whoever comes after a cut lists what has arrived.
            if lacking:
                self._send({digest: here[digest] for digest in lacking}, tell)
                self.transport.remove([DOUBT + digest for digest in known.doubted & set(lacking)])
                sent |= set(lacking)
                known.objects |= set(lacking)
                known.doubted -= set(lacking)
            else:
                told += self._tell_of(untold)
                known.runs |= {run.name for run in untold}
            if (now := self._generation()) != known.generation:  # Somebody deleted meanwhile: maybe what we counted on.
                known = listed(self.transport, self.store, now)
        self.store.replace(self._memory(), known.text().encode())
        return Moved(len(sent), sum(here[digest] for digest in sent), len(here) - len(sent), told)

    def _send(self, sizes: Mapping[Digest, int], tell: Callable[[int], None]) -> None:
        small = [digest for digest, size in sizes.items() if size < RESUMED_BYTES]
        large = [digest for digest, size in sizes.items() if size >= RESUMED_BYTES]
        self.transport.put({name_of(digest): self.store.object_path(digest) for digest in small}, tell)
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(partial(self._send_large, tell=tell), large))

    def _send_large(self, digest: Digest, tell: Callable[[int], None]) -> None:
        """One process of this store at a time: what lies aside of it is gone on with, and two would mix."""
        path, lock = self.store.object_path(digest), f"sending-{digest}"
        try:
            with self.store.lock(lock, wait=False):
                self.transport.put({name_of(digest): path}, tell)
        except portalocker.AlreadyLocked:
            with self.store.lock(lock):
                if self.transport.sizes([f"objects/{digest[:2]}"]).get(name_of(digest)) != path.stat().st_size:
                    self.transport.put({name_of(digest): path}, tell)

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
            self.transport.put(files, _silent)
        return len(runs)

    def _made_of(self, run: Run) -> set[Digest]:
        """Its output with all files, and what it read: records and sources, that others may build on them."""
        return {digest for digest in upkeep.reached(self.store, run) if self.store.knows(digest)}

    # From the mirror

    def runs(self) -> list[str]:
        """The names of the runs that the mirror has."""
        there = self.transport.sizes(["runs"])
        return sorted(name.removeprefix("runs/").removesuffix(".json") for name in there if name.endswith(".json"))

    def adopt(self, names: Sequence[str], *, heads: bool = True) -> list[Run]:
        """Take finished runs into the store, with their records; their files stay in the mirror until they are opened.

        With `heads`, the newest stands for its unit where none does yet. Raises MirrorError where the mirror lacks one.
        """
        names = [name for name in names if self.store.find_run(name) is None]
        manifests = self.manifests(names)
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
        wanted = set(digests)
        if all(self.store.object_path(digest).exists() for digest in wanted):
            return Moved()
        parts = self.store.root / "arriving"
        parts.mkdir(parents=True, exist_ok=True)
        with self.store.lock("arriving"):  # Somebody else may have brought some meanwhile.
            paths = {digest: parts / digest for digest in wanted if not self.store.object_path(digest).exists()}
            self._get(paths, tell)
            damaged = [digest for digest, path in paths.items() if fingerprint.of_file(path) != digest]
            for digest in damaged:  # What was there of it may be the fault: once more from the start.
                paths[digest].unlink()
            self._get({digest: paths[digest] for digest in damaged}, _silent)
            for digest in damaged:
                if fingerprint.of_file(paths[digest]) != digest:
                    paths[digest].unlink()
                    raise self._doubt([digest], "is damaged")
            size = sum(path.stat().st_size for path in paths.values())
            for path in paths.values():
                self.store.put_file(path, move=True)
        return Moved(len(paths), size)

    def _get(self, paths: Mapping[Digest, Path], tell: Callable[[int], None]) -> None:
        try:
            self.transport.get({name_of(digest): path for digest, path in paths.items()}, tell)
        except MirrorError:
            there = self.transport.sizes(sorted({f"objects/{digest[:2]}" for digest in paths}))
            if lacking := [digest for digest in paths if name_of(digest) not in there]:
                raise self._doubt(lacking, "is missing") from None
            parts = {path: there[name_of(digest)] for digest, path in paths.items() if path.exists()}
            wrong = [path for path, size in parts.items() if path.stat().st_size > size]
            if not wrong:
                raise
            for path in wrong:  # No part of what is there: nothing goes on from it.
                path.unlink()
            self.transport.get({name_of(digest): path for digest, path in paths.items()}, tell)

    def _doubt(self, digests: Sequence[Digest], what: str) -> LackingError:
        """Leave word, so that whoever has these objects does not trust that the mirror has them."""
        for digest in digests:
            self.write(DOUBT + digest, "")
        self.write(GENERATION, uuid.uuid4().hex)
        return LackingError(
            f"{name_of(digests[0])} {what} in the mirror {self.url}: send it again from where it was made (`dailies"
            " store push` there; a host does when its step is run again)"
        )

    def manifests(self, names: Sequence[str]) -> list[Manifest]:
        """What the mirror tells of these runs."""
        with self.store.scratch() as scratch:
            files = {f"runs/{name}.json": scratch / f"{name}.json" for name in names}
            if files:
                self.transport.get(files, _silent)
            try:
                return [Manifest.model_validate_json(path.read_bytes()) for path in files.values()]
            except ValidationError as error:
                raise MirrorError(f"a run in the mirror {self.url} was written by another version: {error}") from error

    # What is there, remembered

    def _generation(self) -> str:
        if found := self.read(GENERATION):
            return found
        self.transport.prepare(FOLDERS)
        self.write(GENERATION, first := uuid.uuid4().hex)
        return first

    def _known(self, generation: str) -> Known:
        """What the mirror has: as it was left, where nothing was deleted since, else as it lists it."""
        known = remembered(self._memory())
        if known is not None and known.generation == generation:
            return known
        return listed(self.transport, self.store, generation)

    def _memory(self) -> Path:
        return self.store.root / "mirrors" / self.id()

    def id(self) -> str:
        return fingerprint.of_value("mirror", self.url)[:16]

    def read(self, name: str) -> str:
        """A small text (`state/...`) that is there; "" where there is none."""
        with self.store.scratch() as scratch:
            return (self.transport.read(name, scratch / "word") or b"").decode()

    def write(self, name: str, text: str) -> None:
        """Put a small text there, whole or not at all, in place of what it was."""
        with self.store.scratch() as scratch:
            (scratch / "word").write_text(text)
            self.transport.put({name: scratch / "word"}, _silent)


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Brings a store's objects from its mirror; nothing is asked of the mirror before something is wanted."""

    store: Store
    url: str
    ssh_config: Path | None

    def __call__(self, digests: Sequence[Digest]) -> Moved:
        return Mirror(self.store, self.url, self.ssh_config).fetch(digests)
