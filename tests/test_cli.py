"""The command line as people and programs use it: every call is a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import dag

ROOT = Path(__file__).parents[1]
EPISODES = ("s01e01", "s01e02")
NODES = [(step.name, unit) for step in dag.STEPS for unit in (EPISODES if step.per == "episode" else ("show",))]


def dailies(*arguments, show=None, **environment):
    command = [sys.executable, "-m", "pipeline", *arguments, *(["--show", str(show)] if show else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


@pytest.fixture
def show(spies, tmp_path):
    """A copy of the bundled show without results."""
    shutil.copytree(spies, tmp_path / "spies", ignore=shutil.ignore_patterns(".dailies", "generator", "truth"))
    return tmp_path / "spies"


def states(show):
    answer = dailies("status", "--json", show=show)
    assert answer.returncode == 0, answer.stderr
    return {(unit["step"], unit["unit"]): unit for unit in json.loads(answer.stdout)}


def test_every_command_has_help():
    commands = ["status", "why", "run", "push", "pull", "up", "demo", "adopt", "report", "init", "doctor"]
    groups = [
        "review examples",
        "store verify",
        "store gc",
        "review add-person",
        "review restore",
        "models",
        "models update",
        "lora",
        "lora show",
        "lora merge",
        "panel",
        "panel user",
        "panel log",
        *(f"host {verb}" for verb in ("init", "up", "down", "status", "ssh-tunnel")),
        "store push",
        "store pull",
    ]
    for command in [*commands, *groups]:
        answer = dailies(*command.split(), "--help")
        assert answer.returncode == 0
        assert "Usage" in answer.stdout


def test_status_lists_every_step_of_every_episode(show):
    found = states(show)
    assert list(found) == NODES
    assert {unit["state"] for unit in found.values()} == {"missing"}
    assert set(found["step1-scenes", "s01e01"]) >= {"step", "unit", "state", "why", "store_path", "seconds"}
    assert found["step3-ltx2-data", "show"]["why"] == "waits for step2-reviewed"


def test_a_step_runs_once_and_why_names_what_changed(show):
    answer = dailies("run", "step2-bible", "--json", show=show)
    assert json.loads(answer.stdout) == {"ran": [["step2-bible", "show"]], "fresh": 0, "failed": []}
    assert json.loads(dailies("run", "step2-bible", "--json", show=show).stdout)["ran"] == []
    bible = show / "bible.toml"
    bible.write_text(bible.read_text().replace("always hungry", "never full"))
    said = dailies("why", "step2-bible", show=show).stdout
    assert "step2-bible show: stale" in said
    assert "input bible-source: file.digest" in said
    assert json.loads(dailies("run", "step2-bible", "--json", show=show).stdout)["ran"] == [["step2-bible", "show"]]


def test_a_broken_episode_fails_alone_with_one_line(show):
    (show / "episodes" / "s01e03.mp4").write_text("<html>not found</html>")
    (show / "episodes" / "s01e01.mp4").unlink()
    answer = dailies("run", "step1-scenes", "--json", show=show)
    assert answer.returncode == 1
    report = json.loads(answer.stdout)
    assert report["ran"] == [["step1-scenes", "s01e02"]]
    ((step, unit, message),) = report["failed"]
    assert (step, unit) == ("step1-scenes", "s01e03")
    assert message.startswith("s01e03.mp4 ")
    assert "\n" not in message
    assert "Traceback" not in answer.stderr
    assert states(show)["step1-scenes", "s01e03"]["state"] == "failed"


def test_what_people_can_mend_is_one_message_and_exit_code_two(show, tmp_path):
    for arguments, part in [
        (("run", "step7-fly"), "there is no step 'step7-fly'; there are step1-scenes"),
        (("run", "-e", "s09e09"), "there is no episode 's09e09'; there are s01e01, s01e02"),
        (("push",), "`dailies run step2-caption` first"),
        (("pull",), "`dailies up` first"),
    ]:
        answer = dailies(*arguments, show=show)
        assert answer.returncode == 2, answer.stderr
        assert part in answer.stderr
        assert "Traceback" not in answer.stderr
    lines = len((show / "show.toml").read_text().splitlines())
    with (show / "show.toml").open("a") as file:
        file.write("\n[steps.step1-scenes]\nlongest = 3\n")
    answer = dailies("status", show=show)
    assert answer.returncode == 2
    assert f"show.toml:{lines + 3}: steps.step1-scenes.longest: there is no such key" in answer.stderr
    assert dailies("status", show=tmp_path).returncode == 2


def test_words_of_people_are_never_read_as_markup(show):
    (show / "episodes" / "[red]x.mp4").write_bytes(b"")
    answer = dailies("run", "step1-scenes", "-e", "red_x", show=show)
    assert "[red]x.mp4 is empty" in answer.stderr


def test_a_new_show_is_a_show(tmp_path):
    assert dailies("init", str(tmp_path / "My Show")).returncode == 0
    assert 'name = "my_show"' in (tmp_path / "My Show" / "show.toml").read_text()
    answer = dailies("status", show=tmp_path / "My Show")
    assert "show.toml:3: episodes: 'episodes/*.mp4' matches no file" in answer.stderr


def test_the_doctor_says_what_to_do(show):
    answer = dailies("doctor", "--json", show=show, DAILIES_LABEL_STUDIO_EXECUTABLE="/nowhere/label-studio")
    checks = {check["name"]: check for check in json.loads(answer.stdout)}
    assert answer.returncode == 1
    assert checks["ffmpeg"]["level"] == "ok"
    assert checks["opencv"]["level"] == "ok"
    assert checks["label studio"]["level"] == "error"
    assert "make setup" in checks["label studio"]["remedy"]


def test_the_store_is_checked_mended_and_cleaned(show):
    dailies("run", "step2-bible", show=show)
    assert "0 damaged" in dailies("store", "verify", show=show).stdout
    (output,) = show.glob(".dailies/store/runs/*step2-bible-1/output.json")
    output.chmod(0o644)
    output.write_text("{}")
    assert dailies("store", "verify", show=show).returncode == 1
    assert "removed" in dailies("store", "verify", "--repair", show=show).stdout
    dailies("run", "step2-bible", show=show)
    assert "0 damaged" in dailies("store", "verify", show=show).stdout
    assert "freed" in dailies("store", "gc", show=show).stdout


def test_the_report_counts_what_stands(show):
    dailies("run", "step1-scenes", "-e", "s01e02", show=show)
    sections = json.loads(dailies("report", "--json", show=show).stdout)
    assert [(row["episode"], row["shots"]) for row in sections["Clips"]] == [("s01e02", 6)]
