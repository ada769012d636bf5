"""A rented host that nobody uses costs money: it is watched, and stopped once after so many idle minutes.

The watch is a process of its own. `dailies run` starts it where a host has a `stop_command`, so that a host is stopped
also when the process that used it has died; `dailies host watch` is the same by hand. It stops no host of which it does
not know that it is idle: none on which any job runs or waits, whoever sent it, none that does not answer, and none that
a run of this show goes on to need.
"""

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import portalocker

from pipeline import forecast, host_state, jobs, panel_log
from pipeline.engine.upkeep import IN_USE
from pipeline.host_state import HostState
from pipeline.places import HostTable
from pipeline.show import Show, open_show

VERB = "host-watch"
LOOK_SECONDS = 30.0
GIVE_UP_SECONDS = 3600.0
"""A host that did not answer for so long is watched no more, and that is written down: it may still cost."""

_STOP_PATIENCE = 600.0

Ask = Callable[[str, HostTable], HostState]


def begin(show: Show, *, by: str) -> None:
    """Have the hosts with a `stop_command` watched from now on, in a process of its own; one that runs goes on."""
    if any(table.stop_command for table in show.file.hosts.values()):
        jobs.start(show.state, show.folder, VERB, by=by)


@dataclass(slots=True)
class Watch:
    """Looks after the hosts of a show; `tell` is given what people should know."""

    show: Show
    tell: Callable[[str], None]
    ask: Ask = host_state.ask
    clock: Callable[[], float] = time.monotonic
    _heard: dict[str, float] = field(default_factory=dict)
    _warned: set[str] = field(default_factory=set)

    def stay(self, sleep: Callable[[float], None] = time.sleep) -> None:
        """Look until each host was stopped, or did not answer for an hour.

        Raises ValueError where there is no host, or another process watches already.
        """
        if not self.show.file.hosts:
            raise ValueError("show.toml has no host to watch: [hosts.NAME] names one")
        try:
            with self.show.store.lock(VERB, wait=False):
                self.begin()
                while self.look():
                    sleep(LOOK_SECONDS)
        except portalocker.AlreadyLocked:
            raise ValueError("another process watches this show's hosts already") from None

    def begin(self) -> None:
        """Count from now on."""
        self._heard = dict.fromkeys(self.show.file.hosts, self.clock())

    def look(self) -> bool:
        """Look once at every host; False where there is none left to watch. What show.toml says now counts."""
        self.show = open_show(self.show.folder)
        for name in list(self._heard):
            table = self.show.file.hosts.get(name)
            if table is None or self._is_done(name, table):
                del self._heard[name]
        return bool(self._heard)

    def _is_done(self, name: str, table: HostTable) -> bool:
        try:
            state = self.ask(name, table)
        except ValueError as error:
            return self._is_lost(name, str(error))
        self._heard[name] = self.clock()
        if not _is_idle(table, state):
            self._warned.discard(name)
            return False
        if self._wanted(name):
            return False
        if table.stop_command is None or _record(self.show, name).get("session") == state.session:
            if name not in self._warned:
                self._warned.add(name)
                self.tell(f"host {name} had no job for {_minutes(state)} min: give it back if nothing more is to run")
            return False
        return self._stop(name, table, table.stop_command)

    def _is_lost(self, name: str, problem: str) -> bool:
        if self.clock() - self._heard[name] <= GIVE_UP_SECONDS:
            return False
        words = f"{problem} For an hour now: it is watched no more, and may still cost"
        panel_log.note(self.show.folder, words, by=VERB, address="", outcome="failed", where=name)
        self.tell(words)
        return True

    def _wanted(self, name: str) -> bool:
        """Whether a run of this show goes on that may still send something there."""
        if not self.show.store.is_locked(IN_USE):
            return False
        return any(name in each.places for each in forecast.outlook(self.show).left().steps)

    def _stop(self, name: str, table: HostTable, command: str) -> bool:
        """Run the command, once for each time that the host is up, whatever comes of it."""
        state = self.ask(name, table)
        if not _is_idle(table, state):  # Something came meanwhile.
            return False
        record: dict[str, Any] = {"session": state.session, "at": time.time(), "idle_minutes": _minutes(state)}
        _keep(self.show, name, record)
        try:
            with panel_log.doing(self.show.folder, "stop host", by=VERB, address="", where=name) as telling:
                telling.say(f"idle for {_minutes(state)} min")
                said = _run(command, self.show.folder, name)
        except (ValueError, subprocess.TimeoutExpired) as error:
            _keep(self.show, name, record | {"error": str(error)})
            self.tell(f"host {name} is idle, and its stop_command failed: {error}")
            return True
        _keep(self.show, name, record | {"said": said})
        self.tell(f"host {name} had no job for {_minutes(state)} min: its stop_command ran. {said}".strip())
        return True


def _is_idle(table: HostTable, state: HostState) -> bool:
    return state.idle_seconds is not None and state.idle_seconds >= 60 * table.idle_minutes


def _minutes(state: HostState) -> int:
    return int((state.idle_seconds or 0) // 60)


def _run(command: str, folder: Path, name: str) -> str:
    """The last line of what a command says. Raises ValueError with it where the command fails."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "DAILIES_HOST": name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_STOP_PATIENCE,
        check=False,
    )
    last = "".join((done.stdout + done.stderr).strip().splitlines()[-1:])
    if done.returncode:
        raise ValueError(f"exit code {done.returncode}. {last}".strip())
    return last


def says(show: Show, name: str, table: HostTable, state: HostState | None) -> str:
    """What became of a host's `stop_command`, or will, in a sentence; "" where it has none."""
    record = _record(show, name)
    if record and (state is None or record["session"] == state.session):
        at = datetime.fromtimestamp(record["at"]).astimezone()
        became = f"failed: {record['error']}" if "error" in record else "ran"
        return f"After {record['idle_minutes']} idle minutes its `stop_command` {became}, {at:%d %b %H:%M}."
    if table.stop_command is None:
        return ""
    watched = "" if show.store.is_locked(VERB) else " Nobody watches now: `dailies host watch` does, and so does a run."
    return f"Its `stop_command` stops it after {table.idle_minutes:g} minutes without a job.{watched}"


def _record(show: Show, name: str) -> dict[str, Any]:
    """The last time that a host was stopped; empty where it never was."""
    path = _path(show, name)
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


def _keep(show: Show, name: str, record: dict[str, Any]) -> None:
    path = _path(show, name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    show.store.replace(path, json.dumps(record).encode())


def _path(show: Show, name: str) -> Path:
    return show.state / "hosts" / name / "stopped.json"
