"""Jobs that are ended: at once, or for one that wants to keep what it has, once it has."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine import code
from pipeline.engine.events import Events
from pipeline.engine.run import REQUESTS, LocalExecutor
from pipeline.engine.store import Store
from pipeline.engine.worker import Job


@pytest.fixture
def job(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent)
    from patient.steps import step1_wait

    def make(name, **config):
        settings = step1_wait.Config(**config).model_dump()
        recipe = {"step": "step1-wait", "version": 1, "config": settings, "inputs": {}}
        recipe["code"] = code.digests(sys.modules[step1_wait.__name__])
        return Job(
            registry="patient.dag",
            show="toy",
            step="step1-wait",
            unit="show",
            name=name,
            recipe=recipe,
            memo_code="0" * 64,
            store=tmp_path / "store",
            cache=tmp_path / "cache",
            events=tmp_path / "events.jsonl",
            requests=tmp_path / REQUESTS,
        )

    return make


def said(tmp_path):
    path = tmp_path / "events.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line["text"] for line in lines if line["event"] == "taken note"]


def until(tmp_path, text):
    deadline = time.monotonic() + 60
    while text not in said(tmp_path):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kept(tmp_path):
    return [json.loads(path.read_text())["text"] for path in (tmp_path / "store").glob("memo/*/*/*.json")]


def test_one_that_wants_to_keep_what_it_has_is_asked_and_is_no_failure(job, tmp_path):
    with LocalExecutor() as executor:
        future = executor.submit(job("one"), "cpu")
        until(tmp_path, "begun")
        (worker,) = executor._all
        worker.send_signal(signal.SIGTERM)
        assert future.result(60).error == "stopped as was asked"
        assert worker.wait(60) == 0, "a worker that was told to end takes no other job"
    assert kept(tmp_path) == ["kept"]
    assert not Store(tmp_path / "store").failure_path("step1-wait", "show").exists()


def test_one_that_wants_nothing_is_ended_at_once(job, tmp_path):
    with LocalExecutor() as executor:
        future = executor.submit(job("one", is_graceful=False), "cpu")
        until(tmp_path, "begun")
        executor._all[0].send_signal(signal.SIGTERM)
        assert "killed" in future.result(60).error
    assert kept(tmp_path) == []


def test_an_update_that_is_broken_off_lets_its_job_keep_what_it_has(job, tmp_path):
    with pytest.raises(KeyboardInterrupt), LocalExecutor() as executor:  # noqa: PT012  What happens before is the point.
        executor.submit(job("one"), "cpu")
        until(tmp_path, "begun")
        raise KeyboardInterrupt
    assert kept(tmp_path) == ["kept"]


def test_whoever_wanted_it_being_gone_is_word_to_end(job, tmp_path):
    with LocalExecutor() as executor:
        executor.submit(job("one"), "cpu")
        until(tmp_path, "begun")
        executor._all[0].stdin.close()
        executor._all[0].wait(60)
    assert kept(tmp_path) == ["kept"]


def test_a_job_hears_what_is_asked_of_its_step_while_it_runs(job, tmp_path):
    requests = Events(tmp_path / REQUESTS)
    requests.emit("asked", step="step1-wait", ask="before it began", by="somebody")
    with LocalExecutor() as executor:
        future = executor.submit(job("one", finishes=True), "cpu")
        until(tmp_path, "begun")
        requests.emit("asked", step="step2-other", ask="sample", by="somebody")
        requests.emit("asked", step="step1-wait", ask="save", by="somebody")
        assert future.result(60).made
        assert future.result().error is None
    assert said(tmp_path) == ["begun", "save"]
