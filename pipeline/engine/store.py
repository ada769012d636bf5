"""The artifact store: immutable objects by digest, and one directory for each finished run.

objects/ab/cdef...                               bytes, named by their own digest; never rewritten
runs/<hash>-<show>[-<episode>]-<step>-<version>/  run.json, output.json and files/, hard links into objects
heads/<step>/<unit>                              the name of the run that stands for this unit now
failures/<step>/<unit>.json                      the last failure, until the same unit succeeds
memo/<step>/ab/cdef....json                      results item by item, so that a killed run resumes
elsewhere/ab/cdef...                             bytes (a number) of an object that only a mirror holds
locks/, tmp/                                     work in hand; swept when its process is gone
"""

import errno
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from pipeline.engine import disk, fingerprint
from pipeline.engine.disk import Disk
from pipeline.engine.fingerprint import Digest
from pipeline.engine.records import File, Record, files_of

R = TypeVar("R", bound=Record)


class Run(Record):
    """What one finished run read (`recipe`) and made (`output`); `name` is its directory.

    `adopted` says from which run it was re-keyed, by whom and why, where somebody said that a change of code
    does not alter results. `memo` names the memo entries it used.
    """

    name: str
    step: str
    unit: str
    key: Digest
    recipe: dict[str, Any]
    output: Digest
    seconds: float
    finished: float
    memo: tuple[Digest, ...] = ()
    adopted: dict[str, str] | None = None


class Store(Disk):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.fetch: Callable[[Sequence[Digest]], object] | None = None
        """What brings objects from a mirror, where there is one."""

    def identity(self) -> str:
        """A name of this store that no other has, also not that of another show of the same name."""
        path = self.root / "mirrors" / "writer"
        self.publish(path, uuid.uuid4().hex[:12].encode())
        return path.read_text()

    # Objects

    def put_file(self, source: Path, name: str | None = None, *, move: bool = False) -> File:
        """Take `source` in under its digest; a second copy of the same bytes costs nothing.

        `move` takes the file itself away where that is possible, instead of a copy.
        """
        digest = fingerprint.of_file(source)
        size = source.stat().st_size
        target = self.object_path(digest)
        if not target.exists():
            with self.aside(target) as temporary:
                if move:
                    shutil.move(source, temporary)
                else:
                    disk.copy(source, temporary)
                temporary.chmod(0o444)
        elif move:
            source.unlink()
        return File(digest=digest, name=name or source.name, size_bytes=size)

    def has(self, file: File) -> bool:
        return self.knows(file.digest)

    def knows(self, digest: Digest) -> bool:
        """Whether an object is here, or a mirror holds it."""
        return self.object_path(digest).exists() or self._elsewhere(digest).exists()

    def size(self, digest: Digest) -> int:
        """The bytes of an object, also of one that only a mirror holds."""
        path = self.object_path(digest)
        return path.stat().st_size if path.exists() else int(self._elsewhere(digest).read_text())

    def await_objects(self, sizes: Mapping[Digest, int]) -> None:
        """Note that a mirror holds these objects (with their bytes): they are fetched when they are opened."""
        for digest, size in sizes.items():
            if not self.object_path(digest).exists():
                self.publish(self._elsewhere(digest), str(size).encode())

    def _elsewhere(self, digest: Digest) -> Path:
        return self.root / "elsewhere" / digest[:2] / digest[2:]

    def path_of(self, file: File) -> Path:
        """Where the bytes of `file` lie, to read only; fetched from the mirror, where only that holds them.

        Raises KeyError if the store lacks them.
        """
        path = self.object_path(file.digest)
        if not path.exists() and self._elsewhere(file.digest).exists():
            if self.fetch is None:
                raise KeyError(f"{file.name} lies in the mirror: `dailies store pull` brings it")
            self.fetch([file.digest])
            self._elsewhere(file.digest).unlink(missing_ok=True)
        if not path.exists():
            raise KeyError(
                f"{file.name} ({file.digest[:12]}) is not in {self.root}: run `dailies store verify --repair`"
            )
        return path

    def put(self, record: Record) -> Digest:
        """Keep a record under the digest of its content."""
        content = record.model_dump_json().encode()
        digest = fingerprint.of_bytes(content)
        self.publish(self.object_path(digest), content)
        return digest

    def get(self, digest: Digest, kind: type[R]) -> R:
        return kind.model_validate_json(self.object_path(digest).read_bytes())

    def object_path(self, digest: Digest) -> Path:
        return self.root / "objects" / digest[:2] / digest[2:]

    # Runs

    def run_path(self, name: str) -> Path:
        return self.root / "runs" / name

    def find_run(self, name: str) -> Run | None:
        """The finished run of this name; None also where its output went missing, so that it is made again."""
        try:
            run = Run.model_validate_json((self.run_path(name) / "run.json").read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValidationError):
            return None
        return run if self.object_path(run.output).exists() else None

    def save_run(self, run: Run, output: Record) -> Run:
        """Publish a finished run as a directory, whole or not at all, and make it the unit's head.

        The first result of a key wins: a second one is thrown away and the first returned.
        """
        assert self.put(output) == run.output
        return self.set_head(self._publish(run, files_of(output)))

    def take_run(self, run: Run, files: Iterable[File], *, head: bool) -> Run:
        """As `save_run`, of a run that was made elsewhere: its output is here, some of its files may not be."""
        taken = self._publish(run, files)
        return self.set_head(taken) if head else taken

    def link_files(self, run: Run, files: Iterable[File]) -> None:
        """Put those of a run's files into its directory that were elsewhere when it was taken, and are here now."""
        self._link_files(run, files, self.run_path(run.name) / "files")

    def _link_files(self, run: Run, files: Iterable[File], folder: Path) -> None:
        for file in files:
            if self._elsewhere(file.digest).exists() and not self.object_path(file.digest).exists():
                continue
            link, path = folder / file.name, self.path_of(file)
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                disk.link(path, link)
            elif not link.samefile(path) and fingerprint.of_file(link) != file.digest:
                raise ValueError(f"{run.step} made two different files called {file.name}")

    def _publish(self, run: Run, files: Iterable[File]) -> Run:
        target = self.run_path(run.name)
        with self.scratch() as aside:
            directory = aside / run.name
            (directory / "files").mkdir(parents=True)
            self._link_files(run, files, directory / "files")
            disk.link(self.object_path(run.output), directory / "output.json")
            (directory / "run.json").write_text(run.model_dump_json(indent=1))
            target.parent.mkdir(parents=True, exist_ok=True)
            standing = self.find_run(run.name)
            if standing is None:
                if target.exists():  # Its output is lost or its record unreadable: it makes room.
                    target.rename(aside / "broken")
                with _first_wins():
                    directory.rename(target)
            else:
                run = standing
        return run

    def set_head(self, run: Run) -> Run:
        """Say which run stands for its unit now, and that the unit does not fail any more."""
        path = self.root / "heads" / run.step / run.unit
        if not path.exists() or path.read_text() != run.name:
            self.replace(path, run.name.encode())
        self.failure_path(run.step, run.unit).unlink(missing_ok=True)
        return run

    def head(self, step: str, unit: str) -> Run | None:
        """The run that stood for this unit last, fresh or not."""
        try:
            return self.find_run((self.root / "heads" / step / unit).read_text())
        except FileNotFoundError:
            return None

    def failure_path(self, step: str, unit: str) -> Path:
        return self.root / "failures" / step / f"{unit}.json"


@contextmanager
def _first_wins() -> Iterator[None]:
    """A rename onto a directory that another process published meanwhile is no error: the first one wins."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
