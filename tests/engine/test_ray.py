"""Jobs on a real Ray cluster, with a real mirror between its store and ours."""

import json
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine import code
from pipeline.engine.events import Events
from pipeline.engine.ray import RayExecutor, RayHost
from pipeline.engine.run import REQUESTS
from pipeline.engine.store import Store
from pipeline.engine.worker import Job
from tests import ray_head

pytestmark = pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")  # Ray's client says it.

HERE = Path(__file__).parent
PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def head():
    with ray_head.ray_head(RAY_JOB_STOP_WAIT_TIME_S="80") as started:
        yield started


@pytest.fixture
def host(head, tmp_path):
    (tmp_path / "mirror").mkdir()
    mirror = f"file://{tmp_path}/mirror"
    packages = [HERE.parents[1] / "pipeline", HERE / "patient"]
    return RayHost("gpu", head.address, head.token, mirror, mirror, str(tmp_path / "host"), packages, gpus=2)


@pytest.fixture
def make(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    from patient.steps import step1_wait

    def make(name, **config):
        settings = step1_wait.Config(**config).model_dump()
        recipe = {"step": "step1-wait", "version": 1, "config": settings, "inputs": {}}
        recipe["code"] = code.digests(sys.modules[step1_wait.__name__])
        return Job(
            registry="patient.dag", show="toy", step="step1-wait", unit="show", name=name, recipe=recipe,
            memo_code="0" * 64, store=tmp_path / "store", cache=tmp_path / "cache", events=tmp_path / "events.jsonl",
            log=tmp_path / "log", requests=tmp_path / REQUESTS,
        )  # fmt: skip

    return make


def said(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line["text"] for line in lines if line["event"] == "taken note"]


def until(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_job_runs_there_tells_what_it_does_hears_what_is_asked_and_its_run_comes_back(host, make, tmp_path):
    store = Store(tmp_path / "store")
    job = make("0a-toy-step1-wait-1", finishes=True)
    with RayExecutor(host, store) as executor:
        future = executor.submit(job, "cuda")
        until(lambda: said(tmp_path) == ["begun"] or future.done())
        Events(tmp_path / REQUESTS).emit("asked", step="step1-wait", ask="save")
        answer = future.result(PATIENCE_SECONDS)
    assert answer.error is None
    assert answer.made
    assert said(tmp_path) == ["begun", "save"]
    run = store.head("step1-wait", "show")
    assert run == answer.run
    assert json.loads(store.object_path(run.output).read_text()) == {"text": "finished"}
    with RayExecutor(host, store) as executor:
        again = executor.submit(job, "cuda").result(PATIENCE_SECONDS)
    assert (again.run, again.made) == (run, False), "what the mirror has is not made again"


def test_who_comes_again_attaches_to_the_job_that_runs_and_an_ordered_end_stops_it(host, head, make, tmp_path):
    job = make("0b-toy-step1-wait-1")
    first = RayExecutor(host, Store(tmp_path / "store"))
    first.submit(job, "cuda")  # And whoever asked is gone: nobody reads the answer.
    until(lambda: said(tmp_path) == ["begun"])
    (tmp_path / "events.jsonl").unlink()
    with pytest.raises(KeyboardInterrupt), RayExecutor(host, Store(tmp_path / "store")) as second:  # noqa: PT012
        future = second.submit(job, "cuda")
        until(lambda: "begun" in said(tmp_path))
        assert len(list(Path(host.folder).glob("toy/jobs/*"))) == 1
        raise KeyboardInterrupt
    answer = future.result(0)
    assert answer.error == "stopped as was asked"
    assert [json.loads(path.read_text())["text"] for path in Path(host.folder).glob("toy/store/memo/*/*/*.json")] == [
        "kept"
    ]


def test_other_code_there_is_refused_with_both_versions(host, make, tmp_path):
    job = make("0c-toy-step1-wait-1")
    other = job.model_copy(update={"recipe": {**job.recipe, "code": {"patient/steps/step1_wait.py": "0" * 64}}})
    with RayExecutor(host, Store(tmp_path / "store")) as executor:
        answer = executor.submit(other, "cuda").result(PATIENCE_SECONDS)
    assert answer.error.startswith("host has version ")
    assert "patient/steps/step1_wait.py differs" in answer.error
