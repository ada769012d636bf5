"""Where jobs go when there are several places, on a small real pipeline whose jobs only seem to run."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pipeline import places
from pipeline.engine.events import Events
from pipeline.engine.plan import Plan
from pipeline.engine.schedule import Report, Scheduler, Site
from pipeline.engine.store import Store
from pipeline.engine.worker import Answer
from pipeline.places import HostTable


@dataclass
class Held:
    """Holds jobs until `most` wait at all places together, and lets all fail then: who began is the question."""

    begun: list[str]
    most: int
    waiting: list = field(default_factory=list)

    def at(self, name, slots):
        return Site(name, _At(self, name), slots)


@dataclass
class _At:
    held: Held
    name: str

    def submit(self, job, device):
        future = Future()
        self.held.begun.append(self.name)
        self.held.waiting.append(future)
        if len(self.held.begun) == self.held.most:
            for each in self.held.waiting:
                each.set_result(Answer(error="it only seemed to run"))
        return future


class Closed:
    """A place that takes no job."""

    def __init__(self):
        self.asked = 0

    def submit(self, job, device):
        self.asked += 1
        future = Future()
        future.set_result(Answer(error="it does not answer", refused=True))
        return future


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Five episodes, of which one step each is ready."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from toy import dag, records

    store = Store(tmp_path / "store")
    (tmp_path / "tape").write_text("1 2")
    tapes = {name: records.Tape(title=name, file=store.put_file(tmp_path / "tape")) for name in "abcde"}
    steps = {each.name: each for each in dag.STEPS}
    return Plan(
        show="toy", sources={each.name: each for each in dag.SOURCES}, steps=steps,
        configs={name: step.config() for name, step in steps.items()}, episodes=list(tapes), store=store,
        outputs={("tape", name): store.put(tape) for name, tape in tapes.items()},
    )  # fmt: skip


def begun(plan, sites, most):
    held = Held([], most)
    there = {name: held.at(name, slots) for name, slots in sites.items()}
    Scheduler(
        plan, plan.nodes(["step1-read"]), lambda *_: list(there.values()), lambda *_: None, Events(None), Report()
    ).run()
    return held.begun


def test_jobs_go_to_the_place_that_is_least_busy_and_of_equal_ones_to_the_first(plan):
    two = {"gpu": {"cpu": 2}, "other": {"cpu": 2}, "small": {"cpu": 1}}
    assert begun(plan, two, 5) == ["gpu", "other", "small", "gpu", "other"]


def test_a_place_that_is_full_gets_no_more(plan):
    one = {"gpu": {"cpu": 4}, "local": {"cpu": 1}}
    assert begun(plan, one, 5) == ["gpu", "local", "gpu", "gpu", "gpu"]


def test_a_place_that_takes_no_job_is_asked_once_and_the_jobs_go_to_the_others(plan):
    held, closed, report = Held([], 5), Closed(), Report()
    sites = [Site("gone", closed, {"cpu": 1}), held.at("here", {"cpu": 5})]
    Scheduler(plan, plan.nodes(["step1-read"]), lambda *_: sites, lambda *_: None, Events(None), report).run()
    assert (closed.asked, held.begun) == (1, ["here"] * 5)
    assert {why for _, why in report.failed} == {"it only seemed to run"}


def test_where_every_place_takes_no_job_each_says_why(plan):
    closed, report = Closed(), Report()
    sites = [Site("gone", closed, {"cpu": 2})]
    Scheduler(plan, plan.nodes(["step1-read"]), lambda *_: sites, lambda *_: None, Events(None), report).run()
    assert [why for _, why in report.failed] == ["it does not answer"] * 5


def test_anywhere_is_every_host_and_here_and_each_kind_of_step_has_its_first():
    hosts = {"a": HostTable(), "b": HostTable()}
    assert places.places_of("step", "cuda", hosts, {}) == ("a", "b")
    assert places.places_of("step", "cpu", hosts, {}) == ("local",)
    assert places.places_of("step", "cuda", hosts, {"step": "anywhere"}) == ("a", "b", "local")
    assert places.places_of("step", "cpu", hosts, {"step": "anywhere"}) == ("local", "a", "b")
    assert places.places_of("step", "cuda", hosts, {"step": "b"}) == ("b",)
    assert places.places_of("step", "cuda", {}, {}) == ("local",)
