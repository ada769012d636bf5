"""The engine on a small real pipeline: every call is a process of its own, as `dailies` is."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ALL = [
    ["step1-read", "a"],
    ["step1-read", "b"],
    ["step2-double", "a"],
    ["step2-double", "b"],
    ["step2-count", "a"],
    ["step2-count", "b"],
    ["step3-total", "show"],
]


class Toy:
    """A copy of the toy project and a show for it."""

    def __init__(self, root: Path) -> None:
        self.code = root / "toy"
        self.show = root / "show"
        shutil.copytree(Path(__file__).parent / "toy", self.code)
        self.tape("a", "1 2 3")
        self.tape("b", "10 20")
        self.settings({})

    def tape(self, name: str, text: str) -> None:
        (self.show / "tapes").mkdir(parents=True, exist_ok=True)
        (self.show / "tapes" / f"{name}.txt").write_text(text)

    def settings(self, values: dict) -> None:
        (self.show / "settings.json").write_text(json.dumps(values))

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.code / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def start(self, *arguments: str) -> subprocess.Popen:
        root = Path(__file__).parents[2]
        return subprocess.Popen(
            [sys.executable, "-m", "toy", str(self.show), *arguments],
            cwd=self.code.parent,
            env={**os.environ, "PYTHONPATH": f"{self.code.parent}{os.pathsep}{root}"},
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def call(self, *arguments: str):
        process = self.start(*arguments)
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        return json.loads(out)

    def ran(self, *targets: str) -> list:
        report = self.call("run", *targets)
        assert report["failed"] == []
        return sorted(report["ran"], key=ALL.index)

    def states(self) -> dict:
        return {(step, unit): (state, why) for step, unit, state, why in self.call("status")}

    def made(self) -> list[str]:
        """Every item that step2-double computed, in order, over all runs."""
        log = self.show / "store" / "made.log"
        return log.read_text().split() if log.exists() else []

    def total(self) -> int:
        (run,) = (self.show / "store" / "runs").glob("*-toy-step3-total-1")
        return json.loads((run / "output.json").read_text())["total"]


@pytest.fixture
def toy(tmp_path):
    return Toy(tmp_path)


def test_a_second_run_does_nothing(toy):
    assert toy.ran() == ALL
    assert toy.total() == 72
    again = toy.call("run")
    assert again["ran"] == []
    assert len(again["fresh"]) == len(ALL)


def test_a_run_is_a_directory_that_people_can_read(toy):
    toy.ran()
    (run,) = (toy.show / "store" / "runs").glob("*-toy-step3-total-1")
    assert (run / "files" / "report.txt").read_text() == "72 of 5 numbers\n"
    names = [path.name for path in (toy.show / "store" / "runs").glob("*-toy-a-step1-read-1")]
    assert len(names) == 1
    assert len(names[0].partition("-")[0]) == 32


def test_a_reformatted_or_recommented_step_does_nothing(toy):
    toy.ran()
    toy.edit("steps/step1_read.py", "# A number above the limit is left out.", "# Left out: numbers above.\n")
    toy.edit(
        "steps/step1_read.py",
        "numbers = [int(word) for word in words]",
        "numbers: list = [\n        int(word)\n        for word in words\n    ]",
    )
    toy.edit("lib/arithmetic.py", "(number: int) -> int:", '(number):\n    """Twice."""')
    assert toy.ran() == []


def test_a_changed_step_rebuilds_itself_and_equal_output_stops_there(toy):
    toy.ran()
    toy.edit("steps/step1_read.py", ".split()", '.replace(",", " ").split()')
    assert toy.ran() == [["step1-read", "a"], ["step1-read", "b"]]


def test_a_changed_last_step_rebuilds_it_alone(toy):
    toy.ran()
    toy.edit("steps/step3_total.py", "numbers\\n", "numbers in all\\n")
    assert toy.ran() == [["step3-total", "show"]]


def test_a_changed_import_rebuilds_only_the_steps_that_import_it(toy):
    toy.ran()
    toy.edit("lib/arithmetic.py", "number * 2", "number * 3")
    assert toy.ran() == [["step2-double", "a"], ["step2-double", "b"], ["step3-total", "show"]]


def test_a_changed_field_of_a_record_is_a_change(toy):
    toy.ran()
    toy.edit("records.py", "    total: int", "    total: float")
    assert toy.ran("step3-total")[-1] == ["step3-total", "show"]


def test_a_replaced_episode_rebuilds_that_episode_and_what_gathers_it(toy):
    toy.ran()
    toy.tape("b", "10 20 30")
    assert toy.ran() == [
        ["step1-read", "b"],
        ["step2-double", "b"],
        ["step2-count", "b"],
        ["step3-total", "show"],
    ]


def test_a_projection_hides_what_the_step_does_not_read(toy):
    toy.ran()
    toy.tape("b", "10 21")
    assert toy.ran() == [["step1-read", "b"], ["step2-double", "b"], ["step3-total", "show"]]


def test_only_the_changed_item_is_made_again(toy):
    toy.ran()
    toy.tape("b", "10 21")
    toy.ran()
    assert sorted(toy.made()) == ["1", "10", "2", "20", "21", "3"]


def test_only_what_the_target_needs_runs(toy):
    assert toy.ran("step2-count") == [each for each in ALL if each[0] in ("step1-read", "step2-count")]


def test_killed_at_any_moment_the_next_run_finishes_and_loses_one_item_at_most(toy):
    toy.tape("a", " ".join(map(str, range(1, 13))))
    toy.settings({"step2-double": {"seconds": 0.1}})
    kills = 0
    for delay in (0.05, 0.15, 0.3, None, None, None, None):
        before, process = len(toy.made()), toy.start("run")
        if delay is not None:
            time.sleep(delay)
        while delay is None and len(toy.made()) == before and process.poll() is None:
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        process.communicate()
    assert kills >= 4
    toy.call("run")
    assert toy.total() == 2 * (sum(range(1, 13)) + 30)
    # Two episodes side by side: each kill costs at most the item in hand of each.
    assert len(toy.made()) <= 14 + 2 * kills
    assert toy.call("verify") == []
    for path in (toy.show / "store" / "runs").iterdir():
        assert {"run.json", "output.json", "files"} <= {each.name for each in path.iterdir()}
    assert list((toy.show / "store" / "tmp").iterdir()) == []


def test_two_runs_at_once_share_the_work(toy):
    toy.tape("a", " ".join(map(str, range(1, 21))))
    toy.tape("b", "100 200")
    toy.settings({"step2-double": {"seconds": 0.03}})
    first, second = toy.start("run"), toy.start("run")
    reports = [json.loads(process.communicate(timeout=120)[0]) for process in (first, second)]
    assert sorted(reports[0]["ran"] + reports[1]["ran"], key=ALL.index) == ALL
    assert sorted(map(int, toy.made())) == [*range(1, 21), 100, 200]
    assert toy.call("verify") == []


def test_why_names_the_file_the_setting_and_the_input(toy):
    toy.ran()
    toy.settings({"step1-read": {"upper_limit": 15}})
    toy.edit("steps/step3_total.py", "numbers\\n", "numbers in all\\n")
    states = toy.states()
    assert states["step1-read", "a"] == ("stale", "setting upper_limit: 1000 → 15")
    assert states["step2-double", "a"] == ("stale", "waits for step1-read")
    toy.ran("step2-count")
    states = toy.states()
    assert states["step2-double", "a"][0] == "fresh"
    assert states["step2-double", "b"][0] == "stale"
    assert states["step2-double", "b"][1].startswith("input step1-read: numbers [10, 20] → [10]")
    toy.ran("step2-double")
    state, why = toy.states()["step3-total", "show"]
    assert state == "stale"
    assert "code: toy/steps/step3_total.py changed" in why
    assert "input step2-double of b: numbers" in why


def test_a_failed_episode_leaves_the_others_done(toy):
    toy.tape("b", "10 twenty")
    report = toy.call("run")
    assert report["failed"] == [["step1-read", "b", "invalid literal for int() with base 10: 'twenty'"]]
    assert [each for each in ALL if each[1] == "a"] == sorted(report["ran"], key=ALL.index)
    assert ["step3-total", "show", "waits for step1-read of b, which failed"] in report["blocked"]
    assert toy.states()["step1-read", "b"] == ("failed", "invalid literal for int() with base 10: 'twenty'")
    toy.tape("b", "10 20")
    assert ["step3-total", "show"] in toy.ran()
    assert toy.states()["step1-read", "b"] == ("fresh", "")


@pytest.fixture
def gathering(toy):
    """The toy, whose step of the show takes the episodes that there are."""
    toy.edit("steps/step3_total.py", 'per="show")', 'per="show", partial=True)')
    return toy


def test_a_step_that_gathers_what_there_is_goes_without_a_failed_episode_until_it_is_mended(gathering):
    gathering.tape("b", "10 twenty")
    report = gathering.call("run")
    assert ["step3-total", "show"] in report["ran"]
    assert gathering.total() == 12
    assert gathering.states()["step3-total", "show"] == ("fresh", "")
    gathering.tape("b", "10 20")
    assert gathering.ran() == [*ALL[1:2], *ALL[3:4], *ALL[5:]]
    assert gathering.states()["step3-total", "show"] == ("fresh", "")


def test_a_step_that_gathers_what_there_is_waits_where_nothing_is_there(gathering):
    gathering.tape("a", "one")
    gathering.tape("b", "two")
    report = gathering.call("run")
    assert ["step3-total", "show", "waits for step1-read of a, which failed"] in report["blocked"]
    assert gathering.states()["step3-total", "show"] == ("missing", "waits for step2-count, step2-double")


def test_one_episode_alone_begins_no_other_and_one_that_was_begun_stays_with_it(gathering):
    ran = gathering.call("only", "a")["ran"]
    assert sorted(ran, key=ALL.index) == [*ALL[0:1], *ALL[2:3], *ALL[4:5], *ALL[6:]]
    states = gathering.states()
    assert states["step3-total", "show"] == ("fresh", "")
    assert states["step1-read", "b"][0] == "missing"
    gathering.call("run")
    assert gathering.states()["step1-read", "b"] == ("fresh", "")
    again = gathering.call("only", "a")
    assert again["ran"] == []
    assert ["step3-total", "show"] in again["fresh"]


def test_a_failure_that_cannot_be_written_down_is_still_told(toy):
    toy.tape("b", "10 twenty")
    # A folder where the file should be, as good as a full disk.
    (toy.show / "store" / "failures" / "step1-read" / "b.json").mkdir(parents=True)
    report = toy.call("run")
    assert report["failed"] == [["step1-read", "b", "invalid literal for int() with base 10: 'twenty'"]]


def test_a_crashed_worker_fails_its_job_alone(toy):
    toy.edit(
        "steps/step1_read.py",
        "    words =",
        '    if tape.title == "b":\n        import os\n        os.abort()\n    words =',
    )
    report = toy.call("run")
    assert [each[:2] for each in report["failed"]] == [["step1-read", "b"]]
    assert "SIGABRT" in report["failed"][0][2]
    assert ["step2-double", "a"] in report["ran"]


def test_independent_steps_overlap_in_time(toy):
    toy.settings({"step2-double": {"seconds": 0.4}, "step2-count": {"seconds": 1.0}})
    toy.ran()
    (events,) = toy.show.glob("runs/*/events.jsonl")
    lines = [json.loads(line) for line in events.read_text().splitlines()]

    def times(step, unit):
        mine = [line for line in lines if (line.get("step"), line.get("unit")) == (step, unit)]
        return [next(line["t"] for line in mine if line["event"] == f"job {what}") for what in ("started", "finished")]

    double, count = times("step2-double", "a"), times("step2-count", "a")
    assert max(double[0], count[0]) < min(double[1], count[1])


def test_adopting_a_change_keeps_results_and_items(toy):
    toy.ran()
    toy.edit("lib/arithmetic.py", "number * 2", "number + number")
    assert toy.states()["step2-double", "a"][0] == "stale"
    toy.call("adopt", "step2-double")
    assert toy.ran() == []
    toy.tape("b", "10 21")
    toy.ran()
    assert sorted(toy.made()) == ["1", "10", "2", "20", "21", "3"]
    adopted = [json.loads(path.read_text())["adopted"] for path in toy.show.glob("store/runs/*step2-double*/run.json")]
    assert {"tester"} == {each["by"] for each in adopted if each}


def test_what_is_damaged_is_found_and_made_again(toy):
    toy.ran()
    (run,) = toy.show.glob("store/runs/*-toy-step3-total-1")
    report = run / "files" / "report.txt"
    report.chmod(0o644)
    report.write_text("damaged")
    assert toy.call("verify") == ["its bytes are not what its name says", "its output is incomplete"]
    assert toy.ran() == [["step3-total", "show"]]
    assert toy.call("verify") == []


def test_gc_keeps_what_stands_and_frees_the_rest(toy):
    toy.ran()
    toy.settings({"step1-read": {"upper_limit": 15}})
    toy.ran()
    assert toy.call("gc") == 5
    assert toy.ran() == []
    assert toy.call("verify") == []


def test_a_sample_makes_only_the_first_items_and_no_output_and_a_run_takes_them(toy):
    toy.tape("a", "1 2 3 2 5")
    answer = toy.call("sample", "step2-double", "2")
    assert answer["sampled"] == [["step2-double", "a", 5, [{"value": 2}, {"value": 4}]]]
    assert toy.states()["step2-double", "a"][0] == "missing"
    # A unit that has no more items than are wanted is made whole, and so are all other steps; what waits is told why.
    assert sorted(answer["ran"], key=ALL.index) == [
        each for each in ALL if each not in (["step2-double", "a"], ALL[-1])
    ]
    assert answer["blocked"] == [["step3-total", "show", "waits for step2-double of a, which was made in part only"]]
    assert answer["failed"] == []
    made = ["1", "10", "2", "20"]
    assert sorted(toy.made()) == made
    assert toy.call("sample", "step2-double", "2")["sampled"] == answer["sampled"]
    assert sorted(toy.made()) == made
    toy.ran()
    assert sorted(toy.made()) == [*made, "3", "5"]
