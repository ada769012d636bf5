"""How files get to a mirror and back: OpenSSH's own sftp for `sftp://`, fsspec for every other address.

Names are paths below the mirror's root. A file appears under its name whole or not at all: it is written aside and
renamed. OpenSSH's program is taken for `sftp://` because it knows people's keys, agents, jump hosts and known hosts,
and because it keeps up with rsync, which SFTP in Python does not.
"""

import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

ASIDE = "tmp"
"""The mirror's folder of files that are being written."""

PARALLEL = 4
_CHUNK_FILES, _CHUNK_BYTES = 256, 256 << 20
_SMALL_BYTES = 32 << 20
"""Less than this, sent, is not worth a second connection."""

_RESUMED_BYTES = 32 << 20
"""Files from this size on go on where a transfer was cut; smaller ones begin anew."""

Tell = Callable[[int], None]
"""Told of bytes that have arrived."""


class MirrorError(ValueError):
    """The mirror cannot be reached, or does not take or give a file; its message says what to do."""


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
            self.system.get_file(f"{self.root}/{item[0]}", str(item[1]))
            tell(item[1].stat().st_size)

        self._all(one, files.items())

    def read(self, name: str, aside: Path) -> bytes | None:
        del aside
        try:
            return bytes(self.system.cat_file(f"{self.root}/{name}"))
        except FileNotFoundError:
            return None

    def remove(self, names: Iterable[str]) -> None:
        for name in names:
            if self.system.exists(f"{self.root}/{name}"):
                self.system.rm_file(f"{self.root}/{name}")

    def prepare(self, folders: Sequence[str]) -> None:
        for folder in folders:
            self._all(lambda name: self.system.makedirs(f"{self.root}/{name}", exist_ok=True), [folder])

    def _all(self, do: Callable[[Any], None], items: Iterable[Any]) -> None:
        try:
            with ThreadPoolExecutor(PARALLEL) as pool:
                list(pool.map(do, items))
        except FileNotFoundError as error:
            raise MirrorError(f"the mirror {self.url} lacks {error.filename or error}") from error
        except OSError as error:
            raise MirrorError(f"the mirror {self.url} does not work: {error}") from error


_REASONS = (
    (r"Permission denied \(", "it does not let us in: add this machine's public key there (ssh-copy-id)"),
    (r"Host key verification failed", "its host key is not the known one: check it, then `ssh-keygen -R HOST`"),
    (r"Connection refused", "nothing listens there: is the server up, and the port right?"),
    (r"Could not resolve", "no such host: check the address"),
    (r"timed out|Operation timed out", "it does not answer: is the server up, and reachable from here?"),
    (r'(write|upload|dest open).*: Failure|write remote .*"', "it does not take more bytes: its disk may be full"),
    (r"remote .*Permission denied|Couldn't .*Permission denied", "we may not write there: choose a folder of ours"),
)


@dataclass(frozen=True, slots=True)
class OpenSsh:
    """A folder on a host, by OpenSSH's sftp in batch mode; nothing need run there but sshd."""

    host: str
    root: str
    options: tuple[str, ...]
    writer: str
    url: str

    @classmethod
    def at(cls, url: str, ssh_config: Path | None, writer: str) -> "OpenSsh":
        parts = urlsplit(url)
        root = unquote(parts.path).removeprefix("/~/") if parts.path.startswith("/~/") else unquote(parts.path)
        if not parts.hostname or not root.strip("/"):
            raise MirrorError(f"{url} is no address of a folder: write sftp://user@host/folder, or .../~/folder")
        if parts.password:
            raise MirrorError("a password has no place in the mirror's address: use a key (ssh-copy-id)")
        options = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=15"]
        # Where both ends have it, the cipher that processors do in hardware: twice as fast as OpenSSH's first choice.
        options += ["-o", "Ciphers=^aes128-gcm@openssh.com"]
        options += ["-F", str(ssh_config)] if ssh_config else []
        options += ["-P", str(parts.port)] if parts.port else []
        user = f"{unquote(parts.username)}@" if parts.username else ""
        return cls(f"{user}{parts.hostname}", root.rstrip("/"), tuple(options), writer, url)

    def sizes(self, folders: Sequence[str]) -> dict[str, int]:
        if not folders:
            return {}
        said = self._run([f"-ls -ln {self._quoted(folder)}" for folder in folders])
        found: dict[str, int] = {}
        for line in said.splitlines():
            # mode, links, owner, group, bytes, month, day, time, path; names here hold no blanks.
            fields = line.split(None, 8)
            if len(fields) == 9 and fields[0].startswith("-"):
                found[fields[8].removeprefix(f"{self.root}/")] = int(fields[4])
        return found

    def put(self, files: Mapping[str, Path], tell: Tell) -> None:
        large = any(path.stat().st_size >= _RESUMED_BYTES for path in files.values())
        begun = self.sizes([ASIDE]) if large else {}

        def lines(name: str, path: Path) -> list[str]:
            size = path.stat().st_size
            aside = f"{ASIDE}/{name.replace('/', '-')}-{self.writer}"
            there = begun.get(aside, 0) if size >= _RESUMED_BYTES else 0
            verb = (
                []
                if there == size
                else [f"{'reput' if 0 < there < size else 'put'} {_local(path)} {self._quoted(aside)}"]
            )
            return [*verb, f"rename {self._quoted(aside)} {self._quoted(name)}"]

        self._all(files, lines, tell)

    def get(self, files: Mapping[str, Path], tell: Tell) -> None:
        def lines(name: str, path: Path) -> list[str]:
            verb = "reget" if path.exists() and path.stat().st_size >= _RESUMED_BYTES else "get"
            return [f"{verb} {self._quoted(name)} {_local(path)}"]

        self._all(files, lines, tell)

    def read(self, name: str, aside: Path) -> bytes | None:
        self._run([f"-get {self._quoted(name)} {_local(aside)}"])
        return aside.read_bytes() if aside.exists() else None

    def remove(self, names: Iterable[str]) -> None:
        if lines := [f"-rm {self._quoted(name)}" for name in names]:
            self._run(lines)

    def prepare(self, folders: Sequence[str]) -> None:
        parts = self.root.split("/")
        above = ["/".join(parts[: count + 1]) for count in range(len(parts)) if parts[count]]
        made = [f"-mkdir {_quote(each)}" for each in above]
        self._run([*made, *(f"-mkdir {self._quoted(folder)}" for folder in folders)])

    def _all(self, files: Mapping[str, Path], lines: Callable[[str, Path], list[str]], tell: Tell) -> None:
        def go(chunk: Sequence[tuple[str, Path]]) -> None:
            self._run([line for name, path in chunk for line in lines(name, path)], alone=len(chunks) > 1)
            tell(sum(path.stat().st_size for _, path in chunk))

        chunks = _chunked(files)
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(go, chunks))

    def _quoted(self, name: str) -> str:
        return _quote(f"{self.root}/{name}")

    def _run(self, lines: Sequence[str], *, alone: bool = False) -> str:
        """One session. Sessions share a connection, which saves the handshakes; `alone` ones have a connection, and a
        processor for its cipher, to themselves.
        """
        command = ["sftp", *self.options, *(() if alone else _shared()), "-b", "-", self.host]
        try:
            done = subprocess.run(
                command, input="\n".join([*lines, ""]), capture_output=True, text=True, errors="replace", check=False
            )
        except FileNotFoundError:
            raise MirrorError("the mirror needs OpenSSH's `sftp` on this machine: install openssh-client") from None
        if done.returncode:
            noise = ("Warning:", "Connected to", "Connection closed")
            said = [each for each in done.stderr.splitlines() if each.strip() and not each.startswith(noise)]
            text = "\n".join(said)
            remedy = next((words for pattern, words in _REASONS if re.search(pattern, text)), "")
            detail = said[-1] if said else f"sftp ended with {done.returncode}"
            raise MirrorError(f"the mirror {self.url} does not work: {remedy or detail}{f' ({detail})' * bool(remedy)}")
        return done.stdout


def _shared() -> list[str]:
    """Options by which sessions share a connection that ends by itself soon after the last."""
    folder = Path(tempfile.gettempdir()) / f"dailies-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # Somebody else's: do without.
        return []
    return ["-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/%C", "-o", "ControlPersist=20"]


def _chunked(files: Mapping[str, Path]) -> list[list[tuple[str, Path]]]:
    """Parts that go at once, the large files first: so many or so long that starting `sftp` costs next to nothing."""
    chunks: list[list[tuple[str, Path]]] = []
    # How long files are that are yet to come is not known; more than a handful are worth several connections.
    is_small = sum(map(_size, files.values())) < _SMALL_BYTES and (len(files) <= 8 or all(map(_size, files.values())))
    size, most = 0, _CHUNK_FILES if is_small else min(_CHUNK_FILES, -(-len(files) // PARALLEL))
    for name, path in sorted(files.items(), key=lambda item: -_size(item[1])):
        if not chunks or len(chunks[-1]) >= most or size + _size(path) > _CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append((name, path))
        size += _size(path)
    return chunks


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _local(path: Path) -> str:
    return _quote(os.fspath(path))
