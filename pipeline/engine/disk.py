"""Work on a store's disk that a crash cannot spoil: whole small files or none, locks that die with their holder, and
scratch folders that are swept once their process is gone.
"""

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import portalocker

_FICLONE = 0x40049409  # linux/fs.h


class Disk:
    """A folder: `locks/` and `tmp/` below it are for work in hand."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def publish(self, target: Path, content: bytes) -> None:
        """Write a whole small file or none; the first content wins."""
        if not target.exists():
            with self.aside(target) as temporary:
                temporary.write_bytes(content)

    def replace(self, target: Path, content: bytes) -> None:
        """Write a small file that may change (a head, a failure): readers see the old content or the new."""
        with self.aside(target, overwrite=True) as temporary:
            temporary.write_bytes(content)

    @contextmanager
    def lock(self, name: str, *, wait: bool = True, shared: bool = False) -> Iterator[None]:
        """Hold `name` among all processes, alone or with others that share it; a dead holder's lock is free.

        Raises portalocker.AlreadyLocked where somebody has it and `wait` is false.
        """
        path = self.root / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
        if not wait:
            flags |= portalocker.LockFlags.NON_BLOCKING
        with path.open("a") as stream:
            portalocker.lock(stream, flags)
            yield

    def is_locked(self, name: str) -> bool:
        if not (self.root / "locks" / f"{name}.lock").exists():
            return False
        try:
            with self.lock(name, wait=False):
                return False
        except portalocker.AlreadyLocked:
            return True

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder on the store's own disk for the length of a `with`; `sweep` removes what a crash left."""
        name = uuid.uuid4().hex
        path = self.root / "tmp" / name
        with self.lock(f"tmp-{name}"):
            path.mkdir(parents=True)
            try:
                yield path
            finally:
                _remove(path)
                (self.root / "locks" / f"tmp-{name}.lock").unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove scratch folders whose process is gone; the number of folders."""
        gone = 0
        for path in (self.root / "tmp").glob("*"):
            if not self.is_locked(f"tmp-{path.name}"):
                _remove(path)
                (self.root / "locks" / f"tmp-{path.name}.lock").unlink(missing_ok=True)
                gone += 1
        return gone

    @contextmanager
    def aside(self, target: Path, *, overwrite: bool = False) -> Iterator[Path]:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.scratch() as scratch:
            temporary = scratch / target.name[:100]
            yield temporary
            if overwrite or not target.exists():
                temporary.replace(target)


def link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        copy(source, target)


def copy(source: Path, target: Path) -> None:
    """Copy bytes, sharing the blocks where the file system can (btrfs, XFS)."""
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
        except OSError:  # Another file system, or one that cannot share.
            shutil.copyfileobj(reader, writer, 1 << 20)


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
