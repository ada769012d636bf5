"""A mirror at `sftp://`, by OpenSSH's own program: it knows people's keys, agents, jump hosts and known hosts, and it
keeps up with rsync, which SFTP in Python does not.
"""

import errno
import os
import re
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from pipeline.engine.transport import (
    ASIDE,
    MAY_BE_FULL,
    PARALLEL,
    RESUMED_BYTES,
    LostConnectionError,
    MirrorError,
    Tell,
)

T = TypeVar("T")

_CHUNK_FILES, _CHUNK_BYTES = 256, 256 << 20
_SMALL_BYTES = 32 << 20
"""Less than this, sent, is not worth a second connection."""

_REASONS = (
    (r"Permission denied \(", "it does not let us in: add this machine's public key there (ssh-copy-id)"),
    (r"Host key verification failed", "its host key is not the known one: check it, then `ssh-keygen -R HOST`"),
    (r"Connection refused", "nothing listens there: is the server up, and the port right?"),
    (r"Could not resolve", "no such host: check the address"),
    (r"timed out|Operation timed out", "it does not answer: is the server up, and reachable from here?"),
    (r'(write|upload|dest open).*: Failure|write remote .*"', MAY_BE_FULL),
    (r"remote .*Permission denied|Couldn't .*Permission denied", "we may not write there: choose a folder of ours"),
)
_CUT = "the connection was cut: run again, and it goes on from there"
_PAUSES = (1, 5, 15)
"""Seconds; so often a cut connection is tried again before people are told."""


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
        def lines(name: str, path: Path) -> list[str]:
            aside = f"{ASIDE}/{name.replace('/', '-')}-{self.writer}"
            if (size := path.stat().st_size) < RESUMED_BYTES:
                aside, is_whole = f"{aside}-{uuid.uuid4().hex[:8]}", False
            else:
                is_whole = self._resume(path, size, aside)
            verb = [] if is_whole else [f"put {_local(path)} {self._quoted(aside)}"]
            return [*verb, f"rename {self._quoted(aside)} {self._quoted(name)}"]

        self._all(files, lines, tell)

    def _resume(self, path: Path, size: int, aside: str) -> bool:
        """Go on with what lies aside; whether that is as long as the file now. If not, another session still wrote."""
        there = self.sizes([ASIDE]).get(aside, 0)
        if 0 < there < size:
            self._run([f"reput {_local(path)} {self._quoted(aside)}"], alone=True)
            there = self.sizes([ASIDE]).get(aside, 0)
        return there == size

    def get(self, files: Mapping[str, Path], tell: Tell) -> None:
        def lines(name: str, path: Path) -> list[str]:
            verb = "reget" if path.exists() and path.stat().st_size >= RESUMED_BYTES else "get"
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
            # The lines are others once more of a file is there.
            _patiently(lambda: self._once([each for one in chunk for each in lines(*one)], alone=is_much))
            tell(sum(path.stat().st_size for _, path in chunk))

        chunks = _chunked(files)
        is_much = len(chunks) > 1 or sum(map(_size, files.values())) >= _SMALL_BYTES
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(go, chunks))

    def _quoted(self, name: str) -> str:
        return _quote(f"{self.root}/{name}")

    def _run(self, lines: Sequence[str], *, alone: bool = False) -> str:
        return _patiently(lambda: self._once(lines, alone=alone))

    def _once(self, lines: Sequence[str], *, alone: bool) -> str:
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
            if "write local" in text and os.strerror(errno.ENOSPC) in text:
                raise OSError(errno.ENOSPC, said[-1])
            remedy = next((words for pattern, words in _REASONS if re.search(pattern, text)), "")
            detail = said[-1] if said else f"sftp ended with {done.returncode}"
            # sftp itself ends with 1 for what the other side refuses.
            is_cut = not remedy and done.returncode != 1
            remedy = remedy or (_CUT if is_cut else "")
            kind = LostConnectionError if is_cut else MirrorError
            raise kind(f"the mirror {self.url} does not work: {remedy or detail}{f' ({detail})' * bool(remedy)}")
        return done.stdout


def _patiently(do: Callable[[], T]) -> T:
    for pause in _PAUSES:
        try:
            return do()
        except LostConnectionError:
            time.sleep(pause)
    return do()


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
