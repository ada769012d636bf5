"""Work that outlives whoever asked for it: a command of `dailies` in a process of its own, followed by its events.

`<state>/jobs/<time>-<subject>-<random>/events.jsonl` tells what one did: `started` (by whom), `log` lines, `finished`
with the exit code. Whether it still runs is told by a lock that its process holds, so that one that was killed is
never shown as running. The subject is what there is one of at a time: a verb, or a verb and what it is asked for, so
that two runs of different steps go on beside each other while the same launch, pressed twice, is one.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any, Literal

import portalocker

from pipeline.engine.events import Events, Reader

State = Literal["running", "done", "failed", "stopped", "died"]

SHOWN = "step2-caption"
"""When this step is up to date, reviewers have all that they are shown."""

VERBS: dict[str, tuple[str, ...]] = {
    "push": ("push",),
    "pull": ("pull",),
    "run": ("run",),
    "prepare": ("run", SHOWN),
    "spot-check": ("run", SHOWN),
    "label-studio": ("up", "--no-panel"),
    "launch": ("run",),
    "host-watch": ("host", "watch"),
}
"""What may be started. Of each there is one at a time, but of launches: of those, one of each key."""

_PROJECT = Path(__file__).resolve().parents[1]
_PROCESS = "pipeline.runs_process"  # the module that a job's process is; it stands above this one
_SETTLE_TRIES, _SETTLE_SECONDS = 200, 0.05
_STOP_SECONDS = 80  # a training is given 60 to keep its state, Label Studio 15 to end

JOB, BY = "DAILIES_JOB", "DAILIES_BY"
"""What a command that runs as a job finds in its environment: the job's id, and who asked for it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One start of a verb. `lines` are its words, oldest first; `seconds` so far, or in all; `more` are the arguments
    that it was given besides its own, `about` what its starter told of them. `stopped_by` asked it to end, "" if nobody
    did; while it is "running" it is then keeping what it has.
    """

    id: str
    verb: str
    by: str
    state: State
    at: datetime
    seconds: float
    lines: tuple[str, ...]
    more: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    stopped_by: str = ""


def start(
    state: Path,
    show: Path,
    verb: str,
    *,
    by: str,
    more: Sequence[str] = (),
    key: str = "",
    about: Mapping[str, Any] = MappingProxyType({}),
) -> Job:
    """Start a verb for the show in folder `show`, unless one runs: then that is the answer. It outlives its caller.

    `more` are arguments for the command, after its own. Those of another `key` (letters and digits) run beside it.

    Raises ValueError for an unknown verb.
    """
    if verb not in VERBS:
        raise ValueError(f"there is no job {verb!r}; there are {', '.join(VERBS)}")
    assert key.isalnum() or not key
    subject = f"{verb}.{key}" if key else verb
    root = state / "jobs"
    root.mkdir(parents=True, exist_ok=True)
    with _lock_path(state, subject).open("a") as lock:
        # Who has the lock may have told that it is finished, or not yet that it has begun: a moment settles both.
        for _ in range(_SETTLE_TRIES):
            try:
                portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
                break
            except portalocker.AlreadyLocked:
                if (running := newest(state, subject)) and running.state == "running":
                    return running
                time.sleep(_SETTLE_SECONDS)
        else:
            raise ValueError(f"another {verb} is just ending: try again")
        stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S%f")
        folder = root / f"{stamp}-{subject}-{uuid.uuid4().hex[:6]}"
        folder.mkdir()
        Events(folder / "events.jsonl").emit("started", by=by, verb=verb, more=list(more), about=dict(about))
        command = [*VERBS[verb], *more]
        with (folder / "stderr").open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", _PROCESS, str(folder), str(lock.fileno()), *command, "--show", str(show)],
                cwd=_PROJECT,
                env={**os.environ, JOB: folder.name, BY: by},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                # The lock is the open file's, so it stands as long as the job has it, though it is closed here.
                pass_fds=(lock.fileno(),),
                # Ctrl-C in the panel's terminal, or its end, must not reach the job.
                start_new_session=True,
            )
        # Somebody must take note of its end as long as this process lives, or it stays on as a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
        return _read(state, folder)


def asked() -> dict[str, str]:
    """Who wanted what this process does: `by`, and the `job` it is a part of; from a terminal, the terminal's user."""
    if job := os.environ.get(JOB):
        return {"by": os.environ.get(BY, ""), "job": job}
    return {"by": os.environ.get("USER") or f"user {os.getuid()}"}


def stop(state: Path, job_id: str, *, by: str) -> None:
    """End a job and all that it started; a training keeps its state first. Raises ValueError where it does not run."""
    folder = state / "jobs" / job_id
    # Ids come from outside: only the name of a folder that is there is one.
    if job_id not in {path.name for path in _folders(state)} or _read(state, folder).state != "running":
        raise ValueError(f"{job_id} does not run")
    events = list(Reader(folder / "events.jsonl").poll())
    pids = [event["pid"] for event in events if event["event"] == "running"]
    if not pids:
        raise ValueError(f"{job_id} is just starting: try again")
    if any(event["event"] == "stopped" for event in events):
        return  # A second word would not let it keep what it has.
    Events(folder / "events.jsonl").emit("stopped", by=by)
    os.killpg(pids[0], signal.SIGTERM)


def latest(state: Path) -> dict[str, Job]:
    """The newest job of each verb that was ever started, launches aside."""
    found = {_subject(path): path for path in _folders(state)}
    return {subject: _read(state, path) for subject, path in found.items() if "." not in subject}


def newest(state: Path, subject: str) -> Job | None:
    """The newest job of a verb, or of a verb and key (`launch.0a1b`); None where there was none."""
    folders = [path for path in _folders(state) if _subject(path) == subject]
    return _read(state, folders[-1]) if folders else None


def find(state: Path, job_id: str) -> Job | None:
    """One job; None where there is none of this name."""
    folder = next((path for path in _folders(state) if path.name == job_id), None)
    return _read(state, folder) if folder else None


def running(state: Path) -> list[Job]:
    """All jobs that run now, the oldest first."""
    last = {_subject(path): path for path in _folders(state)}
    locked = [path for subject, path in last.items() if _is_locked(state, subject)]
    return [job for path in sorted(locked) if (job := _read(state, path)).state == "running"]


def history(state: Path, most: int = 50) -> Iterator[Job]:
    """Jobs, the newest first."""
    for path in reversed(_folders(state)[-most:]):
        yield _read(state, path)


def _folders(state: Path) -> list[Path]:
    """Oldest first: names begin with the time."""
    return sorted(path.parent for path in (state / "jobs").glob("*/events.jsonl"))


def _subject(folder: Path) -> str:
    return folder.name.split("-", 1)[1].rsplit("-", 1)[0]


def _lock_path(state: Path, subject: str) -> Path:
    return state / "jobs" / f"{subject}.lock"


def _is_locked(state: Path, subject: str) -> bool:
    with _lock_path(state, subject).open("a") as lock:
        try:
            portalocker.lock(lock, portalocker.LockFlags.SHARED | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.AlreadyLocked:
            return True
    return False


def _read(state: Path, folder: Path) -> Job:
    subject = _subject(folder)
    # The lock is asked first: a job that ends between the two questions has told so before it let go.
    locked = _is_locked(state, subject)
    newer = any(path.name > folder.name for path in (state / "jobs").glob(f"*-{subject}-??????"))
    events = list(Reader(folder / "events.jsonl").poll())
    by_kind = {event["event"]: event for event in events}
    begun, last = events[0], events[-1]
    code = by_kind["finished"]["code"] if "finished" in by_kind else None
    found: State
    if code is None and locked and not newer:
        found = "running"
    elif "stopped" in by_kind:
        found = "stopped"
    else:
        found = "died" if code is None else "failed" if code else "done"
    lines = [event["message"] for event in events if event["event"] == "log"]
    if found == "died" and (folder / "stderr").exists():
        lines += (folder / "stderr").read_text(errors="replace").splitlines()[-5:]
    at = datetime.fromtimestamp(begun["t"]).astimezone()
    end = datetime.now().timestamp() if found == "running" else last["t"]  # noqa: DTZ005 (only the difference counts)
    return Job(
        id=folder.name,
        verb=subject.partition(".")[0],
        by=begun["by"],
        state=found,
        at=at,
        seconds=end - begun["t"],
        lines=tuple(lines),
        more=tuple(begun.get("more", ())),
        about=begun.get("about", {}),
        stopped_by=by_kind["stopped"]["by"] if "stopped" in by_kind else "",
    )


def work(folder: Path, lock: int, arguments: list[str]) -> int:
    """Run `dailies` with these arguments and tell what it says, line by line."""
    events = Events(folder / "events.jsonl")

    def told_to_stop(*_: object) -> None:
        # The whole group got the signal. What does not end by it is ended.
        signal.alarm(_STOP_SECONDS)

    def out_of_patience(_: int, __: FrameType | None) -> None:
        events.emit("finished", code=-signal.SIGKILL)
        os.killpg(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGTERM, told_to_stop)
    signal.signal(signal.SIGALRM, out_of_patience)
    events.emit("running", pid=os.getpid())
    command = [sys.executable, "-u", "-m", "pipeline", *arguments]
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        pass_fds=(lock,),
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            events.emit("log", message=line.rstrip())
    signal.alarm(0)
    events.emit("finished", code=process.returncode)
    os.close(lock)  # What this process still does is no reason for the next to wait.
    return process.returncode
