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
from pipeline import control, doctor
from pipeline.__main__ import app
from pipeline.engine import ray_jobs
from pipeline.engine.store import Store
from tests import ray_head

# Ray's client says it.
pytestmark = pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 120


@pytest.fixture(scope="module")
def ssh_config(tmp_path_factory):
    if not Path(SSHD).exists():
        pytest.skip("no sshd (Debian: apt-get install openssh-server)")
    with sshd(tmp_path_factory.mktemp("sshd")) as config:
        yield config


@pytest.fixture(scope="module")
def head(ssh_config, tmp_path_factory):
    """A head whose machine has an ssh configuration of its own, by which `mirror` is reached."""
    programs = tmp_path_factory.mktemp("programs")
    (programs / "sftp").write_text(f'#!/bin/sh\nexec {shutil.which("sftp")} -F {ssh_config} "$@"\n')
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


def test_a_run_whose_control_is_killed_attaches_and_one_whose_head_is_killed_goes_on_at_its_item(
    head, ssh_config, tmp_path, monkeypatch
):
    host = f'[hosts.gpu]\naddress = "{head.address}"\nfolder = "{tmp_path}/host"\n[places]\nstep1-scenes = "gpu"\n'
    mirror = f'mirror = "sftp://mirror{tmp_path}/mirror"\nssh_config = "{ssh_config}"\n'
    show = copied(tmp_path / "show", host, mirror)
    monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", head.token)
    command = (sys.executable, "-m", "pipeline", "run", "step1-scenes", "--show", show)
    with (tmp_path / "said").open("w") as said:
        first = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=said)
    until(lambda: first.poll() is not None or [run for run in events(show) if made(run)])
    assert first.poll() is None, (tmp_path / "said").read_text()
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
        head.kill()
        [(_, message)] = second.result(PATIENCE_SECONDS).failed
    assert message.startswith(f"host gpu does not answer any more at {head.address}: start it again (`dailies host up")
    assert "and run again" in message
    assert "\n" not in message

    head.start()
    report = control.run(control.open_show(show), ["step1-scenes"])
    assert [node for node, *_ in report.ran] == [("step1-scenes", "s01e02")], report
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was done is not done again"
    assert next(e["kept"] for e in events(show)[-1] if e["event"] == "items") == len(kept)
    assert len(submitted(head)) == 1
    assert not list(tmp_path.glob("mirror/state/job-*")), "what a job was told goes when it ends"


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
