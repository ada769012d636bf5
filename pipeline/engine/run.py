"""Bring steps up to date: what an update is made of, and the processes that its jobs run in."""

import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import MappingProxyType

from pipeline.engine import plan
from pipeline.engine.events import Events
from pipeline.engine.mirror import Fetcher
from pipeline.engine.plan import Node, Plan
from pipeline.engine.schedule import Executor, Report, Scheduler, Site, Sites
from pipeline.engine.step import Device
from pipeline.engine.upkeep import IN_USE, memo_code
from pipeline.engine.work import NOWHERE, Services, Stopping
from pipeline.engine.worker import Answer, Job, record_failure

__all__ = ["REQUESTS", "Executor", "LocalExecutor", "Report", "Site", "Sites", "read_failure", "recipe_path", "update"]

REQUESTS = "requests.jsonl"
"""In a run's folder: what people ask of its jobs while they run, as events with `step` and `ask`."""


def update(
    what: Plan,
    nodes: Sequence[Node],
    sites: Sites,
    *,
    registry: str,
    cache: Path,
    runs: Path,
    services: Services = NOWHERE,
    limits: Mapping[str, int] = MappingProxyType({}),
    asked: Mapping[str, object] = MappingProxyType({}),
) -> Report:
    """Run those of `nodes` that are not fresh, and return what became of each.

    `nodes` come from `Plan.nodes`: all that a node needs stands before it. `sites` tells where they run. `runs` is this
    update's own folder: its `events.jsonl`, and the recipes and logs of its jobs. `limits` are steps of which only so
    many items are wanted, to look at. `asked` is told with the start: who wanted this.
    """
    with what.store.lock(IN_USE, shared=True):
        what.store.sweep()
        runs.mkdir(parents=True, exist_ok=True)
        events = Events(runs / "events.jsonl")
        events.emit("started", pid=os.getpid(), host=platform.node(), nodes=len(nodes), **asked)
        report = Report()
        try:
            job = partial(_job, what, registry, cache, runs, services, limits)
            Scheduler(what, nodes, sites, job, events, report).run()
        except KeyboardInterrupt:
            events.emit("stopped")
            raise
        finally:
            counts = {name: len(getattr(report, name)) for name in ("ran", "fresh", "failed", "sampled")}
            events.emit("finished", **counts)
        return report


def _job(
    what: Plan,
    registry: str,
    cache: Path,
    runs: Path,
    services: Services,
    limits: Mapping[str, int],
    node: Node,
    recipe: plan.Recipe,
    name: str,
) -> Job:
    recipe_path(runs, node).write_text(json.dumps(recipe))
    return Job(
        registry=registry,
        show=what.show,
        step=node[0],
        unit=node[1],
        name=name,
        recipe=recipe,
        memo_code=memo_code(what.store, node[0], recipe),
        store=what.store.root,
        cache=cache,
        events=runs / "events.jsonl",
        log=runs / f"{node[0]}-{node[1]}.log",
        services=services,
        limit=limits.get(node[0]),
        requests=runs / REQUESTS,
        mirror=(fetch.url, fetch.ssh_config) if isinstance(fetch := what.store.fetch, Fetcher) else None,
    )


def recipe_path(runs: Path, node: Node) -> Path:
    """In a run's folder: what a job was to make, also of one that never finished."""
    return runs / f"{node[0]}-{node[1]}.recipe.json"


class LocalExecutor:
    """Each job in a subprocess; one that stays for the next job of the same step, so that a model loads once."""

    def __init__(self) -> None:
        self._idle: list[tuple[str, Device, subprocess.Popen[str]]] = []
        self._all: list[subprocess.Popen[str]] = []
        self._guard = threading.Lock()
        self._numbers = itertools.count()
        self._is_ending = False

    def __enter__(self) -> "LocalExecutor":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close the workers; after an error or Ctrl-C, with what they are doing. A training keeps its state first."""
        self._is_ending = kind is not None
        with self._guard:
            for worker in self._all:
                if kind is not None and worker.poll() is None:
                    worker.send_signal(signal.SIGTERM)
            for worker in self._all:
                assert worker.stdin is not None
                assert worker.stdout is not None
                worker.stdin.close()
                try:
                    worker.wait(Stopping.GRACE_SECONDS + 10)
                except subprocess.TimeoutExpired:  # It does not even hear that it is to end.
                    os.killpg(worker.pid, signal.SIGKILL)
                    worker.wait()
                worker.stdout.close()
            self._all.clear()

    def submit(self, job: Job, device: Device) -> "Future[Answer]":
        future: Future[Answer] = Future()
        worker = self._worker(job.step, device)
        name = f"{job.step}-{next(self._numbers)}"
        threading.Thread(target=self._ask, args=(worker, job, device, future), name=name, daemon=True).start()
        return future

    def _worker(self, step: str, device: Device) -> subprocess.Popen[str]:
        with self._guard:
            # One that was ended from outside while it waited would take no job, and the job would seem to have died.
            self._idle = [entry for entry in self._idle if entry[2].poll() is None]
            for entry in list(self._idle):
                if entry[:2] == (step, device):
                    self._idle.remove(entry)
                    return entry[2]
            for entry in [each for each in self._idle if each[1] == device]:
                # Another step's worker of this device: its model makes room.
                self._idle.remove(entry)
                assert entry[2].stdin is not None
                entry[2].stdin.close()
            worker = subprocess.Popen(
                [sys.executable, "-m", "pipeline.engine.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,
            )
            self._all.append(worker)
            return worker

    def _ask(self, worker: subprocess.Popen[str], job: Job, device: Device, future: "Future[Answer]") -> None:
        assert worker.stdin is not None
        assert worker.stdout is not None
        try:
            worker.stdin.write(job.model_dump_json() + "\n")
            worker.stdin.flush()
            line = worker.stdout.readline()
        except (BrokenPipeError, ValueError):  # It died, or this executor was closed.
            line = ""
        if line:
            with self._guard:
                self._idle.append((job.step, device, worker))
            future.set_result(Answer.model_validate_json(line))
            return
        message = _death(worker.wait())
        if self._is_ending:
            message = "stopped as was asked; its finished items are kept, run again to go on"
        else:
            record_failure(job, message)
        future.set_result(Answer(error=message))


def _death(status: int) -> str:
    if status == -signal.SIGKILL:
        return "the job was killed: the machine may have run out of memory; its finished items are kept, run again"
    if status < 0:
        return f"the job crashed with signal {-status} ({signal.Signals(-status).name}); its log tells more"
    return f"the job ended with status {status} and no answer; its log tells more"


def read_failure(what: Plan, node: Node) -> dict[str, str] | None:
    """The last failure of a node that has not succeeded since."""
    path = what.store.failure_path(*node)
    return json.loads(path.read_text()) if path.exists() else None
