"""Jobs: one at a time of each kind, told truly, alive without whoever started them."""

import os
import signal
import time

import pytest

from pipeline import jobs


@pytest.fixture
def patient():
    """Waits for something to be so."""

    def wait(what, seconds=60):
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, "it never came to be"
            time.sleep(0.05)
        return found

    return wait


@pytest.fixture
def verbs(monkeypatch):
    """Commands that need no show: a quick one, one that fails, one that stays until it is stopped."""
    # `dailies up` of a folder without a show fails; the help of a command succeeds.
    monkeypatch.setattr(jobs, "VERBS", {"ok": ("push", "--help"), "bad": ("push",)})


def ended(state, verb):
    job = jobs.latest(state)[verb]
    return job if job.state != "running" else None


def test_a_job_tells_who_started_it_and_what_it_said(tmp_path, verbs, patient):
    begun = jobs.start(tmp_path / "state", tmp_path, "ok", by="anna@example.com")
    assert (begun.verb, begun.by, begun.state) == ("ok", "anna@example.com", "running")
    job = patient(lambda: ended(tmp_path / "state", "ok"))
    assert (job.id, job.state) == (begun.id, "done")
    assert any("reviewers" in line for line in job.lines)


def test_a_job_that_fails_ends_with_the_reason(tmp_path, verbs, patient):
    jobs.start(tmp_path / "state", tmp_path, "bad", by="anna")
    job = patient(lambda: ended(tmp_path / "state", "bad"))
    assert job.state == "failed"
    assert "has no show.toml" in job.lines[-1]


def test_two_starts_are_one_job(tmp_path, verbs, patient):
    first = jobs.start(tmp_path / "state", tmp_path, "ok", by="anna")
    second = jobs.start(tmp_path / "state", tmp_path, "ok", by="ben")
    assert second.id == first.id
    patient(lambda: ended(tmp_path / "state", "ok"))
    assert jobs.start(tmp_path / "state", tmp_path, "ok", by="ben").id != first.id
    patient(lambda: ended(tmp_path / "state", "ok"))


def test_a_job_that_was_killed_died_and_does_not_run_for_ever(tmp_path, verbs, patient):
    state = tmp_path / "state"
    begun = jobs.start(state, tmp_path, "ok", by="anna")
    events = state / "jobs" / begun.id / "events.jsonl"
    pid = patient(lambda: [e["pid"] for e in jobs.Reader(events).poll() if "pid" in e])[0]
    os.killpg(pid, signal.SIGKILL)
    assert patient(lambda: ended(state, "ok")).state == "died"
    assert jobs.start(state, tmp_path, "ok", by="anna").id != begun.id
    patient(lambda: ended(state, "ok"))


def test_a_job_can_be_stopped(tmp_path, verbs, patient):
    state = tmp_path / "state"
    begun = jobs.start(state, tmp_path, "ok", by="anna")
    events = state / "jobs" / begun.id / "events.jsonl"
    patient(lambda: [e for e in jobs.Reader(events).poll() if "pid" in e])
    jobs.stop(state, begun.id, by="ben")
    assert patient(lambda: ended(state, "ok")).state == "stopped"
    with pytest.raises(ValueError, match="does not run"):
        jobs.stop(state, begun.id, by="ben")


@pytest.mark.parametrize("name", ["../../etc", "", "20200101T000000000000-push-abcdef"])
def test_only_the_id_of_a_job_names_one(tmp_path, name):
    with pytest.raises(ValueError, match="does not run"):
        jobs.stop(tmp_path, name, by="anna")


def test_what_is_no_job_cannot_be_started(tmp_path):
    with pytest.raises(ValueError, match="there are push, pull"):
        jobs.start(tmp_path, tmp_path, "rm", by="anna")
