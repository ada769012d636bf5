"""A sample of an episode's captions: made by a real limited run, read back with its faults and its cost."""

import json
from concurrent.futures import Future
from pathlib import Path

import pytest

from pipeline import spot_check
from pipeline.engine.plan import SHOW
from pipeline.engine.run import Site, update
from pipeline.engine.work import Models
from pipeline.engine.worker import attempt
from pipeline.models.captioning import Drafted
from pipeline.show import open_show
from pipeline.spot_check import Cost, cost_of
from tests.steps.test_step2_caption import inputs  # noqa: F401 (a fixture)


def items(at, done, **more):
    return {"event": "items", "t": at, "done": done, "total": 9, **more}


def report(**figures):
    return {"event": "report", "t": 0, **figures}


def test_a_cost_is_of_what_was_made_and_a_second_asking_counts_to_its_time():
    tokens = {"tokens_in": 900, "tokens_out": 60, "peak_memory_gib": 2.5}
    first = [items(10, 2, kept=2), items(14, 3), items(18, 4)]
    assert cost_of([*first, report(captions=9)]) == Cost(2, 8)
    second = [items(20, 0, kept=0), items(21, 1)]
    assert cost_of([*first, report(**tokens), *second, report(**tokens, requests=3)]) == Cost(2, 9, 900, 60, 2.5)
    assert Cost(2, 9).seconds_for(100) == 450


@pytest.mark.parametrize("told", [[], [items(1, 9, kept=9)], [items(0, 4), items(1, 5)]])
def test_where_nothing_was_made_there_is_no_cost(told):
    assert cost_of(told) is None


class Here:
    """Runs jobs in this process: what a step does is the same."""

    def submit(self, job, device):
        future = Future()
        future.set_result(attempt(job, Models()))
        return future


@pytest.fixture
def cut(tmp_path, work, inputs):  # noqa: F811
    """A show of one episode, e, all of whose captions' inputs stand: the show, and a plan that knows them."""
    folder = tmp_path / "show"
    (folder / "episodes").mkdir(parents=True)
    (folder / "episodes" / "e.mp4").write_bytes(b"e")
    (folder / "bible.toml").write_text('[show]\ntitle = "Spies"\nlanguage = "en"\n')
    (folder / "show.toml").write_text('name = "spies"\n[steps.step2-caption]\nlongest = 12\n')
    show = open_show(folder)
    (tmp_path / "film").write_bytes(b"film")
    film = show.store.put_file(tmp_path / "film")
    made = inputs()
    clips = tuple(clip.model_copy(update={"video": film}) for clip in made["step1_scenes"].clips)
    made["step1_scenes"] = made["step1_scenes"].model_copy(update={"clips": clips})
    what = show.plan()
    for name, record in made.items():
        step = name.replace("_", "-")
        what.outputs[step, SHOW if step == "step2-bible" else "e"] = show.store.put(record)

    here = Site("local", Here(), {"cpu": 1, "cuda": 1})

    def run(limit, name):
        return update(
            what, [("step2-caption", "e")], lambda *_: [here], registry="pipeline.dag", cache=tmp_path / "cache",
            runs=show.state / "runs" / name,
            limits={"step2-caption": limit} if limit else {},
        )  # fmt: skip

    return show, what, run


def test_a_sample_is_read_back_with_its_faults_until_the_whole_is_made_or_anything_changes(cut):
    show, what, run = cut
    before = spot_check.stands(show, what, "e", 3)
    assert (before.checked, before.whole, before.cost) == ((), False, None)
    report = run(2, "1")
    assert [sample.total for _, sample in report.sampled] == [4], report
    sample = spot_check.stands(show, what, "e", 3)
    first, second = sample.checked
    assert (first.clip, second.clip, sample.whole, sample.cost.clips) == ("e_0", "e_1", False, 2)
    assert first.said == (("Reyes", "Any sign, Pryce?"), ("Pryce", "No."))
    assert [fault.kind for fault in first.faults] == ["length"]
    assert second.notes == ("lines whose speaker is not known: 1 of 1",)
    assert show.store.path_of(first.video).read_bytes() == b"film"
    assert spot_check.doing(show) == []
    run(2, "2")  # All of it is kept, so what it cost is told of the run that made it.
    assert spot_check.stands(show, what, "e", 3) == sample
    run(None, "3")
    whole = spot_check.stands(show, what, "e", 3)
    assert (whole.whole, whole.by, len(whole.checked)) == (True, ("facts",), 3)
    assert [each.caption for each in whole.checked[:2]] == [each.caption for each in sample.checked]
    assert whole.cost.clips == 2
    del what.outputs["step2-caption", "e"]
    config = what.configs["step2-caption"].model_copy(update={"longest": 200})
    what.configs = {**what.configs, "step2-caption": config}
    assert spot_check.stands(show, what, "e", 3).checked == ()


def test_a_models_answers_are_shown_as_the_captions_that_they_make(cut):
    show, what, run = cut
    run(1, "1")
    (events,) = (show.state / "runs").glob("*/events.jsonl")
    (path,) = next(e["items"] for e in map(json.loads, events.read_text().splitlines()) if e["event"] == "job sampled")
    seen = {"characters": ["pryce"], "shot": "close-up", "camera": "static", "light": "dim", "sounds": "rain"}
    draft = Drafted(data={**seen, "caption": "Miller waits. Reyes asks, [1]."}, confidence={"shot": 0.5})
    Path(path).write_text(draft.model_dump_json())
    (shown,) = spot_check.stands(show, what, "e", 3).checked
    assert shown.caption.text.startswith('Miller waits. Reyes asks, "Any sign, Pryce?"')
    assert shown.caption.observed.sounds == "rain"
