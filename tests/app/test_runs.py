"""The Runs page: what it says of runs that run, ended, failed, died or never were, and what it hands out."""

import math
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from app import media
from app.runs import acting, charts, compare, pictures, samples
from benchmarks.trained import LTX2, WAN21, Trained
from pipeline import runs, runs_asks, runs_lights
from pipeline.engine.events import Events, Reader
from pipeline.engine.run import REQUESTS

ROOT = Path(__file__).parents[2]
ANNA = "anna@example.com"
NOW = 1_795_000_000.0
RUN = "20261101T100000-aaaaaa"
GONE = 2**22 + 1


@pytest.fixture
def page(opened):
    """Opens the page at an address."""
    return partial(opened, "runs", who=ANNA)


@pytest.fixture
def trained(season):
    return Trained(season(episodes=1, clips=2).show)


@pytest.fixture
def going(trained):
    """A training that runs, for as long as this very process does."""
    trained.training(RUN, began=time.time(), steps=90, upto=20, every=10, ended=False, step_seconds=1, samples=True)
    return trained


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.error, *app.code))


def button(app, label):
    return next(each for each in app.button if each.label.startswith(label))


def labels(app):
    return [each.label for each in app.button]


def only(run):
    (job,) = run.told.jobs.values()
    return job


# The page


def test_before_the_first_run_the_page_says_what_makes_one(page, spies_copy):
    assert "**Nothing ran yet**" in words(page(spies_copy))


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in words(page(spies_copy))


@pytest.mark.parametrize("name", ["20200101T000000-aaaaaa", "../../etc/passwd", "<script>"])
def test_a_run_that_is_not_there_is_told(page, trained, name):
    app = page(trained.show.folder, run=name)
    assert "There is no such run" in words(app)
    assert "All runs" in words(app)


def test_runs_are_counted_and_paged(page, trained, drawn):
    for number in range(30):
        trained.run(f"20261101T10{number:04}-aaaaaa", [{"t": NOW + number, "event": "started", "pid": GONE}])
    app = page(trained.show.folder)
    assert "**30 runs**" in words(app)
    assert 'href="/runs?compare=choose"' in drawn(app)
    assert [each.label for each in page(trained.show.folder, compare="choose").multiselect] == ["Trainings"]


def test_a_training_that_runs_can_be_asked_by_whom_said_who_they_are(page, going):
    app = page(going.show.folder, run=RUN)
    assert {"Save now", "Sample now", "Cancel"} <= set(labels(app))
    button(app, "Save now").click().run()
    assert not app.exception
    asked = list(Reader(going.show.state / "runs" / RUN / REQUESTS).poll())
    assert [(each["ask"], each["step"], each["by"]) for each in asked] == [("save", LTX2, ANNA)]
    stranger = page(going.show.folder, who="", run=RUN)
    assert all(button(stranger, name).disabled for name in ("Save now", "Sample now", "Cancel"))


@pytest.mark.parametrize("part", ["Course", "Samples", "Checkpoints", "Words", "nonsense"])
def test_every_part_of_a_training_can_be_opened_by_its_address(page, going, part):
    page(going.show.folder, run=RUN, part=part)


def test_a_sample_and_a_checkpoint_have_addresses(page, going):
    assert "**What taught it**" in words(page(going.show.folder, run=RUN, sample="10.1"))
    assert "Click a sample" in words(page(going.show.folder, run=RUN, sample="no.such"))
    app = page(going.show.folder, run=RUN, checkpoint="10")
    assert next(each for each in app.segmented_control).value == "Checkpoints"


def test_a_run_that_died_says_so_with_its_last_words_and_offers_to_go_on(page, trained):
    trained.training(RUN, began=NOW, steps=90, upto=20, every=10, ended=False, pid=GONE, samples=False)
    app = page(trained.show.folder, run=RUN)
    assert "It died without telling why." in words(app)
    assert "compiled 48 blocks in 41 s" in words(app)
    assert "Resume …" in labels(app)
    assert "Cancel" not in labels(app)


def test_a_run_that_stalls_has_no_time_left_and_its_lights_say_so(trained):
    trained.training(RUN, began=time.time() - 3600, steps=90, upto=20, every=50, ended=False, lives=True)
    run = runs.find(trained.show, RUN)
    assert "20 of 90 · does not move" in pictures.bar(run, only(run))
    lights = {each.name: each.look for each in runs_lights.lights(trained.show, run)}
    assert (lights["Process"], lights["Last step"], lights["GPU"], lights["Money"]) == ("good", "bad", "warn", "warn")


def test_a_run_that_keeps_its_checkpoint_cannot_be_gone_on_with_yet(page, going):
    events = Events(going.show.state / "runs" / RUN / "events.jsonl")
    events.emit("stopped")
    events.emit("finished", ran=0, fresh=0, failed=0, sampled=0)
    app = page(going.show.folder, run=RUN)
    assert button(app, "Cancelling").disabled
    assert not any(label.startswith("Resume") for label in labels(app))


def test_going_on_is_told_before_it_is_done(page, trained, monkeypatch):
    trained.training(RUN, began=NOW, steps=90, upto=20, every=10, ended=False, pid=GONE, samples=False)
    run = runs.find(trained.show, RUN)
    kept = only(run).training.checkpoints[-1].checkpoint
    found = runs_asks.Resumption(only(run), 90, kept, True, 1152)
    monkeypatch.setattr(runs_asks, "resumption", lambda show, run, job: found)
    begun = []
    monkeypatch.setattr(runs_asks, "resume", lambda show, id_, *, by: begun.append((id_, by)) or run.started)
    app = page(trained.show.folder, run=RUN)
    button(app, "Resume").click().run()
    assert begun == []
    assert "goes on from **step 20 of 90**, with its optimizer" in words(app)
    assert "Nothing is overwritten" in words(app)
    assert "Go on" in labels(app)


def test_two_trainings_are_compared_by_their_address(page, trained):
    trained.training(RUN, began=NOW, steps=20, every=10, samples=False, lr=1e-4)
    trained.training("20261101T110000-bbbbbb", began=NOW + 99, steps=20, every=10, samples=False, lr=2e-4)
    app = page(trained.show.folder, compare=f"{RUN},20261101T110000-bbbbbb,nonsense")
    assert app.multiselect[0].value == [RUN, "20261101T110000-bbbbbb"]


def test_of_a_run_with_two_trainings_each_can_be_compared(page, trained):
    trained.training(RUN, began=NOW, steps=20, every=10, samples=False)
    second = trained.training("20261101T110000-bbbbbb", began=NOW + 99, steps=20, every=10, samples=False, step=WAN21)
    with (trained.show.state / "runs" / RUN / "events.jsonl").open("a") as stream:
        stream.write((second / "events.jsonl").read_text().partition("\n")[2])
    both = [f"{RUN}.{LTX2}", f"{RUN}.{WAN21}"]
    app = page(trained.show.folder, compare=",".join(both))
    assert app.multiselect[0].value == both
    assert [each.partition(",")[0] for each in app.multiselect[0].options] == [WAN21, LTX2, WAN21]


# What is said


def test_what_going_on_would_do_is_said_in_words(trained):
    trained.training(RUN, began=NOW, steps=90, upto=20, every=10, ended=False, pid=GONE, samples=False)
    job = only(runs.find(trained.show, RUN))
    kept = job.training.checkpoints[-1].checkpoint

    def said(**values):
        return acting.told(
            runs_asks.Resumption(job, 90, **({"checkpoint": kept, "has_optimizer": True, "tensors": 9} | values))
        )

    assert "goes on from **step 20 of 90**" in said()
    changed = said(changed=("setting learning_rate: 0.0001 → 0.0002",))
    assert "would **begin anew at step 1**" in changed
    assert "learning\\_rate" in changed
    assert "The checkpoint of step 20 stays as it is" in changed
    assert "**begins at step 1**" in said(checkpoint=None, lost=("step 20: it is damaged",))
    assert "it is damaged" in said(checkpoint=None, lost=("step 20: it is damaged",))
    assert "step4\\-ltx2\\-preprocess must be made first" in said(waits=("step4-ltx2-preprocess",))
    assert "was not written down" in said(is_known=False)


def test_rows_and_bars_escape_what_others_wrote(trained):
    about = {"step": "step2-caption", "unit": "<b>"}
    events = [
        {"t": NOW, "event": "started", "pid": GONE, "by": "<script>"},
        {"t": NOW, "event": "job started", **about},
        {"t": NOW + 1, "event": "items", **about, "done": 3, "total": 12},
        {"t": NOW + 2, "event": "job failed", **about, "error": "<img src=x>"},
        {"t": NOW + 3, "event": "finished"},
    ]
    trained.run(RUN, events)
    run = runs.find(trained.show, RUN)
    html = pictures.listed([run]) + pictures.jobs(run) + pictures.head(run)
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;img src=x&gt;" in html
    assert "✕ failed" in html
    assert "3 of 12" in html
    assert f'href="/runs?run={RUN}"' in html


def test_a_course_has_a_chart_for_each_figure_and_marks_the_best(trained):
    trained.training(RUN, began=NOW, steps=400, every=50, samples=False)
    job = only(runs.find(trained.show, RUN))
    found = {each["title"]: each for each in charts.of_training(job.training)}
    assert list(found) == [
        "Loss", "Hold-out loss", "Loss by sigma", "Learning rate", "Step time", "Gradient", "GPU memory", "GPU use",
    ]  # fmt: skip
    best = job.training.best
    assert found["Hold-out loss"]["marks"][0]["x"] == best.step
    assert [line["name"] for line in found["Loss by sigma"]["lines"]] == [
        "0–0.2",
        "0.2–0.4",
        "0.4–0.6",
        "0.6–0.8",
        "0.8–1",
    ]
    raw, smooth = (dict(map(tuple, line["points"])) for line in found["Loss"]["lines"])
    assert len(raw) == len(smooth) == 400

    def swing(line):
        return max(abs(line[step] - line[step + 1]) for step in range(200, 399))

    assert swing(smooth) < swing(raw) / 5


def test_a_chart_has_a_gap_where_the_loss_is_no_number():
    found = charts.line("loss", [(1, 0.5), (2, math.nan), (3, math.inf), (4, 0.25)], "blue")
    assert found["points"] == [[1, 0.5], [2, None], [3, None], [4, 0.25]]


def test_samples_stand_by_prompt_and_checkpoint_with_the_base_model_first(going):
    training = only(runs.find(going.show, RUN)).training
    data = samples.data(training, RUN)
    assert [each["name"] for each in data["columns"]] == ["base model", "step 10", "step 20"]
    assert data["columns"][0]["loss"] == "0.6200"
    assert data["columns"][1]["change"].startswith("−")
    assert sum(each["best"] for each in data["columns"]) == 1
    assert [each["prompt"] for each in data["rows"]] == [0, 1, 2]
    assert data["cells"]["10.2"] == media.url(next(s.video for s in training.samples if (s.step, s.prompt) == (10, 2)))


def test_samples_of_trainings_stand_beside_each_other_by_their_words_and_seed(going):
    other = "20261101T110000-bbbbbb"
    going.training(other, began=NOW, steps=30, every=15, samples=True, floor=0.2)
    named = [(name, only(runs.find(going.show, name)).training) for name in (RUN, other)]
    named[1][1].samples[:] = [each for each in named[1][1].samples if each.prompt != 2]
    data = samples.compared(named, [RUN, other])
    best = {name: training.best.step for name, training in named}
    assert [each["name"] for each in data["columns"]] == [
        "base model", f"{RUN}: step {best[RUN]}", f"{other}: step {best[other]}"
    ]  # fmt: skip
    assert len(data["rows"]) == 3
    assert data["columns"][2]["change"].startswith("−")
    assert sorted(data["cells"]) == ["0.0", "0.1", "0.2", "1.0", "1.1", "1.2", "2.0", "2.1"]
    assert data["opens"]["2.1"] == f"/runs?run={other}&part=Samples&sample={best[other]}.1"


def test_only_settings_that_differ_are_compared():
    one = {"lr": 1e-4, "rank": 32, "input step4": "a" * 64}
    assert compare.differences([one, one]) == []
    assert compare.differences([one, {**one, "lr": 2e-4, "input step4": "b" * 64, "new": True}]) == [
        ("lr", ["0.0001", "0.0002"]),
        ("input step4", ["aaaaaaaaaa…", "bbbbbbbbbb…"]),
        ("new", ["–", "True"]),
    ]


# What is handed out


def test_samples_and_weights_of_a_training_that_runs_are_handed_out_by_digest(going, monkeypatch):
    monkeypatch.setenv("DAILIES_SHOW", str(going.show.folder))
    training = only(runs.find(going.show, RUN)).training
    client = TestClient(Starlette(routes=[media.route]))
    sample, checkpoint = training.samples[0].video, training.checkpoints[0].checkpoint
    assert client.get(media.url(sample)).headers["content-type"] == "video/mp4"
    answer = client.get(media.url(checkpoint.weights))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/octet-stream")
    assert answer.content == going.show.store.path_of(checkpoint.weights).read_bytes()
    # A pickle is for the training to go on from, and for nobody's browser.
    assert client.get(media.url(checkpoint.state)).status_code == 404
    renamed = checkpoint.weights.model_copy(update={"name": "other.safetensors"})
    assert client.get(media.url(renamed)).status_code == 404


def test_a_run_of_twenty_thousand_steps_after_two_hundred_others_is_read_once(page, trained):
    """Not a measurement: that nothing is folded twice, and little is sent."""
    for number in range(200):
        trained.training(
            f"20261101T{number:06}-aaaaaa", began=NOW + number, steps=4, every=2, samples=False, step_seconds=0.1
        )
    trained.training(RUN.replace("20261101", "20261102"), began=NOW, steps=20_000, every=5_000, samples=False)
    show = trained.show
    run = runs.find(show, RUN.replace("20261101", "20261102"))
    found = charts.of_training(only(run).training)
    assert max(len(line["points"]) for chart in found for line in chart["lines"]) <= 400
    app = page(show.folder, run=run.id)
    assert "Course" in next(each for each in app.segmented_control).options
    assert sys.getsizeof(pictures.listed(runs.listed(show, 25)[0])) < 60_000
