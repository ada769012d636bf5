"""A launch: one run however often it is asked for, settings saved with their comments, an end that ends everything."""

import os
import shutil
import subprocess
import sys
import time
import tomllib

import psutil
import pytest

from app.launch import fields
from pipeline import control, dag, jobs, launching
from pipeline.launching import Request
from pipeline.show import open_show

PRESS = "import sys, pathlib; from pipeline import launching; from pipeline.show import open_show; "
PRESS += "print(launching.launch(open_show(pathlib.Path(sys.argv[1])), "
PRESS += "launching.Request(('step1-scenes',)), by=sys.argv[2]).id)"


@pytest.fixture
def show(spies, tmp_path):
    folder = tmp_path / "spies"
    shutil.copytree(spies, folder, ignore=shutil.ignore_patterns("generator", "truth", ".dailies"))
    return open_show(folder)


def until(what, seconds=90):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.1)
    return found


def test_two_processes_that_launch_at_once_start_one_run_and_a_cancel_ends_its_tree(show):
    command = [sys.executable, "-c", PRESS, str(show.folder)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    both = [subprocess.Popen([*command, who], stdout=subprocess.PIPE, text=True, env=env) for who in ("anna", "ben")]
    ids = {process.communicate(timeout=90)[0].strip() for process in both}
    assert len(ids) == 1
    (job,) = jobs.running(show.state)
    assert {job.id} == ids
    events = show.state / "jobs" / job.id / "events.jsonl"
    pid = until(lambda: [e["pid"] for e in jobs.Reader(events).poll() if e["event"] == "running"])[0]
    is_worker = "pipeline.engine.worker"
    workers = until(lambda: [c for c in psutil.Process(pid).children(recursive=True) if is_worker in c.cmdline()])
    control.stop(show, job.id, by="ben")
    ended = until(
        lambda: (
            None if jobs.running(show.state) else jobs.newest(show.state, f"launch.{Request(('step1-scenes',)).key}")
        )
    )
    assert (ended.state, ended.stopped_by) == ("stopped", "ben")
    assert not any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers)
    assert not list(show.store.root.glob("failures/*/*"))


def test_settings_are_saved_with_comments_kept_and_the_default_takes_its_line_out(show):
    text = launching.file_text(show)
    new = launching.with_values(text, "step1-scenes", {("longest_clip",): 6.0})
    assert tomllib.loads(new)["steps"]["step1-scenes"] == {"longest_clip": 6.0}
    assert "# from installed packages" in new
    again = launching.with_values(new, "step1-scenes", {("longest_clip",): launching.UNSET})
    assert tomllib.loads(again)["steps"]["step1-scenes"] == {}
    nested = launching.with_values(text, "step5-ltx2-train", {("speed", "compile"): "off"})
    assert launching.with_text(show, nested).written()["step5-ltx2-train"].speed.compile == "off"


def test_what_somebody_else_changed_meanwhile_is_not_overwritten(show):
    text = launching.file_text(show)
    (show.folder / "show.toml").write_text(text + "# a note\n")
    new = launching.with_values(text, "step1-scenes", {("longest_clip",): 6.0})
    with pytest.raises(ValueError, match="changed by somebody else"):
        launching.launch(show, Request(("step1-scenes",)), by="anna", text=new, seen=text)
    assert (show.folder / "show.toml").read_text() == text + "# a note\n"


@pytest.mark.parametrize("step", [step.name for step in dag.STEPS])
def test_a_form_that_nobody_touched_changes_nothing(step):
    config = next(each.config for each in dag.STEPS if each.name == step)()
    found = fields.fields(config)
    assert fields.read(config, found, {each.path: each.shown for each in found}) == fields.Read({}, {})


def test_what_is_typed_wrong_is_told_at_its_field():
    config = next(each.config for each in dag.STEPS if each.name == "step1-scenes")()
    found = fields.fields(config)
    said = fields.read(config, found, {("longest_clip",): "long", ("scene_look_back",): 0})
    assert set(said.errors) == {("longest_clip",), ("scene_look_back",)}
    whole = fields.read(config, found, {("longest_clip",): "2"})
    assert "twice shortest_clip" in whole.errors[()]
    assert fields.read(config, found, {("longest_clip",): "6"}).edits == {("longest_clip",): 6.0}
