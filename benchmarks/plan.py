"""What planning a long show costs, and how near its schedule comes to the best one.

    python -m benchmarks.plan [--episodes 500] [--simulated 50]

The DAG is the true one, without projections. `plan_s` is every job's recipe and key, and the look-up of its run in the
store, where none is found; `first_plan_s` is the same with the code of all steps read and hashed, once a process. For
`makespan_ratio` the jobs take the seconds below by a simulated clock, and the engine's own scheduler decides about
them: it is the show's length over a bound that no schedule beats. That is, for each kind of slot, the work that must
be done with the least that stands before and after it; or the longest path; or both sides of a job that all wait for.
The last line is JSON.
"""

import argparse
import dataclasses
import heapq
import itertools
import json
import random
import tempfile
import time
from collections.abc import Collection
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest import mock

from pipeline import dag
from pipeline.engine import fingerprint, plan, schedule
from pipeline.engine.events import Events
from pipeline.engine.plan import SHOW, Node, Plan
from pipeline.engine.schedule import Report, Scheduler, Site
from pipeline.engine.step import Device, Step
from pipeline.engine.store import Run, Store
from pipeline.engine.worker import Answer

SLOTS: dict[Device, int] = {"cpu": 2, "cuda": 4}
SECONDS = {"step1-scenes": 120, "step2-transcript-base": 300, "step2-caption": 400, "step5-ltx2-train": 7200}
OTHER_SECONDS = 40


def seconds(node: Node) -> float:
    """Of a job: its step's, more or less by the episode."""
    return SECONDS.get(node[0], OTHER_SECONDS) * random.Random(str(node)).uniform(0.7, 1.3)


class Clock:
    """An executor whose jobs end by a clock that goes as fast as they do."""

    def __init__(self) -> None:
        self.now = 0.0
        self._running: list[tuple[float, int, Future[Answer], Run]] = []
        self._count = itertools.count()

    def submit(self, job: Any, device: Device) -> Future[Answer]:
        node, recipe, name = job
        future: Future[Answer] = Future()
        output = fingerprint.of_value("output", name)
        made = Run(
            name=name, step=node[0], unit=node[1], key=plan.key(recipe), recipe=recipe, output=output,
            seconds=round(seconds(node), 3), finished=0,
        )  # fmt: skip
        heapq.heappush(self._running, (self.now + seconds(node), next(self._count), future, made))
        return future

    def wait(self, running: Collection[Future[Answer]], return_when: str) -> tuple[set[Future[Answer]], set[Any]]:
        self.now, _, future, made = heapq.heappop(self._running)
        future.set_result(Answer(run=made, made=True))
        return {future}, set()


def true_plan(episodes: int, store: Store) -> Plan:
    def plain(step: Step) -> Step:
        needs = {name: dataclasses.replace(need, project=None) for name, need in step.needs.items()}
        return dataclasses.replace(step, needs=needs)

    names = [f"e{number:03}" for number in range(episodes)]
    sources = {
        (source.name, unit): fingerprint.of_value("source", [source.name, unit])
        for source in dag.SOURCES
        for unit in (names if source.per == "episode" else [SHOW])
    }
    return Plan(
        show="bench",
        sources={source.name: source for source in dag.SOURCES},
        steps={step.name: plain(step) for step in dag.STEPS},
        configs={step.name: step.config() for step in dag.STEPS},
        episodes=names,
        store=store,
        outputs=sources,
    )


def bound(what: Plan, nodes: list[Node]) -> float:
    """Seconds that no schedule beats: of all jobs, or of what a job of the whole show needs, it, and what needs it."""
    best = least(what, nodes)
    for node in nodes:
        if node[1] == SHOW:
            below, above = {node}, {node}
            for each in reversed(nodes):
                if each in below:
                    below |= set(what.needs(each))
            for each in nodes:
                if any(need in above for need in what.needs(each)):
                    above.add(each)
            needed = [each for each in nodes if each in below and each != node]
            needing = [each for each in nodes if each in above and each != node]
            best = max(best, least(what, needed) + seconds(node) + least(what, needing))
    return best


def least(what: Plan, nodes: list[Node]) -> float:
    """Seconds that no schedule of these jobs beats, if all else stands."""
    if not nodes:
        return 0.0
    before: dict[Node, float] = {}
    after: dict[Node, float] = dict.fromkeys(nodes, 0.0)
    for node in nodes:
        before[node] = max((before[n] + seconds(n) for n in what.needs(node) if n in before), default=0.0)
    for node in reversed(nodes):
        for need in what.needs(node):
            if need in after:
                after[need] = max(after[need], after[node] + seconds(node))
    best = max(before[node] + seconds(node) for node in nodes)
    for device, slots in SLOTS.items():
        of = sorted((n for n in nodes if what.device(n[0]) == device), key=lambda n: -after[n])
        work, first = 0.0, float("inf")
        for node in of:
            work, first = work + seconds(node), min(first, before[node])
            best = max(best, first + work / slots + after[node])
    return best


def simulate(episodes: int, store: Store) -> tuple[float, float]:
    """The length of the show's schedule, and its bound."""
    what, clock, report = true_plan(episodes, store), Clock(), Report()
    nodes = what.nodes()

    def job(node: Node, recipe: plan.Recipe, name: str) -> Any:
        return node, recipe, name

    here = [Site("here", clock, SLOTS)]
    with mock.patch.object(schedule, "wait", clock.wait):
        Scheduler(what, nodes, lambda step, device: here, job, Events(None), report).run()
    assert len(report.ran) == len(nodes), report
    return clock.now, bound(true_plan(episodes, store), nodes)


def plan_seconds(episodes: int, store: Store) -> tuple[float, int]:
    """Every node's recipe, key and look-up, as the scheduler does it."""
    what = true_plan(episodes, store)
    started = time.perf_counter()
    nodes = what.nodes()
    for node in nodes:
        recipe = what.recipe(node)
        assert recipe is not None
        name = plan.run_name(what.show, node, recipe)
        store.find_run(name)
        what.outputs[node] = fingerprint.of_value("output", name)
    return time.perf_counter() - started, len(nodes)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--episodes", type=int, default=500, help="of the plan")
    parser.add_argument("--simulated", type=int, default=50, help="of the schedule")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        first, _ = plan_seconds(asked.episodes, store)
        took, count = plan_seconds(asked.episodes, store)
        length, shortest = simulate(asked.simulated, store)
    figures = {
        "plan_s": round(took, 2),
        "first_plan_s": round(first, 2),
        "nodes": count,
        "makespan_ratio": round(length / shortest, 3),
    }
    print(json.dumps({**figures, "makespan_h": round(length / 3600, 2), "bound_h": round(shortest / 3600, 2)}))


if __name__ == "__main__":
    main()
