"""The progress report: all its parts, what changed since the last one, and what to do next."""

import os
import subprocess
import sys

import pytest

from benchmarks.season import Season
from pipeline import forecast, progress, quality, report
from pipeline.engine.plan import SHOW
from pipeline.engine.records import File
from pipeline.host_state import Glances
from pipeline.hosts import hosts
from pipeline.printing import markdown_lines
from pipeline.schemas.training import Lora, Usage
from pipeline.show import open_show


@pytest.fixture
def show(tmp_path):
    return Season(tmp_path / "show").show


def parts(show, glances=None):
    now, measured = forecast.outlook(show), quality.measure(show)
    places = hosts(show, glances or Glances())
    found = progress.sections(now, places, measured, progress.last(show))
    progress.keep(show, progress.seen(now, places, measured))
    return {section.title.partition(", ")[0]: section for section in found}


def lines(section):
    return [row[0] for row in section.rows]


def test_a_report_has_a_table_of_the_dag_time_left_hosts_and_next_actions(show):
    found = parts(show)
    first, then = ["Pipeline", "Since the last report", "Hosts and money"], ["Review", "Time left", "Next actions"]
    assert list(found) == [*first, *then]
    rows = {row[0]: row for row in found["Pipeline"].rows}
    assert list(rows) == list(forecast.outlook(show).plan.steps)
    assert rows["step1-scenes"][1] == "CPU"
    assert rows["step1-scenes"][4].endswith("and 1 more")
    assert rows["step3-wan21-package"][2:] == ("⏳ missing", "waits for step2-reviewed", "")
    assert lines(found["Since the last report"]) == ["this is the first"]
    assert lines(found["Next actions"])[0].startswith("`dailies run`: ")


def test_the_next_report_says_what_changed(show):
    parts(show)
    assert lines(parts(show)["Since the last report"]) == ["nothing changed"]
    (show.folder / "episodes" / "s01e03.mp4").write_bytes(b"another")
    (show.folder / "episodes" / "s01e02.mp4").unlink()
    said = lines(parts(open_show(show.folder))["Since the last report"])
    assert any(line.startswith("no longer part of the show: step1-scenes of s01e02") for line in said)


def test_a_host_that_does_not_answer_is_a_thing_to_do(show):
    with (show.folder / "show.toml").open("a") as file:
        file.write("[hosts.gpu]\nprice_per_hour = 2.5\ngpus = 4\n")

    def gone(name, table):
        raise ValueError("host gpu does not answer")

    found = parts(open_show(show.folder), Glances(ask=gone))
    row = found["Hosts and money"].rows[1]
    assert row[:4] == ("gpu", "not reached: host gpu does not answer", "4 declared", "$2.50 an hour")
    assert "look after gpu, which may cost: host gpu does not answer" in lines(found["Next actions"])
    assert {row[1] for row in found["Time left"].rows} == {"CPU", "GPU on gpu"}


def test_every_clip_of_a_training_is_told_with_how_often_it_was_used(tmp_path):
    season = Season(tmp_path / "show")
    file = File(digest="0" * 64, name="a", size_bytes=0)
    usage = tuple(Usage(sample=name, times=times) for name, times in (("a", 2), ("b", 0), ("c", 2)))
    lora = Lora(
        model="wan21", base="tiny", revision=None, trigger="", rank=1, steps=4, best_step=4, weights=file, card=file,
        log=file, checkpoints=(), usage=usage,
    )  # fmt: skip
    season.save("step5-wan21-train", SHOW, lora, files=False)
    (found,) = (each for each in report.report(season.show) if each.title.startswith("How often"))
    assert found.rows == (("step5-wan21-train", 0, 1, "b"), ("step5-wan21-train", 2, 2, "a, c"))


def test_one_column_is_a_list_and_bars_do_not_break_a_table():
    assert markdown_lines(("what",), [("a",), ("b",)], "T") == ["## T", "", "- a", "- b", ""]
    assert markdown_lines(("x", "y"), [("a|b", None)], "T")[4] == "| a\\|b |     |"


def test_the_report_is_a_file_when_asked_for(show, tmp_path):
    command = [
        sys.executable,
        "-m",
        "pipeline",
        "report",
        "--show",
        str(show.folder),
        "-o",
        str(tmp_path / "report.md"),
    ]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=True)
    text = (tmp_path / "report.md").read_text()
    assert done.stdout.startswith("wrote ")
    assert text.startswith("# Progress report: spies, 2")
    heads = [line for line in text.splitlines() if line.startswith("## ")]
    assert heads[:2] == ["## Pipeline", "## Since the last report"]
    assert "## Clips" in heads
    assert progress.last(show) is not None
