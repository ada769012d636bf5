"""Bring steps up to date: start whatever is ready, within slots, and go on past failures."""

import itertools
import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from pipeline.engine import plan
from pipeline.engine.events import Events
from pipeline.engine.mirror import Fetcher
from pipeline.engine.plan import Node, Plan
from pipeline.engine.step import Device
from pipeline.engine.upkeep import IN_USE, memo_code
from pipeline.engine.work import NOWHERE, Services, Stopping
from pipeline.engine.worker import Answer, Job, Sample, record_failure

REQUESTS = "requests.jsonl"
"""In a run's folder: what people ask of its jobs while they run, as events with `step` and `ask`."""


class Executor(Protocol):
    def submit(self, job: Job, device: Device) -> "Future[Answer]":
        """Start a job; the answer tells its run or its error. Jobs that die still answer."""


@dataclass(frozen=True, slots=True)
class Site:
    """Somewhere that jobs run, how many at once, and the answers to them. `name` is told with each start."""

    name: str
    executor: Executor
    slots: Mapping[Device, int]


Sites = Callable[[str, Device], Sequence[Site]]
"""Where a step's jobs may run: the first that has a free slot takes one."""


@dataclass(slots=True)
class Report:
    """What one update did. `blocked` jobs wait for a failed or sampled one; nothing of them was tried. `sampled` ones
    were limited: they made their first items and no output.
    """

    ran: list[tuple[Node, float, str]] = field(default_factory=list)
    fresh: list[tuple[Node, str]] = field(default_factory=list)
    failed: list[tuple[Node, str]] = field(default_factory=list)
    blocked: list[tuple[Node, str]] = field(default_factory=list)
    sampled: list[tuple[Node, Sample]] = field(default_factory=list)


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
            _schedule(what, nodes, sites, job, events, report)
        except KeyboardInterrupt:
            events.emit("stopped")
            raise
        finally:
            counts = {name: len(getattr(report, name)) for name in ("ran", "fresh", "failed", "sampled")}
            events.emit("finished", **counts)
        return report


def _schedule(
    what: Plan,
    nodes: Sequence[Node],
    sites: Sites,
    job: Callable[[Node, plan.Recipe, str], Job],
    events: Events,
    report: Report,
) -> None:
    waiting = list(nodes)
    running: dict[Future[Answer], tuple[Node, Device, Site]] = {}

    def is_free(site: Site, device: Device) -> bool:
        return sum((busy, at) == (device, site) for _, busy, at in running.values()) < site.slots[device]

    # Everything that is tried now may succeed; an episode that is not is no reason to wait.
    known, what.given_up = {*nodes, *what.outputs}, set()
    what.given_up = {need for node in nodes for need in what.needs(node) if need not in known}
    while waiting or running:
        # Nodes stand below all that they need, so one pass settles every fresh one, whatever it makes ready.
        for node in list(waiting):
            needs = what.needs(node)
            lost = [each for each, _ in (*report.failed, *report.sampled, *report.blocked) if each in needs]
            if what.lacks_all_episodes(node[0]):
                lost = [each for each in what.could_need(node) if each in what.given_up]
            if lost:
                waiting.remove(node)
                # Only the root cause: what waits for a waiting one would say the same once more.
                became = "was made in part only" if lost[0] in dict(report.sampled) else "failed"
                why = dict(report.blocked).get(lost[0]) or f"waits for {_named(lost[0])}, which {became}"
                report.blocked.append((node, why))
                what.given_up.add(node)
                events.emit("blocked", step=node[0], unit=node[1], why=why)
            elif (recipe := what.recipe(node)) is not None:
                name = plan.run_name(what.show, node, recipe)
                device = what.device(node[0])
                if found := what.store.find_run(name):
                    waiting.remove(node)
                    what.outputs[node] = what.store.set_head(found).output
                    report.fresh.append((node, name))
                elif site := next((each for each in sites(node[0], device) if is_free(each, device)), None):
                    waiting.remove(node)
                    events.emit("job started", step=node[0], unit=node[1], name=name, device=device, place=site.name)
                    running[site.executor.submit(job(node, recipe, name), device)] = node, device, site
        assert running or not waiting, f"nothing can start, yet {waiting} are left"
        if running:
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                node, *_ = running.pop(future)
                _settle(what, node, future.result(), report, events)
                if node not in what.outputs:
                    what.given_up.add(node)


def _settle(what: Plan, node: Node, answer: Answer, report: Report, events: Events) -> None:
    step, unit = node
    if answer.sample is not None:
        report.sampled.append((node, answer.sample))
        made, total = len(answer.sample.items), answer.sample.total
        events.emit("job sampled", step=step, unit=unit, items=[str(path) for path in answer.sample.items], total=total)
        events.emit("log", step=step, unit=unit, message=f"{made} of {total} items, as was asked; no output is made")
        return
    if answer.run is None:
        message = answer.error or "no message"
        report.failed.append((node, message))
        events.emit("job failed", step=step, unit=unit, error=message)
        return
    what.outputs[node] = answer.run.output
    if answer.made:
        report.ran.append((node, answer.run.seconds, answer.run.name))
    else:
        report.fresh.append((node, answer.run.name))
    events.emit("job finished", step=step, unit=unit, seconds=answer.run.seconds, made=answer.made)


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


def _named(node: Node) -> str:
    return node[0] if node[1] == plan.SHOW else f"{node[0]} of {node[1]}"


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
