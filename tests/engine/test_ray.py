"""Jobs on a real Ray cluster, with a real mirror between its store and ours."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from pipeline import sites
from pipeline.engine import code, ray_jobs
from pipeline.engine.events import Events
from pipeline.engine.mirror import Fetcher, Mirror
from pipeline.engine.mirror_known import name_of
from pipeline.engine.ray import RayExecutor, RayHost
from pipeline.engine.records import File
from pipeline.engine.remote import ANSWER, EVENT, MARK, asks_text, job_text
from pipeline.engine.run import REQUESTS
from pipeline.engine.store import Store
from pipeline.engine.worker import Answer, Job
from pipeline.places import HostTable
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
    from patient.steps import step1_wait, step2_items

    def make(name, limit=None, step=None, **config):
        module = step2_items if step == "step2-items" else step1_wait
        settings = module.Config(**config).model_dump()
        recipe = {"step": step or "step1-wait", "version": 1, "config": settings, "inputs": {}}
        recipe["code"] = code.digests(sys.modules[module.__name__])
        return Job(
            registry="patient.dag", show="toy", step=recipe["step"], unit="show", name=name, recipe=recipe,
            memo_code="0" * 64, store=tmp_path / "store", cache=tmp_path / "cache", events=tmp_path / "events.jsonl",
            log=tmp_path / "log", requests=tmp_path / REQUESTS, limit=limit,
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
    (tmp_path / "mirror" / name_of(run.output)).unlink()
    other = job.model_copy(update={"store": tmp_path / "other"})
    with RayExecutor(host, Store(tmp_path / "other")) as executor:
        lost = executor.submit(other, "cuda").result(PATIENCE_SECONDS)
    assert (lost.run, lost.made) == (run, False), "what the mirror lost the host sends again"


def test_who_comes_again_attaches_to_the_job_that_runs_what_both_ask_is_heard_and_an_ordered_end_stops_it(
    host, head, make, tmp_path
):
    job = make("0b-toy-step1-wait-1")
    first = RayExecutor(host, Store(tmp_path / "store"))
    first.submit(job, "cuda")  # And whoever asked is gone: nobody reads the answer.
    until(lambda: said(tmp_path) == ["begun"])
    (tmp_path / "events.jsonl").unlink()
    twin = job.model_copy(update={"requests": tmp_path / "twins.jsonl"})
    with pytest.raises(KeyboardInterrupt), RayExecutor(host, Store(tmp_path / "store")) as second:  # noqa: PT012
        future = second.submit(twin, "cuda")
        until(lambda: "begun" in said(tmp_path))
        assert len(list(Path(host.folder).glob("toy/jobs/*"))) == 1
        Events(job.requests).emit("asked", step="step1-wait", ask="save")
        Events(twin.requests).emit("asked", step="step1-wait", ask="sample")
        until(lambda: {"save", "sample"} <= set(" ".join(said(tmp_path)).split()))
        raise KeyboardInterrupt
    answer = future.result(0)
    assert answer.error == "stopped as was asked"
    assert not list(tmp_path.glob("mirror/state/asks-*"))
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


def submitted(head):
    return [job["submission_id"] for job in head.ask("/api/jobs/") if "toy" in job["submission_id"]]


def begun(folder, index):
    path = folder / f"begun-{index}"
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_an_item_whose_process_is_killed_is_made_by_another_and_the_job_finishes(host, make, tmp_path):
    (tmp_path / "held").touch()
    job = make("0d-toy-step2-items-1", step="step2-items", at=str(tmp_path), count=4)
    with RayExecutor(host, Store(tmp_path / "store")) as executor:
        future = executor.submit(job, "cuda")
        # The job's own process and one member, an item in the hands of each.
        until(lambda: len([i for i in range(4) if begun(tmp_path, i)]) == 2 or future.done())
        hands = {begun(tmp_path, i)[0]: i for i in range(4) if begun(tmp_path, i)}
        [member] = [pid for pid in hands if "ray::" in psutil.Process(pid).cmdline()[0]]
        os.kill(member, signal.SIGKILL)
        (tmp_path / "held").unlink()
        answer = future.result(PATIENCE_SECONDS)
    assert answer.error is None
    assert answer.made
    counts = [len(begun(tmp_path, i)) for i in range(4)]
    assert counts == [2 if i == hands[member] else 1 for i in range(4)]
    assert {pid for i in range(4) for pid in begun(tmp_path, i)} > set(hands), "another process took its place"


def test_a_sample_of_spread_items_brings_the_files_that_they_name_and_leaves_the_rest_to_the_whole_job(
    host, make, tmp_path
):
    store = Store(tmp_path / "store")
    store.fetch = Fetcher(store, host.mirror, None)
    with RayExecutor(host, store) as executor:
        items = {"step": "step2-items", "at": str(tmp_path), "count": 5}
        few = executor.submit(make("0e-toy-step2-items-1", limit=3, **items), "cuda").result(PATIENCE_SECONDS)
        assert (few.error, few.sample.total) == (None, 5)
        files = [File.model_validate(json.loads(path.read_text())["file"]) for path in few.sample.items]
        assert [store.path_of(file).read_text() for file in files] == ["item 0", "item 1", "item 2"]
        whole = executor.submit(make("0e-toy-step2-items-1", **items), "cuda").result(PATIENCE_SECONDS)
    assert whole.error is None
    assert [len(begun(tmp_path, index)) for index in range(5)] == [1] * 5


def test_a_step_that_ends_as_it_is_told_ends_its_spread_too_and_keeps_all_items(host, make, tmp_path):
    job = make("0f-toy-step2-items-1", step="step2-items", at=str(tmp_path), count=4, stops=True)
    with RayExecutor(host, Store(tmp_path / "store")) as executor:
        answer = executor.submit(job, "cuda").result(PATIENCE_SECONDS)
    assert answer.error == "stopped as was asked"
    assert len(list(Path(host.folder).glob("toy/store/memo/step2-items/*/*.json"))) == 4
    until(lambda: not any(psutil.pid_exists(begun(tmp_path, index)[0]) for index in range(4)))


def test_two_shows_of_one_name_do_not_take_each_others_jobs_and_two_runs_of_one_show_share_theirs(
    host, head, make, tmp_path
):
    (tmp_path / "mirror2").mkdir()
    other = replace(host, mirror=f"file://{tmp_path}/mirror2", mirror_there=f"file://{tmp_path}/mirror2")
    job = make("0g-toy-step2-items-1", step="step2-items", at=str(tmp_path), count=1)
    theirs = job.model_copy(update={"store": tmp_path / "theirs"})
    (tmp_path / "held").touch()
    before = set(submitted(head))
    with (
        RayExecutor(host, Store(job.store)) as ours,
        RayExecutor(host, Store(job.store)) as twin,
        RayExecutor(other, Store(theirs.store)) as foreign,
    ):
        futures = [ours.submit(job, "cuda"), twin.submit(job, "cuda"), foreign.submit(theirs, "cuda")]
        until(lambda: len(set(submitted(head)) - before) == 2)
        (tmp_path / "held").unlink()
        assert [future.result(PATIENCE_SECONDS).error for future in futures] == [None, None, None]
    assert len(set(submitted(head)) - before) == 2
    assert Store(job.store).find_run(job.name)
    assert Store(theirs.store).find_run(job.name)


def test_a_job_that_wants_more_gpus_than_ray_knows_is_refused(host, head, make, tmp_path):
    table = HostTable(address=head.address, token=head.token)
    few = replace(host, check=lambda gpus: sites.refuse_too_few("gpu", table, gpus))
    job = make("0h-toy-step1-wait-1")
    eight = job.model_copy(update={"recipe": {**job.recipe, "config": {**job.recipe["config"], "gpus": 8}}})
    with RayExecutor(few, Store(tmp_path / "store")) as executor:
        answer = executor.submit(eight, "cuda").result(PATIENCE_SECONDS)
    assert answer.error.startswith("Ray knows 2 GPUs on host gpu, the job needs 8: ")
    assert "\n" not in answer.error


def there(job, host, tmp_path, gpus, **environ):
    """The host's half alone, as Ray would start it: its answer, and what it told before."""
    store = Store(tmp_path / "host" / "toy" / "store")
    Mirror(store, host.mirror).push([])
    Mirror(store, host.mirror).write(job_text("alone"), job.model_copy(update={"host": "gpu"}).model_dump_json())
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        (sys.executable, "-m", "pipeline.engine.remote", "alone", host.mirror, str(tmp_path / "host/toy"), gpus, "gpu"),
        env={**clean, "PYTHONPATH": os.pathsep.join(map(str, (HERE.parents[1], HERE))), **environ},
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    *before, last = done.stdout.rstrip("\n").split("\n")  # MARK would split a line, too.
    assert last.startswith(f"{MARK}{ANSWER}"), done.stdout + done.stderr
    return Answer.model_validate_json(last.removeprefix(f"{MARK}{ANSWER}")), before


def test_a_cluster_that_takes_no_members_is_told_as_that(host, make, tmp_path):
    job = make("0i-toy-step2-items-1", step="step2-items", at=str(tmp_path))
    answer, _ = there(job, host, tmp_path, "2", RAY_ADDRESS="nowhere:0:0")
    assert answer.error.startswith("on host gpu: Ray takes no processes of this job (")


def test_a_cluster_that_does_not_answer_is_not_waited_for_without_an_end(monkeypatch):
    """In a process of its own: Ray's thread waits on."""
    code = (
        "from pipeline.engine import cluster\ncluster.JOIN_SECONDS = 2\n"
        "try:\n  with cluster.over_cluster(print): pass\nexcept cluster.ClusterError as error: print(error)"
    )
    with socket.socket() as deaf:  # It takes calls, and says nothing.
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{deaf.getsockname()[1]}")
        done = subprocess.run(
            (sys.executable, "-c", code), cwd=HERE.parents[1], capture_output=True, text=True, check=True,
            timeout=PATIENCE_SECONDS,
        )  # fmt: skip
    assert "Ray takes no processes of this job (no answer in 2 s): is it up" in done.stdout


def test_a_host_that_takes_calls_and_says_nothing_is_given_up(host, make, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_jobs, "ANSWER_SECONDS", 0.5)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with RayExecutor(replace(host, address=address), Store(tmp_path / "store")) as executor:
            answer = executor.submit(make("0j-toy-step1-wait-1"), "cuda").result(PATIENCE_SECONDS)
    assert answer.error.startswith(f"host gpu does not answer any more at {address}: start it again")
    assert "\n" not in answer.error


def test_a_job_that_would_keep_its_state_says_when_ray_would_leave_it_no_time(host, make, tmp_path):
    job = make("0k-toy-step1-wait-1", finishes=True)
    asks = tmp_path / "asks.jsonl"
    Events(asks).emit("asked", step="step1-wait", ask="save")
    mirror = Mirror(Store(tmp_path / "store"), host.mirror)
    mirror.push([])  # The folders are there.
    mirror.write(asks_text("alone", "a-run"), asks.read_text())
    answer, before = there(job, host, tmp_path, "1")
    assert answer.made
    told = [json.loads(line.removeprefix(f"{MARK}{EVENT}")) for line in before if line.startswith(f"{MARK}{EVENT}")]
    [warning] = [event["message"] for event in told if event["event"] == "log"]
    assert warning.startswith("Ray on this host kills a job 3 s after it is told to stop: ")


def test_a_job_whose_ray_is_started_anew_meanwhile_is_told_as_that(host, head, make, tmp_path, monkeypatch):
    """The last test here: what its head knew is gone."""
    monkeypatch.setattr(ray_jobs, "LOST_TRIES", 10_000)
    monkeypatch.setattr(ray_jobs, "LOST_SECONDS", 0.2)
    with RayExecutor(host, Store(tmp_path / "store")) as executor:
        future = executor.submit(make("0l-toy-step1-wait-1"), "cuda")
        until(lambda: said(tmp_path) == ["begun"] or future.done())
        head.kill()
        head.start()
        answer = future.result(PATIENCE_SECONDS)
    assert answer.error == "Ray on host gpu was started anew meanwhile: run again; finished items are kept there"
