"""Recipes from digests; running them is tested in test_engine.py."""

import dataclasses
import sys
import types

import pytest

from pipeline.engine.plan import Plan
from pipeline.engine.records import Record
from pipeline.engine.step import Need, Source, Step, StepConfig
from pipeline.engine.store import Store


class Scores(Record):
    of: dict[str, int]


class Score(Record):
    value: int

    @classmethod
    def project(cls, scores: Scores, episode: str) -> "Score":
        return cls(value=scores.of[episode])


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """A step of each episode that reads its own part of a record made once for the show."""
    monkeypatch.setitem(sys.modules, "reader", types.ModuleType("reader"))
    sys.modules["reader"].__file__ = str(tmp_path / "reader.py")
    (tmp_path / "reader.py").write_text("")

    def run(): ...

    run.__module__ = "reader"
    need = Need("scores", Score, Score.project, by_episode=True)
    step = Step("reader", 1, "episode", "cpu", {"scores": need}, StepConfig, Score, run)
    return Plan(
        show="toy",
        sources={"scores": Source("scores", Scores, per="show")},
        steps={"reader": step},
        configs={"reader": StepConfig()},
        episodes=["a", "b"],
        store=Store(tmp_path / "store"),
        outputs={},
    )


def inputs(plan, **scores):
    again = dataclasses.replace(plan, outputs={("scores", "show"): plan.store.put(Scores(of=scores))})
    return {episode: again.recipe(("reader", episode))["inputs"]["scores"] for episode in plan.episodes}


def test_an_episode_whose_part_of_the_shows_record_stays_the_same_is_not_run_again(plan):
    before, after = inputs(plan, a=1, b=2), inputs(plan, a=1, b=3)
    assert (before["a"], after["b"] != before["b"]) == (after["a"], True)
    assert plan.store.get(after["b"], Score) == Score(value=3)


def test_equal_parts_of_two_episodes_are_one_object(plan):
    found = inputs(plan, a=1, b=1)
    assert found["a"] == found["b"]
