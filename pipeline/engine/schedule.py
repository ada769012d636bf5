"""Which job starts next: of all that are ready, the one with the most steps still to come after it."""

import heapq
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.engine import plan
from pipeline.engine.events import Events
from pipeline.engine.plan import Node, Plan
from pipeline.engine.step import Device
from pipeline.engine.worker import Answer, Job, Sample


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
"""Where a step's jobs may run: the one that is least busy takes the next, of equal ones the first."""


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


def ranks(what: Plan, nodes: Sequence[Node]) -> dict[Node, int]:
    """Of each node how many jobs stand one behind the other from it to the end, itself among them.

    Counted by what steps usually take, the schedules that `benchmarks.plan` simulates were no shorter.
    """
    found: dict[Node, int] = {}
    for node in reversed(nodes):
        found[node] = rank = found.get(node, 0) + 1
        for need in what.needs(node):
            found[need] = max(found.get(need, 0), rank)
    return {node: found[node] for node in nodes}


class Scheduler:
    """One update's jobs, each of which is looked at when something that it waits for is settled, and not before.

    Of equal ranks, what more jobs wait for goes first: a step of the whole show that every episode's next one reads,
    say, behind which other slots would stand empty. Then they go in the order of `nodes`, so the same answers in the
    same order start the same jobs.
    """

    def __init__(
        self,
        what: Plan,
        nodes: Sequence[Node],
        sites: Sites,
        job: Callable[[Node, plan.Recipe, str], Job],
        events: Events,
        report: Report,
    ) -> None:
        self._what, self._sites, self._job, self._events, self._report = what, sites, job, events, report
        # Everything that is tried now may succeed; an episode that is not is no reason to wait.
        known, what.given_up = {*nodes, *what.outputs}, set()
        what.given_up = {need for node in nodes for need in what.needs(node) if need not in known}
        self._pending: dict[Node, set[Node]] = {}
        self._users: dict[Node, list[Node]] = defaultdict(list)
        for node in nodes:
            self._pending[node] = self._lacking(node)
            for need in what.could_need(node):
                self._users[need].append(node)
        rank = ranks(what, nodes)
        self._order = {node: (-rank[node], -len(self._users[node]), index) for index, node in enumerate(nodes)}
        self._ready: dict[str, list[tuple[int, int, int, Node, plan.Recipe, str]]] = defaultdict(list)
        self._running: dict[Future[Answer], tuple[Node, Device, Site]] = {}
        self._refusing: set[tuple[str, str]] = set()

    def run(self) -> None:
        for node in list(self._pending):
            if node in self._pending:
                self._look_at(node)
        while self._pending or self._running or any(self._ready.values()):
            self._start_all()
            waiting = [*self._pending, *(entry[3] for heap in self._ready.values() for entry in heap)]
            assert self._running or not waiting, f"nothing can start, yet {waiting} are left"
            if self._running:
                done, _ = wait(self._running, return_when=FIRST_COMPLETED)
                for future in done:
                    node, device, site = self._running.pop(future)
                    if future.result().refused and self._goes_elsewhere(node, device, site, future.result()):
                        continue
                    settle(self._what, node, future.result(), self._report, self._events)
                    self._settled(node)

    def _lacking(self, node: Node) -> set[Node]:
        return {need for need in self._what.needs(node) if need not in self._what.outputs}

    def _look_at(self, node: Node, lost: Node | None = None) -> None:
        """Settle or make ready a node that may wait for nothing more; `lost` is what it cannot have any more."""
        what = self._what
        without = [lost] if lost is not None and lost in what.needs(node) else []
        if what.lacks_all_episodes(node[0]):
            without = [each for each in what.could_need(node) if each in what.given_up]
        if without:
            self._block(node, without[0])
        elif not self._pending[node] and (recipe := what.recipe(node)) is not None:
            del self._pending[node]
            name = plan.run_name(what.show, node, recipe)
            if not self._stands(node, name):
                heapq.heappush(self._ready[node[0]], (*self._order[node], node, recipe, name))

    def _stands(self, node: Node, name: str) -> bool:
        if found := self._what.store.find_run(name):
            self._what.outputs[node] = self._what.store.set_head(found).output
            self._report.fresh.append((node, name))
            self._settled(node)
            return True
        return False

    def _block(self, node: Node, lost: Node) -> None:
        del self._pending[node]
        # Only the root cause: what waits for a waiting one would say the same once more.
        became = "was made in part only" if lost in dict(self._report.sampled) else "failed"
        why = dict(self._report.blocked).get(lost) or f"waits for {_named(lost)}, which {became}"
        self._report.blocked.append((node, why))
        self._events.emit("blocked", step=node[0], unit=node[1], why=why)
        self._settled(node)

    def _settled(self, node: Node) -> None:
        """Tell those that wait for a node that it is made, or that it will not be."""
        made = node in self._what.outputs
        if not made:
            self._what.given_up.add(node)
        for user in self._users[node]:
            if user in self._pending:
                if made:
                    self._pending[user].discard(node)
                    if not self._pending[user]:
                        self._look_at(user)
                else:  # A step that gathers what there is goes without that episode, and all that it would read of it.
                    self._pending[user] = self._lacking(user)
                    self._look_at(user, lost=node)

    def _start_all(self) -> None:
        """Start what is ready, in the order above, as far as there are slots."""
        full: set[str] = set()
        while heads := [(heap[0][:3], step) for step, heap in self._ready.items() if heap and step not in full]:
            step = min(heads)[1]
            device = self._what.device(step)
            free = [each for each in self._open(step, device) if self._busy(each, device) < 1]
            site = min(free, key=lambda each: self._busy(each, device), default=None)
            if site is None:
                full.add(step)
                continue
            *_, node, recipe, name = heapq.heappop(self._ready[step])
            if self._stands(node, name):  # Another update made it meanwhile.
                continue
            self._events.emit("job started", step=step, unit=node[1], name=name, device=device, place=site.name)
            self._running[site.executor.submit(self._job(node, recipe, name), device)] = node, device, site

    def _open(self, step: str, device: Device) -> Sequence[Site]:
        """Where a step may run, without the places that took no job of it; where all are such, each may say so."""
        sites = self._sites(step, device)
        return [each for each in sites if (each.name, step) not in self._refusing] or sites

    def _goes_elsewhere(self, node: Node, device: Device, site: Site, answer: Answer) -> bool:
        """Have another place asked, where there is one: a host that is gone must not have all jobs fail at it."""
        self._refusing.add((site.name, node[0]))
        if all((each.name, node[0]) in self._refusing for each in self._sites(node[0], device)):
            return False
        self._events.emit("log", step=node[0], unit=node[1], message=f"goes elsewhere: {answer.error}")
        recipe = self._what.recipe(node)
        assert recipe is not None
        name = plan.run_name(self._what.show, node, recipe)
        heapq.heappush(self._ready[node[0]], (*self._order[node], node, recipe, name))
        return True

    def _busy(self, site: Site, device: Device) -> float:
        """Which part of a site's slots is taken."""
        return sum((busy, at) == (device, site) for _, busy, at in self._running.values()) / site.slots[device]


def settle(what: Plan, node: Node, answer: Answer, report: Report, events: Events) -> None:
    """Take a job's answer into the report, and tell it."""
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


def _named(node: Node) -> str:
    return node[0] if node[1] == plan.SHOW else f"{node[0]} of {node[1]}"
