"""A real Label Studio beside the show: started without questions, stopped with all it started."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import portalocker
import psutil

from pipeline import ports
from pipeline.review.errors import LabelStudioError
from pipeline.review.login import ADDRESS, DATABASE, Login, address, as_owner, environment, login_of, postgres

PID = "server.pid"
SETTING = "label_studio_port"

# The first start runs all of Label Studio's migrations: 27 s on two idle cores, and a laptop may be slow and busy.
START_SECONDS = 300.0
STOP_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running Label Studio."""

    url: str
    login: Login
    pid: int
    log: Path


@contextmanager
def running(
    executable: Path,
    data: Path,
    document_root: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    email: str = "reviewer@example.com",
    templates: Path | None = None,
    database: str | None = None,
) -> Iterator[Server]:
    """Label Studio for the length of a `with`.

    `data` holds its database, its log and its login (`login.json`, for this user's eyes only); a second start goes on
    with what is there. `document_root` is the folder whose sub-folders it may serve. `templates` is a cache folder for
    empty databases, one for each release, that save half a minute at each first start. `database` is the address of a
    PostgreSQL database to use instead of SQLite (`postgresql://user:password@host:port/name`; its user must own it).
    Raises ValueError where that is no such address, PortTakenError where another program has the port, LabelStudioError
    where Label Studio cannot run.
    """
    if not executable.exists():
        raise LabelStudioError(f"there is no Label Studio at {executable}: run `make setup`")
    for folder in (data, document_root):
        folder.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    in_postgres = postgres(database) if database else {}
    login = login_of(data, email)
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    with _alone(data, url, login):
        ports.check(host, port, SETTING)
        variables = environment(data, document_root, login) | in_postgres
        if templates and not in_postgres and not (data / DATABASE).exists():
            _start_from_template(executable, templates, data, variables)
        log = data / "label-studio.log"
        command = [executable, "start", "--no-browser", "--internal-host", host, "--port", str(port)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*map(str, command), "--log-level", "WARNING"],
                env=variables,
                cwd=data,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # Its own group: Ctrl-C reaches us alone, and we stop it when we are done with it.
                start_new_session=True,
            )
        (data / PID).write_text(str(process.pid))
        (data / ADDRESS).write_text(url)
        try:
            _wait(process, url, (host, port), login, data, log)
            yield Server(url, login, process.pid, log)
        finally:
            _stop(process)
            (data / PID).unlink(missing_ok=True)
            (data / ADDRESS).unlink(missing_ok=True)


def answers(url: str, login: Login) -> bool:
    """Whether a Label Studio that knows this login is there."""
    try:
        response = httpx.get(f"{url}/api/current-user/whoami", headers=as_owner(login), timeout=5, trust_env=False)
    except httpx.HTTPError:
        return False
    return response.status_code == httpx.codes.OK and response.json().get("email") == login.email


@contextmanager
def _alone(data: Path, url: str, login: Login) -> Iterator[None]:
    """Two servers on one SQLite file would lock each other out; the second is refused with the first one's place."""
    with (data / "server.lock").open("a") as stream:
        try:
            portalocker.lock(stream, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.AlreadyLocked:
            there = address(data) or url
            where = f" at {there}" if answers(there, login) else ""
            raise LabelStudioError(
                f"the Label Studio of {data} runs already{where}: use it, or stop it first"
            ) from None
        _check_orphan(data)
        yield


def _check_orphan(data: Path) -> None:
    """Where Dailies was killed, its Label Studio lives on, though nobody holds the lock."""
    path = data / PID
    if not path.exists():
        return
    try:
        orphan = psutil.Process(int(path.read_text()))
        ours = any("label-studio" in word for word in orphan.cmdline())
    except (psutil.NoSuchProcess, ValueError):
        return
    if ours:
        raise LabelStudioError(
            f"the Label Studio of {data} still runs, left by a killed program: `kill -- -{orphan.pid}` stops it"
        )


def _start_from_template(executable: Path, templates: Path, data: Path, variables: Mapping[str, str]) -> None:
    """Put a copy of an empty, migrated database in place; the first start adds user and secret."""
    template = templates / f"label-studio-{_release(executable)}.sqlite3"
    templates.mkdir(parents=True, exist_ok=True)
    with (templates / f"{template.name}.lock").open("a") as stream:
        portalocker.lock(stream, portalocker.LockFlags.EXCLUSIVE)
        if not template.exists():
            with tempfile.TemporaryDirectory(dir=templates) as aside:
                made = subprocess.run(
                    [executable, "version"],
                    env={**variables, "LABEL_STUDIO_BASE_DATA_DIR": aside},
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    timeout=START_SECONDS,
                    check=False,
                )
                if made.returncode:
                    raise LabelStudioError(f"Label Studio cannot make its database:\n{made.stderr.decode()[-2000:]}")
                Path(aside, DATABASE).replace(template)
    aside_copy = data / f"{DATABASE}.new"
    shutil.copyfile(template, aside_copy)
    aside_copy.replace(data / DATABASE)


def _release(executable: Path) -> str:
    """The installed release, from the name of its metadata folder: asking the program would cost ten seconds."""
    found = sorted(executable.resolve().parents[1].glob("lib/python*/site-packages/label_studio-*.dist-info"))
    if not found:
        raise LabelStudioError(f"{executable} stands in no virtual environment that has Label Studio: run `make setup`")
    return found[0].name.removeprefix("label_studio-").removesuffix(".dist-info")


def _wait(
    process: subprocess.Popen[bytes], url: str, place: tuple[str, int], login: Login, data: Path, log: Path
) -> None:
    """Until the server answers to the token: /health would also be fine with somebody else's server.

    Label Studio looks for its port seconds after it was started, and quietly takes the next one where somebody else has
    it by then; whoever that is answers us.
    """
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise LabelStudioError(f"Label Studio ended at its start (exit {process.returncode}):\n{_tail(log)}")
        time.sleep(0.2)
        if not ports.listens(process, *place, SETTING):
            continue
        try:
            response = httpx.get(f"{url}/api/current-user/whoami", headers=as_owner(login), timeout=5, trust_env=False)
        except httpx.HTTPError:
            continue
        if response.status_code == httpx.codes.OK:
            return
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise LabelStudioError(
                f"Label Studio refuses the token in {data / 'login.json'}: it was made with another one, or the token"
                " was reset in its web page (Account & Settings); put the valid one into that file"
            )
    raise LabelStudioError(f"Label Studio does not answer at {url} after {START_SECONDS:.0f} s:\n{_tail(log)}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: politely, then not."""
    for kind, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, kind)
        except ProcessLookupError:
            break
        try:
            process.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()


def _tail(log: Path, lines: int = 20) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
