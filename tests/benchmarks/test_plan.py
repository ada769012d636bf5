"""The true DAG's schedule, by a simulated clock."""

import pytest

from benchmarks import plan
from pipeline.engine.store import Store


@pytest.fixture
def started(monkeypatch):
    """Nodes in the order in which they were started."""
    found = []
    submit = plan.Clock.submit

    def told(self, job, device):
        found.append(job[0])
        return submit(self, job, device)

    monkeypatch.setattr(plan.Clock, "submit", told)
    return found


def test_a_season_s_schedule_comes_near_the_best_one_and_is_the_same_each_time(tmp_path, started):
    length, bound = plan.simulate(20, Store(tmp_path / "one"))
    first = list(started)
    started.clear()
    assert plan.simulate(20, Store(tmp_path / "two")) == (length, bound)
    assert started == first
    assert bound <= length <= 1.1 * bound


def test_what_all_episodes_wait_for_goes_before_one_episode_s_own(tmp_path, started):
    plan.simulate(20, Store(tmp_path))
    assert started.index(("step2-bible", "show")) < started.index(("step1-scenes", "e001"))
