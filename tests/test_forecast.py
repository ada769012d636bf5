"""Forecasts: ranges that hold as often as they say, places with their own pace and price, errors that are told."""

import json
import math
import random

import pytest

from benchmarks.season import Season
from pipeline import forecast, foretold, hosts, measured
from pipeline.forecasting import Pace, Range, by_the_clock, pace, shares, total, truth
from pipeline.show import open_show

STEP = "step2-transcript-base"


def test_a_pace_of_few_measurements_has_a_wide_range():
    one, many = pace([(10, 5)]), pace([(10, 5)] * 20)
    assert one == Pace(2.0, pytest.approx(0.35), 1)
    few, sure = total([(one, [10])]), total([(many, [10])])
    assert (few.likely, sure.likely) == (pytest.approx(20), pytest.approx(20))
    assert few.high > sure.high > 20 > sure.low > few.low
    assert pace([]) is None


def test_the_clock_counts_what_runs_side_by_side_and_what_must_wait():
    seconds = {"a": 4.0, "b": 3.0, "c": 2.0}
    needs = {"c": ["a"]}
    assert by_the_clock(seconds, lambda n: needs.get(n, []), lambda _: ["cpu"], {"cpu": 2}) == 6
    assert by_the_clock(seconds, lambda n: needs.get(n, []), lambda _: ["cpu"], {"cpu": 1}) == 9


def test_what_may_run_at_several_places_takes_the_one_that_is_free_first():
    seconds = {"a": 4.0, "b": 3.0, "c": 2.0, "d": 9.0}
    lanes = {"d": ["other"]}
    assert by_the_clock(seconds, lambda _: [], lambda n: lanes.get(n, ["one", "other"]), {"one": 1, "other": 1}) == 14


def test_forecasts_are_held_against_the_truth():
    found = truth([(Range(8, 10, 12), 11), (Range(8, 10, 12), 20), (Range(0.01, 0.01, 0.02), 0.9)])
    assert (found.inside, found.count) == (1, 2)
    assert found.usually == pytest.approx(0.55)


WIDE, NARROW = (0.15, 0.55), (0.2, 0.2)


@pytest.mark.parametrize(
    ("history", "units", "spreads"),
    [(1, 1, WIDE), (2, 8, WIDE), (5, 3, WIDE), (12, 40, WIDE), (20, 1, NARROW), (20, 40, (0.6, 0.6))],
)
def test_eight_of_ten_truths_lie_within_their_range(history, units, spreads):
    """Histories are simulated: a step's times scatter by a factor, and by which differs from step to step."""
    draw = random.Random(f"{history} {units}")
    inside, trials = 0, 2000
    for _ in range(trials):
        rate, spread = math.exp(draw.uniform(-3, 3)), draw.uniform(*spreads)

        def takes(size, rate=rate, spread=spread):
            return rate * size * math.exp(draw.gauss(0, spread))

        past = [draw.uniform(300, 3000) for _ in range(history)]
        sizes = [draw.uniform(300, 3000) for _ in range(units)]
        range_ = total([(pace((takes(size), size) for size in past), sizes)])
        inside += range_.low <= sum(takes(size) for size in sizes) <= range_.high
    assert 0.72 < inside / trials < 0.88


def test_jobs_beside_each_other_share_the_time_of_their_host():
    assert shares([(0, 10), (5, 10), (20, 22), (3, 3)]) == [7.5, 2.5, 2.0, 0.0]
    assert shares([]) == []


@pytest.fixture
def show(tmp_path):
    return Season(tmp_path / "show").show


def wrote(show, run, jobs, *, foretold=None, **started):
    """A run's events: jobs as (step, unit, place, began, seconds)."""
    folder = show.state / "runs" / run
    folder.mkdir(parents=True)
    events = [{"t": 0.0, "event": "started", "gpu": "", **started}]
    for step, unit, place, began, seconds in jobs:
        about = {"step": step, "unit": unit}
        events.append({"t": began, "event": "job started", "name": "x", "device": "cuda", "place": place, **about})
        events.append({"t": began + seconds, "event": "job finished", "seconds": seconds, "made": True, **about})
    events.append({"t": 99.0, "event": "finished"})
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    if foretold:
        (folder / measured.FORECAST).write_text(json.dumps(foretold))


def test_the_price_of_a_host_is_for_all_that_runs_on_it(show):
    hosts = {"gpu": {"gpus": 2, "price_per_hour": 3600.0}}
    wrote(show, "1", [(STEP, "s01e01", "gpu", 0.0, 10.0), (STEP, "s01e02", "gpu", 0.0, 10.0)], hosts=hosts)
    wrote(show, "2", [(STEP, "s01e01", "local", 50.0, 10.0)], hosts=hosts)
    found = measured.jobs(show.state / "runs")
    assert [(job.place, job.seconds, job.taken, job.money) for job in found] == [
        ("gpu", 10.0, 5.0, 5.0),
        ("gpu", 10.0, 5.0, 5.0),
        ("local", 10.0, 10.0, 0.0),
    ]
    assert found[0].hardware == "gpu (2 GPUs)"


def on_host(show, text):
    with (show.folder / "show.toml").open("a") as file:
        file.write(text)
    return open_show(show.folder)


def test_times_of_one_place_say_nothing_of_another(show):
    wrote(show, "1", [(STEP, "s01e01", "gpu", 0.0, 40.0)], hosts={"gpu": {"gpus": 1, "price_per_hour": 36.0}})
    there = on_host(show, f'[hosts.gpu]\nprice_per_hour = 36.0\n[hosts.other]\n[places]\n{STEP} = "gpu"\n')
    left = forecast.outlook(there).left([(STEP, "s01e02")])
    (step,) = left.steps
    assert step.place == "gpu"
    assert step.left is not None
    assert step.left.likely == pytest.approx(40.0)
    assert left.money is not None
    assert left.money.likely == pytest.approx(0.4)
    assert left.gpu == step.left
    text = (show.folder / "show.toml").read_text()
    (show.folder / "show.toml").write_text(text.replace('= "gpu"', '= "other"'))
    left = forecast.outlook(open_show(show.folder)).left([(STEP, "s01e02")])
    assert (left.unmeasured, left.clock, left.money) == ((STEP,), None, None)
    assert foretold.words(left) == f"not measured yet: {STEP}"


def test_a_step_of_several_hosts_is_reckoned_by_the_one_that_ran_it_and_wanted_of_all(show):
    wrote(show, "1", [(STEP, "s01e01", "b", 0.0, 40.0)], hosts={"b": {"gpus": 1, "price_per_hour": 36.0}})
    there = on_host(show, f'[hosts.a]\n[hosts.b]\nprice_per_hour = 36.0\n[places]\n{STEP} = "anywhere"\n')
    left = forecast.outlook(there).left([(STEP, "s01e02")])
    (step,) = left.steps
    assert (step.place, sorted(step.places)) == ("b", ["a", "b", "local"])
    assert step.left.likely == pytest.approx(40.0)
    assert left.money.likely == pytest.approx(0.4)
    assert [hosts.needed(left.steps, name) for name in ("a", "b")] == [1, 1], "neither is stopped meanwhile"


def test_after_a_run_its_forecasts_stand_beside_what_it_took(show):
    before = {f"{STEP}/s01e01": [8, 10, 12], f"{STEP}/s01e02": [8, 10, 12]}
    wrote(show, "1", [(STEP, "s01e01", "local", 0, 11), (STEP, "s01e02", "local", 11, 20)], foretold=before)
    (found,) = measured.compared(show.state / "runs", "1")
    said = f"{STEP} took 31 s, foretold 20 s: usually off by 55 %; 1 of 2 were within their range"
    assert foretold.beside_truth(found) == said
    assert measured.compared(show.state / "runs", "2") == []
