"""`dailies run` with a GPU host: the bundled show's GPU steps run on a real Ray head, CPU steps here."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline import control
from pipeline.__main__ import app
from pipeline.engine.store import Store
from tests import ray_head

ROOT = Path(__file__).parents[1]


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


def started(show):
    lines = [line for path in show.glob(".dailies/runs/*/events.jsonl") for line in path.read_text().splitlines()]
    return {e["step"]: e["place"] for line in lines if (e := json.loads(line))["event"] == "job started"}


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore:ssl=None is deprecated:DeprecationWarning")  # Ray's client says it.
def test_gpu_steps_run_there_cpu_steps_here_and_what_they_make_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "mirror").mkdir()
    with ray_head.ray_head(gpus=1) as head:
        host = f'[hosts.gpu]\naddress = "{head.address}"\nfolder = "{tmp_path}/host"\n'
        show = copied(tmp_path / "there", host, f'mirror = "file://{tmp_path}/mirror"\n')
        monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", "wrong")
        refused = CliRunner().invoke(app, ["run", "step2-transcript-base", "--show", str(show)])
        assert refused.exit_code == 1
        assert "host gpu refuses the token" in refused.output
        monkeypatch.setenv("DAILIES_HOST_GPU_TOKEN", head.token)
        report = control.run(control.open_show(show), ["step2-transcript-base"])
        assert [node for node, *_ in report.ran] == [("step2-transcript-base", "s01e02")], report
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
    with pytest.raises(ValueError, match="there is no such host; there are local, anywhere"):
        control.run(control.open_show(other), ["step2-transcript-base"])
    assert not list(tmp_path.glob("*/.dailies/runs/*"))
