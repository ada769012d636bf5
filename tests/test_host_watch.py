"""A host that idles is stopped once, and never while anything may still need it."""

import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest

from benchmarks.season import Season
from pipeline import host_state, hosts, panel_log
from pipeline.engine.upkeep import IN_USE
from pipeline.host_state import Glances, HostJob, HostState
from pipeline.host_watch import GIVE_UP_SECONDS, Watch, says
from pipeline.places import HostTable
from pipeline.show import open_show
from tests import ray_head

IDLE = HostState(
    session="first",
    ray="2.60.0",
    machines=1,
    cpus=2,
    load=0.1,
    memory_bytes=8 << 30,
    memory_used_bytes=1 << 30,
    disk_bytes=100,
    disk_free_bytes=50,
    gpus=(),
    gpus_declared=2.0,
    gpus_used=0.0,
    jobs=(),
    idle_seconds=700.0,
)
BUSY = replace(IDLE, jobs=(HostJob("a-job", "running", datetime(2026, 11, 2, tzinfo=UTC), ""),), idle_seconds=None)
HOST = (
    '\n[hosts.gpu]\nprice_per_hour = 3.6\nidle_minutes = 10\nstop_command = "echo $DAILIES_HOST >> stopped; echo bye"\n'
)


@pytest.fixture
def show(tmp_path):
    folder = Season(tmp_path / "show", episodes=1).folder
    with (folder / "show.toml").open("a") as file:
        file.write(HOST)
    return open_show(folder)


@pytest.fixture
def watch(show):
    """Begins to watch with these answers, one after the other; the last stays. A ValueError is one, too."""

    def begin(*answers, clock=lambda: 0.0):
        told, left = [], list(answers)

        def ask(name, table):
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, ValueError):
                raise answer
            return answer

        found = Watch(show, told.append, ask=ask, clock=clock)
        found.begin()
        return found, told

    return begin


def stopped(show):
    path = show.folder / "stopped"
    return path.read_text().split() if path.exists() else []


def test_an_idle_host_is_stopped_once_and_it_is_written_down(show, watch):
    watching, told = watch(IDLE)
    assert not watching.look()
    assert stopped(show) == ["gpu"]
    assert told == ["host gpu had no job for 11 min: its stop_command ran. bye"]
    (entry,) = panel_log.entries(show.folder)
    assert (entry.what, entry.where, entry.outcome) == ("stop host", "gpu", "done")
    again, _ = watch(IDLE)
    assert again.look(), "it is up still, and may get a job"
    assert stopped(show) == ["gpu"]
    assert "`stop_command` ran" in says(show, "gpu", show.file.hosts["gpu"], IDLE)
    another, _ = watch(replace(IDLE, session="second"))
    another.look()
    assert stopped(show) == ["gpu", "gpu"]


@pytest.mark.parametrize(
    "answers", [(BUSY,), (replace(IDLE, idle_seconds=599.0),), (IDLE, BUSY), (ValueError("it does not answer"),)]
)
def test_a_host_that_may_be_in_use_is_never_stopped(show, watch, answers):
    watching, _ = watch(*answers)
    assert watching.look()
    assert stopped(show) == []


def test_a_host_that_a_run_goes_on_to_need_is_not_stopped(show, watch):
    (show.folder / "show.toml").write_text(
        (show.folder / "show.toml").read_text() + '[places]\nstep3-wan21-package = "gpu"\n'
    )
    watching, _ = watch(IDLE)
    with show.store.lock(IN_USE, shared=True):
        assert watching.look()
    assert stopped(show) == []
    watching.look()
    assert stopped(show) == ["gpu"]


def test_a_command_that_fails_is_told_and_not_tried_again(show, watch):
    text = (show.folder / "show.toml").read_text()
    (show.folder / "show.toml").write_text(text.replace("echo bye", "echo no such server; exit 3"))
    watching, told = watch(IDLE)
    assert not watching.look()
    assert told == ["host gpu is idle, and its stop_command failed: exit code 3. no such server"]
    assert panel_log.entries(show.folder)[0].outcome == "failed"
    watch(IDLE)[0].look()
    assert stopped(show) == ["gpu"]


def test_a_host_that_is_gone_for_an_hour_is_watched_no_more(show, watch):
    now = [0.0]
    watching, told = watch(ValueError("it does not answer."), clock=lambda: now[0])
    assert watching.look()
    now[0] = GIVE_UP_SECONDS + 1
    assert not watching.look()
    assert "may still cost" in told[0]


def test_two_do_not_watch_one_show(show, watch):
    watching, _ = watch(BUSY)
    with show.store.lock("host-watch"), pytest.raises(ValueError, match="another process"):
        watching.stay()


NODE = {
    "now": 1000.0,
    "cpu": 50.0,
    "cpus": [8, 4],
    "mem": [64 << 30, 48 << 30, 25.0, 16 << 30],
    "disk": {"/": {"total": 100, "used": 40, "free": 60, "percent": 40.0}},
    "gpus": [{"index": 0, "name": "NVIDIA L40S", "utilizationGpu": 83, "memoryUsed": 1024, "memoryTotal": 46068,
              "powerMw": 301000, "temperatureC": 61}],
    "raylet": {"state": "ALIVE", "startTimeMs": "100000", "resourcesTotal": {"GPU": 2.0}},
}  # fmt: skip
VERSION = {"ray_version": "2.60.0", "session_name": "first"}


def answers(jobs=(), used=0.0, nodes=(NODE,)):
    usage = {"clusterStatus": {"time": 1001.0, "loadMetricsReport": {"usage": {"GPU": [used, 2.0]}}}}
    return VERSION, {"data": {"summary": list(nodes)}}, {"data": usage}, list(jobs)


def job(status, end=None):
    return {"submission_id": "a", "job_id": None, "status": status, "start_time": 500_000, "end_time": end}


def test_cards_are_read_as_ray_tells_them():
    found = host_state.parsed(*answers())
    (card,) = found.gpus
    assert (card.use, card.watts, card.celsius, card.used_bytes) == (0.83, 301.0, 61, 1 << 30)
    assert (found.cpus, found.load, found.memory_used_bytes) == (8, 4.0, 16 << 30)


def test_a_machine_that_has_just_joined_and_told_nothing_counts_with_the_gpus_declared_for_it():
    joined = {"raylet": {"state": "ALIVE", "resourcesTotal": {"GPU": 2.0}}}
    version, nodes, _, jobs = answers(nodes=[joined])
    found = host_state.parsed(version, nodes, {"data": {}}, jobs)
    assert (found.machines, found.cpus, found.gpus, found.gpus_declared) == (1, 0, (), 2.0)


def test_idle_time_counts_from_the_last_job_or_the_start_by_the_clock_of_the_host():
    assert host_state.parsed(*answers()).idle_seconds == 901.0
    assert host_state.parsed(*answers([job("SUCCEEDED", 700_000)])).idle_seconds == 301.0
    assert host_state.parsed(*answers([job("RUNNING")])).idle_seconds is None
    assert host_state.parsed(*answers([job("PENDING")])).idle_seconds is None
    assert host_state.parsed(*answers(used=1.0)).idle_seconds is None
    assert host_state.parsed(*answers(nodes=())).idle_seconds is None


def test_a_page_waits_for_no_host(show):
    def never(name, table):
        raise ValueError("host gpu does not answer")

    glances = Glances(ask=never)
    (_, host) = hosts.hosts(show, glances)
    assert (host.state, host.problem, host.machine) == ("away", "host gpu does not answer", None)
    table = HostTable()
    slow = Glances(ask=lambda name, table: time.sleep(1), first_wait=0.01)
    assert slow.look("gpu", table) == host_state.Glance()


def test_a_host_that_is_idle_tells_what_that_costs(show):
    (_, host) = hosts.hosts(show, Glances(ask=lambda name, table: IDLE))
    assert host.state == "idle"
    assert host.idle_money == pytest.approx(0.7)
    assert "Nobody watches now" in host.stop


def test_a_real_host_tells_what_runs_there_and_only_to_who_has_its_token():
    with ray_head.ray_head(gpus=2, cpus=2) as head:
        table = HostTable(address=head.address, token=head.token)
        state = host_state.ask("gpu", table)
        assert (state.machines, state.gpus_declared, state.gpus_used, state.jobs) == (1, 2.0, 0.0, ())
        assert state.idle_seconds is not None
        headers = {"Authorization": f"Bearer {head.token}"}
        job = {"entrypoint": "sleep 100", "submission_id": "a-job", "entrypoint_num_gpus": 2}
        httpx.post(f"{head.address}/api/jobs/", json=job, headers=headers, trust_env=False).raise_for_status()
        state = host_state.ask("gpu", table)
        assert [sent.id for sent in state.jobs] == ["a-job"]
        assert state.idle_seconds is None
        for token, words in ((None, "wants its token"), ("another", "refuses the token")):
            with pytest.raises(ValueError, match=words):
                host_state.ask("gpu", HostTable(address=head.address, token=token))
    with pytest.raises(ValueError, match="does not answer"):
        host_state.ask("gpu", table)
