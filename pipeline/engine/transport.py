"""How files get to a mirror and back: what every way must do, and fsspec's way, for every address but `sftp://`.

Names are paths below the mirror's root. A file appears under its name whole or not at all: it is written aside and
renamed.
"""

import errno
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

ASIDE = "tmp"
"""The mirror's folder of files that are being written."""

PARALLEL = 4
RESUMED_BYTES = 64 << 20
"""Files from this size on go on where a transfer was cut; smaller ones begin anew."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says of a disk that takes no more bytes."""

MAY_BE_FULL = "it does not take more bytes: its disk may be full"

Tell = Callable[[int], None]
"""Told of bytes that have arrived."""


class MirrorError(ValueError):
    """The mirror cannot be reached, or does not take or give a file; its message says what to do."""


class LostConnectionError(MirrorError):
    """The connection was there and is cut."""


class Transport(Protocol):
    def sizes(self, folders: Sequence[str]) -> dict[str, int]:
        """The files directly in these folders, by name, with their bytes; a folder that is not there has none."""

    def put(self, files: Mapping[str, Path], tell: Tell) -> None:
        """Send files to their names; one that is there is replaced."""

    def get(self, files: Mapping[str, Path], tell: Tell) -> None:
        """Fetch files by name to local paths; a path that holds the beginning of its file may be gone on with."""

    def read(self, name: str, aside: Path) -> bytes | None:
        """What a small file holds, by way of the local path `aside`; None where it is not there."""

    def remove(self, names: Iterable[str]) -> None:
        """Delete files; one that is not there is no matter."""

    def prepare(self, folders: Sequence[str]) -> None:
        """Make folders that are not there."""


def transport(url: str, ssh_config: Path | None = None, writer: str = "") -> Transport:
    """What serves a mirror's address. `writer` names the store that writes, so that two never share a file aside.

    Raises MirrorError for an address that nothing serves.
    """
    if url.startswith("sftp://"):
        from pipeline.engine.openssh import OpenSsh

        return OpenSsh.at(url, ssh_config, writer)
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]

        system, root = url_to_fs(url)
    except (ValueError, ImportError) as error:
        raise MirrorError(f"the mirror {url} cannot be used: {error}") from error
    return Filesystem(system, root.rstrip("/"), url)


@dataclass(frozen=True, slots=True)
class Filesystem:
    """Anything that fsspec speaks: a shared folder, S3 (with s3fs installed), and so on."""

    system: Any
    root: str
    url: str

    def sizes(self, folders: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        with self._told():
            for folder in folders:
                try:
                    entries = self.system.ls(f"{self.root}/{folder}", detail=True, refresh=True)
                except FileNotFoundError:
                    continue
                files = (each for each in entries if each["type"] == "file")
                found |= {f"{folder}/{each['name'].rpartition('/')[2]}": int(each["size"]) for each in files}
        return found

    def put(self, files: Mapping[str, Path], tell: Tell) -> None:
        def one(item: tuple[str, Path]) -> None:
            name, path = item
            aside = f"{self.root}/{ASIDE}/{uuid.uuid4().hex}"
            # An object store shows a file when it is whole; elsewhere it is written aside.
            is_whole = self.system.protocol in ("s3", ("s3", "s3a"), "gs", ("gs", "gcs"))
            self.system.put_file(str(path), f"{self.root}/{name}" if is_whole else aside)
            if not is_whole:
                self.system.mv(aside, f"{self.root}/{name}")
            tell(path.stat().st_size)

        self._all(one, files.items())

    def get(self, files: Mapping[str, Path], tell: Tell) -> None:
        def one(item: tuple[str, Path]) -> None:
            name, path = f"{self.root}/{item[0]}", item[1]
            done = path.stat().st_size if path.exists() else 0
            if RESUMED_BYTES <= done <= self.system.size(name):
                with self.system.open(name, "rb") as source, path.open("ab") as target:
                    source.seek(done)
                    shutil.copyfileobj(source, target, 1 << 20)
            else:
                self.system.get_file(name, str(path))
            tell(path.stat().st_size)

        self._all(one, files.items(), arriving=True)

    def read(self, name: str, aside: Path) -> bytes | None:
        del aside
        with self._told():
            try:
                return bytes(self.system.cat_file(f"{self.root}/{name}"))
            except FileNotFoundError:
                return None

    def remove(self, names: Iterable[str]) -> None:
        with self._told():
            for name in names:
                if self.system.exists(f"{self.root}/{name}"):
                    self.system.rm_file(f"{self.root}/{name}")

    def prepare(self, folders: Sequence[str]) -> None:
        for folder in folders:
            self._all(lambda name: self.system.makedirs(f"{self.root}/{name}", exist_ok=True), [folder])

    def _all(self, do: Callable[[Any], None], items: Iterable[Any], *, arriving: bool = False) -> None:
        with self._told(arriving=arriving), ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(do, items))

    @contextmanager
    def _told(self, *, arriving: bool = False) -> Iterator[None]:
        """What goes wrong, in words. A disk that is full is the mirror's, or this machine's, where files arrive."""
        try:
            yield
        except FileNotFoundError as error:
            raise MirrorError(f"the mirror {self.url} lacks {error.filename or error}") from error
        except OSError as error:
            is_full = error.errno in FULL
            if is_full and arriving:
                raise
            remedy = f"{MAY_BE_FULL} ({error})" if is_full else str(error)
            raise MirrorError(f"the mirror {self.url} does not work: {remedy}") from error
