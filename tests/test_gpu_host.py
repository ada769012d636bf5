"""`dailies run` with a GPU host: the bundled show's GPU steps run on a real Ray head, CPU steps here."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from benchmarks.loopback_ssh import SSHD, sshd
from pipeline import control, doctor, host_state
from pipeline.__main__ import app
from pipeline.engine import fingerprint, ray_jobs
from pipeline.engine.store import Store
from pipeline.places import HostTable
from tests import ray_head

# Ray's client says it.
pytestmark = pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")

ROOT = Path(__file__).parents[1]
CUT_LINE = ROOT / "tests/cut_line.py"
OBJECTS = "mirror/objects/*/*"
BREAKS_BYTES = 30_000  # A connection's beginning takes some 6,000.
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def ssh_config(tmp_path_factory):
    if not Path(SSHD).exists():
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    with sshd(tmp_path_factory.mktemp("sshd")) as config:
        yield config


@pytest.fixture(scope="module")
def cuts(tmp_path_factory):
    """The head's line to the mirror breaks once, where this file says so."""
    return tmp_path_factory.mktemp("line") / "cuts"


@pytest.fixture(scope="module")
def head(ssh_config, cuts, tmp_path_factory):
    """A head whose machine has an ssh configuration of its own, by which `mirror` is reached."""
    programs = tmp_path_factory.mktemp("programs")
    line = f"  ProxyCommand {sys.executable} {CUT_LINE} %h %p {BREAKS_BYTES} {cuts}\n"
    # By another name, or it would share our connection, as it cannot from another machine.
    config = ssh_config.read_text().replace("HostName 127.0.0.1", "HostName localhost")
    (programs / "ssh_config").write_text(config + line)
    (programs / "sftp").write_text(f'#!/bin/sh\nexec {shutil.which("sftp")} -F {programs}/ssh_config "$@"\n')
    (programs / "sftp").chmod(0o755)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    with ray_head.ray_head(gpus=1, PATH=path) as started:
        yield started


def until(condition):
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def copied(folder, more="", settings=""):
    """The bundled show with its shorter episode."""
    shutil.copytree(ROOT / "examples/spies", folder, ignore=shutil.ignore_patterns(".dailies", "generator"))
    path = folder / "show.toml"
    text = path.read_text()
    assert "\n[settings]" not in text
    path.write_text(f'exclude = ["s01e01"]\n{text}\n[settings]\n{settings}{more}')
    return folder


def runs(show):
    heads = Store(show / ".dailies/store").root / "heads"
    store = Store(show / ".dailies/store")
    return {path.parent.name: store.head(path.parent.name, path.name) for path in heads.glob("*/*")}


def outputs(show):
    store = Store(show / ".dailies/store")
    heads = [path.parts[-2:] for path in store.root.glob("heads/*/*")]
    return {node: store.head(*node).output for node in heads}


def events(show):
    """What its runs told, the last run's last."""
    paths = sorted(show.glob(".dailies/runs/*/events.jsonl"))
    return [[json.loads(line) for line in path.read_text().splitlines()] for path in paths]


def started(show):
    return {e["step"]: e["place"] for run in events(show) for e in run if e["event"] == "job started"}


def made(run):
    """How far the items of a run's last job have come."""
    return max((e["done"] for e in run if e["event"] == "items"), default=0)


def submitted(head):
    return [(job["submission_id"], job["start_time"]) for job in head.ask("/api/jobs/")]


def session(head):
    return host_state.ask("gpu", HostTable(address=head.address, token=head.token)).session


def test_a_run_whose_control_is_killed_attaches_and_one_whose_head_is_killed_goes_on_at_its_item(
    head, ssh_config, cuts, tmp_path, monkeypatch
):
    """And the line between host and mirror breaks, once while the job gets its data and once while it sends its run."""
    host = f'[hosts.gpu]\naddress = "{head.address}"\nfolder = "{tmp_path}/host"\n[places]\nstep1-scenes = "gpu"\n'
    mirror = f'mirror = "sftp://mirror{tmp_path}/mirror"\nssh_config = "{ssh_config}"\n'
    show = copied(tmp_path / "show", host, mirror)
    monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", head.token)
    command = (sys.executable, "-m", "pipeline", "run", "step1-scenes", "--show", show)
    cuts.write_text("once")
    with (tmp_path / "said").open("w") as said:
        first = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
    until(lambda: first.poll() is not None or [run for run in events(show) if made(run)])
    assert first.poll() is None, (tmp_path / "said").read_text()
    assert not cuts.exists(), "the line broke"
    [job] = [
        each for each in psutil.process_iter(["cmdline"]) if f"{tmp_path}/host/spies" in (each.info["cmdline"] or ())
    ]
    job.send_signal(signal.SIGSTOP)  # It stays in the middle of its step.
    first.kill()
    first.wait()
    before = submitted(head)
    assert len(before) == 1

    monkeypatch.setattr(ray_jobs, "LOST_SECONDS", 0.2)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(control.run, control.open_show(show), ["step1-scenes"])
        until(lambda: second.done() or (len(events(show)) == 2 and made(events(show)[-1])))
        assert submitted(head) == before, "it attached"
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("host/spies/store/memo/step1-scenes/*/*")}
        assert 0 < len(kept) < 6
        before = session(head)
        head.kill()
        [(_, message)] = second.result(PATIENCE_SECONDS).failed
    assert message.startswith(f"host gpu does not answer any more at {head.address}: start it again (`dailies host up")
    assert "and run again" in message
    assert "\n" not in message

    head.start()
    assert session(head) != before, "by that a host is known to be another one now"
    cuts.write_text("once")
    report = control.run(control.open_show(show), ["step1-scenes"])
    assert not cuts.exists(), "the line broke"
    assert [node for node, *_ in report.ran] == [("step1-scenes", "s01e02")], report
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was done is not done again"
    assert next(e["kept"] for e in events(show)[-1] if e["event"] == "items") == len(kept)
    assert len(submitted(head)) == 1
    assert not list(tmp_path.glob("mirror/state/job-*")), "what a job was told goes when it ends"
    assert all(fingerprint.of_file(path) == path.parent.name + path.name for path in tmp_path.glob(OBJECTS))


def test_one_run_uses_two_hosts_and_this_machine_and_one_without_a_gpu_says_so_in_a_line(head, tmp_path, monkeypatch):
    def twice(folder, *more):
        show = copied(folder, *more)
        for path in (show / "episodes").glob("s01e02.*"):
            shutil.copy(path, path.with_name(path.name.replace("e02", "e03")))
        return show

    with ray_head.ray_head(gpus=0) as other:
        heads = {"gpu": head, "other": other}
        tables = "".join(
            f'[hosts.{name}]\naddress = "{each.address}"\nfolder = "{tmp_path}/{name}"\n'
            for name, each in heads.items()
        )
        places = '[places]\nstep1-scenes = "anywhere"\nstep2-bible = "gpu"\nstep2-transcript-base = "other"\n'
        show = twice(tmp_path / "show", tables + places, f'mirror = "file://{tmp_path}/mirror"\n')
        for name, each in heads.items():
            monkeypatch.setenv(f"DAILIES_HOST_{name.upper()}_TOKEN", each.token)
        report = control.run(control.open_show(show), ["step2-transcript-base"])
        taken = {name: {job for job, _ in submitted(each)} for name, each in heads.items()}
    assert len(report.ran) == 3, report
    assert {message for _, message in report.failed} == {message for _, message in report.failed[:1]}
    assert report.failed[0][1].startswith("Ray knows 0 GPUs on host other, the job needs 1: start Ray where they are")
    assert "\n" not in report.failed[0][1]
    where = {
        (e["step"], e["unit"]): (e["place"], e["name"])
        for e in events(show)[0]
        if e["event"] == "job started" and e["device"] == "cpu"
    }
    assert sorted(place for place, _ in where.values()) == ["gpu", "local", "other"]
    identity = Store(show / ".dailies/store").identity()
    for place, name in where.values():
        assert {host for host in heads if f"{name}-{identity}" in taken[host]} == {place} - {"local"}
        assert {host for host in heads if (tmp_path / host / "spies/store/runs" / name).exists()} == {place} - {"local"}
    [made_here] = [unit for (_, unit), (place, _) in where.items() if place == "local"]
    here = twice(tmp_path / "here")
    for path in (here / "episodes").glob(f"{made_here}.*"):
        path.unlink()
    control.run(control.open_show(here), ["step1-scenes", "step2-bible"])
    assert outputs(here).keys() == {node for node, (place, _) in where.items() if place != "local"}
    assert outputs(here).items() < outputs(show).items()


def test_a_full_disk_on_the_host_is_told_in_a_line_and_the_next_run_finishes(head, tmp_path, monkeypatch):
    (disk := tmp_path / "disk").mkdir()
    if subprocess.run(("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk), check=False).returncode:
        pytest.skip("a small disk of its own needs root")
    try:
        host = f'[hosts.full]\naddress = "{head.address}"\nfolder = "{disk}"\n[places]\nstep2-bible = "full"\n'
        show = copied(tmp_path / "show", host, f'mirror = "file://{tmp_path}/mirror"\n')
        monkeypatch.setenv("DAILIES_HOST_FULL_TOKEN", head.token)
        with (disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
            filler.write(bytes(5 << 20))
        [(_, message)] = control.run(control.open_show(show), ["step2-bible"]).failed
        assert message.startswith(f"the disk of host full is full ({disk}/spies/store): free some space there")
        assert "\n" not in message
        (disk / "filler").unlink()
        assert control.run(control.open_show(show), ["step2-bible"]).ran
    finally:
        subprocess.run(("umount", "--lazy", disk), check=True)


@pytest.mark.weights
def test_gpu_steps_run_there_cpu_steps_here_and_what_they_make_is_the_same(head, tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    host = f'[hosts.gpu]\naddress = "{head.address}"\nfolder = "{tmp_path}/host"\n'
    host = f'[hosts.away]\naddress = "http://127.0.0.1:9"\n{host}'  # It is asked first, and passed over.
    show = copied(tmp_path / "there", host, f'mirror = "file://{tmp_path}/mirror"\n')
    monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", "wrong")
    refused = CliRunner().invoke(app, ["run", "step2-transcript-base", "--show", str(show)])
    assert refused.exit_code == 1
    assert "host gpu refuses the token" in refused.output
    monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", head.token)
    [checked] = [check for check in doctor.examine(control.open_show(show)) if check.name == "host gpu"]
    assert (checked.level, f"with 1 GPUs at {head.address}" in checked.finding) == ("ok", True), checked
    report = control.run(control.open_show(show), ["step2-transcript-base"])
    assert [node for node, *_ in report.ran] == [("step2-transcript-base", "s01e02")], report
    head.kill()
    assert started(show) == {"step1-scenes": "local", "step2-bible": "local", "step2-transcript-base": "gpu"}
    again = control.run(control.open_show(show), ["step2-transcript-base"])
    assert not again.ran, "what came from the host is fresh, also once the host is gone"
    here = copied(tmp_path / "here")
    control.run(control.open_show(here), ["step2-transcript-base"])
    there = runs(show)
    assert {step: run.output for step, run in runs(here).items()} == {step: run.output for step, run in there.items()}


def test_a_host_without_a_mirror_or_a_place_that_there_is_not_is_refused_before_anything_runs(tmp_path):
    show = copied(tmp_path / "show", "[hosts.gpu]\n")
    with pytest.raises(ValueError, match="set `mirror` in"):
        control.run(control.open_show(show), ["step2-transcript-base"])
    other = copied(tmp_path / "other", '[places]\nstep2-transcript-base = "moon"\n')
    with pytest.raises(ValueError, match="there is no host 'moon'; there are local, anywhere"):
        control.run(control.open_show(other), ["step2-transcript-base"])
    assert not list(tmp_path.glob("*/.dailies/runs/*"))
