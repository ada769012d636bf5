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
_HANDFUL = 8
"""So many files go one after the other; more are worth several sessions."""
_SMALL_BYTES = 128 << 20
"""Less than this is not worth connections of its own: over loopback, shaking hands takes as long as some 50 MB do."""

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
        said = self._run_many([f"-ls -ln {self._quoted(folder)}" for folder in folders])
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
        self._run_many([f"-rm {self._quoted(name)}" for name in names])

    def prepare(self, folders: Sequence[str]) -> None:
        parts = self.root.split("/")
        above = ["/".join(parts[: count + 1]) for count in range(len(parts)) if parts[count]]
        made = [f"-mkdir {_quote(each)}" for each in above]
        outer = {each for folder in folders for each in [folder, folder.rpartition("/")[0]] if "/" not in each}
        self._run([*made, *(f"-mkdir {self._quoted(folder)}" for folder in sorted(outer))])
        self._run_many([f"-mkdir {self._quoted(folder)}" for folder in folders if folder not in outer])

    def _all(self, files: Mapping[str, Path], lines: Callable[[str, Path], list[str]], tell: Tell) -> None:
        is_much, chunks = _chunked(files)

        def go(chunk: Sequence[tuple[str, Path]]) -> None:
            # The lines are others once more of a file is there.
            _patiently(lambda: self._once([each for one in chunk for each in lines(*one)], alone=is_much))
            tell(sum(path.stat().st_size for _, path in chunk))

        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(go, chunks))

    def _quoted(self, name: str) -> str:
        return _quote(f"{self.root}/{name}")

    def _run(self, lines: Sequence[str], *, alone: bool = False) -> str:
        return _patiently(lambda: self._once(lines, alone=alone))

    def _run_many(self, lines: Sequence[str]) -> str:
        """Lines that do not need one another, over several sessions where they are many: each waits for its answer."""
        sessions = min(PARALLEL, -(-len(lines) // _HANDFUL))
        with ThreadPoolExecutor(PARALLEL) as pool:
            return "".join(pool.map(self._run, [lines[number::sessions] for number in range(sessions)]))

    def _once(self, lines: Sequence[str], *, alone: bool) -> str:
        """One session. Sessions share a connection, which saves the handshakes; `alone` ones have a connection, and a
        processor for its cipher, to themselves.
        """
        command = ["sftp", *self.options, *(() if alone else shared()), "-b", "-", self.host]
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


def shared() -> list[str]:
    """Options by which sessions share a connection that ends by itself soon after the last."""
    folder = Path(tempfile.gettempdir()) / f"dailies-ssh-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():  # Somebody else's: do without.
        return []
    return ["-o", "ControlMaster=auto", "-o", f"ControlPath={folder}/%C", "-o", "ControlPersist=20"]


def _chunked(files: Mapping[str, Path]) -> tuple[bool, list[list[tuple[str, Path]]]]:
    """Parts that go at once, the large files first, and whether they are worth connections of their own."""
    sizes = {name: _size(path) for name, path in files.items()}
    ordered = sorted(files.items(), key=lambda item: -sizes[item[0]])
    # How long files are that are yet to come is not known; more than a handful may be much.
    is_much = sum(sizes.values()) >= _SMALL_BYTES or (len(files) > _HANDFUL and not all(sizes.values()))
    if not is_much:
        sessions = min(PARALLEL, -(-len(files) // _HANDFUL))
        return False, [ordered[number::sessions] for number in range(sessions)]
    chunks: list[list[tuple[str, Path]]] = []
    size, most = 0, min(_CHUNK_FILES, -(-len(files) // PARALLEL))
    for name, path in ordered:
        if not chunks or len(chunks[-1]) >= most or size + sizes[name] > _CHUNK_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append((name, path))
        size += sizes[name]
    return True, chunks


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _quote(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _local(path: Path) -> str:
    return _quote(os.fspath(path))
