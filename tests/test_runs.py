"""Runs as their events tell them: folded, gone on with, never shown as running when nobody runs them."""

import json
import math
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from benchmarks.season import Season
from benchmarks.trained import LTX2, PROMPTS, Trained, stand
from pipeline import jobs, runs, runs_alike, runs_asks, runs_kept, runs_lights, runs_pace, runs_process
from pipeline.engine import explain
from pipeline.engine.events import Events, Reader
from pipeline.engine.run import REQUESTS
from pipeline.runs_told import MOST_POINTS, Curve, Told
from pipeline.schemas.story import Bible
from pipeline.schemas.timeline import MediaInfo, Scenes
from pipeline.schemas.training import Metric
from pipeline.show import open_show

ANNA, BEN = "anna@example.com", "ben@example.com"
NOW = 1_795_000_000.0
GONE = 2**22 + 1  # above the largest number that Linux gives a process


@pytest.fixture
def show(tmp_path):
    return Season(tmp_path / "season", episodes=1, clips=2).show


@pytest.fixture
def trained(show):
    return Trained(show)


@pytest.fixture
def sleeper():
    """A process that does nothing, to be killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def only(run):
    (job,) = run.told.jobs.values()
    return job


def metric(step, loss=1.0, **more):
    values = {"of": 9, "lr": 1e-4, "grad_norm": 1, "step_seconds": 1, "tokens": 1, "epoch": 0}
    return Metric(step=step, loss=loss, **(values | more))


# Folding


def test_a_run_tells_its_jobs_by_whom_and_how_far(show, trained):
    trained.training("20261101T100000-aaaaaa", began=NOW, steps=40, every=10)
    run = runs.find(show, "20261101T100000-aaaaaa")
    assert (run.state, run.by, run.told.unread) == ("done", ANNA, 0)
    job = only(run)
    assert (job.step, job.unit, job.state, runs_pace.place(job)) == (LTX2, "show", "done", (40, 40))
    assert job.lines[0][1].startswith("base bf16")
    training = job.training
    assert [each.step for each in training.holdout] == [0, 10, 20, 30, 40]
    assert [kept.checkpoint.step for kept in training.checkpoints] == [10, 20, 30, 40]
    assert [(each.step, each.prompt) for each in training.samples][:4] == [(0, 0), (0, 1), (0, 2), (10, 0)]
    assert training.best.step == min((each for each in training.holdout if each.step), key=lambda h: h.loss).step
    assert training.planned.card == "NVIDIA H100 80GB HBM3"


def test_a_long_curve_keeps_its_mean_and_its_extremes_in_few_points():
    curve = Curve()
    losses = [math.sin(step) + 2 for step in range(1, 20_001)]
    for step, loss in enumerate(losses, 1):
        curve.add(metric(step, loss, bands={step % 10: loss}))
    points = curve.points
    assert len(points) <= MOST_POINTS
    assert sum(point.count for point in points) == 20_000
    assert sum(point.loss * point.count for point in points) / 20_000 == pytest.approx(sum(losses) / 20_000)
    assert min(point.low for point in points) == min(losses)
    assert max(point.high for point in points) == max(losses)
    assert sum(count for point in points for _, count in point.bands.values()) == 20_000
    assert [point.step for point in points] == sorted(point.step for point in points)


def test_a_loss_that_ran_away_is_kept_and_comes_back(show, trained):
    folder = trained.training(
        "20261101T100000-aaaaaa", began=NOW, steps=5, every=10, samples=False, ended=False, pid=GONE
    )
    about = {"step": LTX2, "unit": "show"}
    broken = metric(6, math.nan).model_dump() | {"at_step": 6} | about | {"t": NOW + 60, "event": "metric"}
    with (folder / "events.jsonl").open("a") as stream:
        stream.write(json.dumps(broken) + "\n" + json.dumps({"t": NOW + 61, "event": "finished"}) + "\n")
    runs.find(show, folder.name)
    runs_kept.index.cache_clear()
    assert math.isnan(only(runs.find(show, folder.name)).training.curve.points[-1].loss)


def test_what_is_not_whole_yet_waits_and_what_is_no_event_is_counted(show, trained):
    folder = trained.training(
        "20261101T100000-aaaaaa", began=NOW, steps=20, upto=3, every=10, ended=False, samples=False
    )
    path = folder / "events.jsonl"
    whole = path.read_bytes()
    more = json.dumps({"t": NOW + 9, "event": "items", "step": LTX2, "unit": "show", "done": 4, "total": 20})
    path.write_bytes(whole + more[:20].encode())
    assert runs_pace.place(only(runs.find(show, folder.name)))[0] == 3
    assert only(runs.find(show, folder.name)).done == 3
    # A full disk cut a line off in the middle, and the next writer went on behind it.
    path.write_bytes(whole + more[:20].encode() + more.encode() + b"\n[1]\nnull\n" + more.encode() + b"\n")
    run = runs.find(show, folder.name)
    assert (only(run).done, run.told.unread) == (4, 3)


def test_events_are_read_on_and_never_again_also_by_the_next_process(show, trained, monkeypatch):
    folder = trained.training("20261101T100000-aaaaaa", began=NOW, steps=30, every=10, samples=False)
    taken = []
    take = Told.take
    monkeypatch.setattr(Told, "take", lambda self, event: taken.append(event["event"]) or take(self, event))
    first = runs.find(show, folder.name)
    assert len(taken) > 60
    taken.clear()
    runs_kept.index.cache_clear()  # As in a panel that was started anew.
    assert runs.find(show, folder.name).told == first.told
    assert taken == []
    Events(folder / "events.jsonl").emit("log", step=LTX2, unit="show", message="one more")
    assert only(runs.find(show, folder.name)).lines[-1][1] == "one more"
    assert taken == ["log"]


def test_an_index_that_is_damaged_is_made_again(show, trained):
    folder = trained.training("20261101T100000-aaaaaa", began=NOW, steps=5, every=10, samples=False)
    first = runs.find(show, folder.name)
    (kept,) = (show.state / "index" / "runs").glob("*.json")
    kept.write_bytes(kept.read_bytes()[:50])
    runs_kept.index.cache_clear()
    assert runs.find(show, folder.name).told == first.told


@pytest.mark.parametrize("name", ["", ".", "..", "../jobs", "20261101T100000-aaaaaa/..", "/etc", "\x00"])
def test_only_the_name_of_a_run_names_one(show, trained, name):
    trained.training("20261101T100000-aaaaaa", began=NOW, steps=2, samples=False)
    assert runs.find(show, name) is None


def test_many_runs_are_listed_by_pages_and_few_are_held(show, trained):
    for number in range(90):
        folder = trained.run(f"20261101T10{number:04}-aaaaaa", [{"t": NOW + number, "event": "started", "pid": GONE}])
        Events(folder / "events.jsonl").emit("finished")
    found, total = runs.listed(show, 25, 50)
    assert (len(found), total, found[0].id) == (25, 90, "20261101T100039-aaaaaa")
    runs.listed(show, 90)
    assert len(runs_kept.index(show.state).runs) <= 80


# Alive or not


def test_a_run_whose_process_was_killed_died_and_says_its_last_words(show, trained, sleeper):
    began = time.time()
    folder = trained.training(
        "20261101T100000-aaaaaa", began=began, steps=20, upto=4, every=2, ended=False, pid=sleeper.pid, samples=False
    )
    run = runs.find(show, folder.name)
    assert (run.state, run.state_of(only(run))) == ("running", "running")
    assert runs_pace.seconds_left(only(run)) == pytest.approx(16 * 2.4, rel=0.1)
    assert {light.name: light.look for light in runs_lights.lights(show, run)}["Process"] == "good"
    sleeper.kill()
    sleeper.wait()
    run = runs.find(show, folder.name)
    assert (run.state, run.state_of(only(run))) == ("died", "died")
    assert "base bf16" in run.words
    assert run.words.endswith("compiled 48 blocks in 41 s")
    found = {light.name: light for light in runs_lights.lights(show, run)}
    assert (found["Process"].look, found["Process"].figure) == ("bad", "gone without a word")


def test_a_number_that_another_process_has_now_is_not_the_run(show, trained):
    folder = trained.training(
        "20261101T100000-aaaaaa",
        began=time.time() - 10**8,
        steps=5,
        upto=2,
        ended=False,
        samples=False,
    )
    assert runs.find(show, folder.name).state == "died"


def test_a_cancelled_run_is_stopping_until_its_process_has_kept_what_it_has(show, trained, sleeper):
    folder = trained.training(
        "20261101T100000-aaaaaa", began=time.time(), steps=9, upto=4, ended=False, pid=sleeper.pid, samples=False
    )
    events = Events(folder / "events.jsonl")
    # As a run tells it: it is over for who schedules, while workers are still given their time to keep a checkpoint.
    events.emit("stopped")
    events.emit("finished", ran=0, fresh=0, failed=0, sampled=0)
    run = runs.find(show, folder.name)
    assert (run.state, run.is_ending, run.state_of(only(run))) == ("running", True, "running")
    process = runs_lights.lights(show, run)[0]
    assert (process.figure, process.detail.partition(",")[0]) == ("stopping", "keeping its checkpoint")
    with pytest.raises(ValueError, match="still runs"):
        runs_asks.resume(show, folder.name, by=ANNA)
    sleeper.kill()
    sleeper.wait(10)
    run = runs.find(show, folder.name)
    assert (run.state, run.is_ending, run.state_of(only(run))) == ("stopped", False, "stopped")


def test_a_run_that_was_done_is_done_though_its_process_goes_on(show, trained, sleeper):
    folder = trained.training("20261101T100000-aaaaaa", began=time.time(), steps=4, pid=sleeper.pid, samples=False)
    assert runs.find(show, folder.name).state == "done"


def test_a_run_of_another_machine_is_believed_as_long_as_it_is_heard_of(show, trained):
    def told(name, at):
        event = {"t": at, "event": "started", "pid": 1, "host": "far-away", "by": ANNA}
        trained.run(name, [event])
        return runs.find(show, name)

    near = told("20261101T100000-aaaaaa", time.time())
    assert near.state == "running"
    assert runs_lights.lights(show, near)[0].figure == "not seen from here"
    with pytest.raises(ValueError, match="far-away, out of reach"):
        runs_asks.cancel(show, near.id, by=ANNA)
    assert told("20261101T100000-bbbbbb", time.time() - 3600).state == "died"


def test_a_checkpoint_that_left_the_store_puts_the_files_light_out(show, trained):
    folder = trained.training("20261101T100000-aaaaaa", began=NOW, steps=4, every=2, samples=False)
    (folder / f"{LTX2}-show.log").unlink()
    run = runs.find(show, folder.name)
    (light,) = (each for each in runs_lights.lights(show, run) if each.name == "Last file")
    assert light.detail.startswith("step_00004.safetensors")
    show.store.object_path(only(run).training.checkpoints[-1].checkpoint.weights.digest).unlink()
    (light,) = (each for each in runs_lights.lights(show, run) if each.name == "Last file")
    assert (light.look, light.figure) == ("bad", "gone from the store")


def light(show, run_id, name):
    return next(each for each in runs_lights.lights(show, runs.find(show, run_id)) if each.name == name)


def test_money_is_the_price_of_the_place_where_each_job_runs(show, trained):
    def job(unit, place, began, ended, device="cuda"):
        about = {"step": "s", "unit": unit}
        yield {"t": began, "event": "job started", "name": "x", "device": device, "place": place, **about}
        yield {"t": ended, "event": "job finished", "seconds": ended - began, "made": True, **about}

    def ran(name, *jobs, **started):
        events = [{"t": 0, "event": "started", "pid": GONE, **started}, *(each for job in jobs for each in job)]
        trained.run(name, [*events, {"t": 9000, "event": "finished"}])
        money = light(show, name, "Money")
        return money.figure, money.detail

    gpu, hosts = {"gpu": "Card", "gpu_price": "2"}, {"rented": {"gpus": 1, "price_per_hour": 6.0}}
    beside = [job("a", "rented", 0, 1800), job("b", "rented", 900, 2700)]
    assert ran("1", *beside, job("c", "local", 0, 9000, "cpu"), **gpu, hosts=hosts) == (
        "$4.50",  # two that share a host pay for its clock once, and what the CPU here does costs nothing
        "$6.00 an hour of rented",
    )
    both = [job("a", "local", 3000, 4800), job("b", "rented", 3000, 4800)]
    assert ran("2", *both, **gpu, hosts=hosts)[0] == "$4.00"
    free = {"gpu": "Card", "hosts": {"rented": {"gpus": 1, "price_per_hour": None}}}
    assert ran("3", job("a", "rented", 5000, 5900), **free) == ("not known", "set price_per_hour under [hosts.rented]")
    assert ran("4", job("a", "local", 5000, 5900), **free) == ("not known", "set gpu_price_per_hour under [settings]")
    assert ran("5", job("a", "local", 5000, 5900, "cpu"), **gpu) == ("$0.00", "no GPU")


def test_a_training_on_a_host_is_paid_by_the_clock_and_its_gpu_is_not_looked_for_here(show, trained):
    name, ago = "20261101T100000-aaaaaa", time.time() - 3600
    folder = trained.training(
        name, began=ago, steps=90, upto=20, every=50, ended=False, samples=False, place="rented", lives=True
    )
    assert light(show, name, "Money").figure == "$4.00"
    assert light(show, name, "GPU").detail.endswith("as it told itself on rented")
    assert only(runs.find(show, folder.name)).place == "rented"


# Going on


def test_a_training_that_went_on_has_one_course(show, trained):
    trained.training("20261101T100000-aaaaaa", began=NOW, steps=40, upto=25, every=10, ended=False, pid=GONE)
    trained.training("20261101T110000-bbbbbb", began=NOW + 99, steps=40, resumed=20, every=10)
    run = runs.find(show, "20261101T110000-bbbbbb")
    training = runs.whole(show, run, only(run))
    assert [point.step for point in training.curve.points] == list(range(1, 41))
    assert [each.step for each in training.holdout] == [0, 10, 20, 30, 40]
    assert sorted({each.step for each in training.samples}) == [0, 10, 20, 30, 40]
    assert sorted(kept.checkpoint.step for kept in training.checkpoints) == [10, 20, 30, 40]
    assert [each.id for each, _ in runs.earlier(show, run, only(run))] == ["20261101T100000-aaaaaa"]


def test_asking_writes_what_the_job_reads_and_is_refused_when_it_is_over(show, trained, sleeper):
    folder = trained.training(
        "20261101T100000-aaaaaa", began=time.time(), steps=9, upto=2, ended=False, pid=sleeper.pid, samples=False
    )
    runs_asks.ask(show, folder.name, f"{LTX2}/show", "save", by=ANNA)
    (asked,) = Reader(folder / REQUESTS).poll()
    assert (asked["event"], asked["step"], asked["ask"], asked["by"]) == ("asked", LTX2, "save", ANNA)
    assert [each["ask"] for each in runs.requests(show, folder.name)] == ["save"]
    with pytest.raises(ValueError, match="not training any more"):
        runs_asks.ask(show, folder.name, "step1-scenes/s01e01", "save", by=ANNA)
    runs_asks.cancel(show, folder.name, by=ANNA)
    assert sleeper.wait(10) == -signal.SIGTERM
    with pytest.raises(ValueError, match="does not run any more"):
        runs_asks.cancel(show, folder.name, by=ANNA)
    with pytest.raises(ValueError, match="no run 'nowhere'"):
        runs_asks.resume(show, "nowhere", by=ANNA)


def test_going_on_says_the_checkpoint_or_what_has_changed_since(show, trained):
    """By the true plan: everything before the training stands, and its settings are edited."""
    media = MediaInfo(width=64, height=36, fps=24, variable_frame_rate=False, seconds=4, has_audio=True)
    scenes = Scenes(episode="s01e01", media=media, detector="cuts", shots=(), scenes=(), clips=(), dropped=())
    stand(show, {"step1-scenes": scenes, "step2-bible": Bible(title="Spies")}, until=LTX2)
    folder = trained.training(
        "20261101T100000-aaaaaa", began=NOW, steps=40, upto=25, every=10, ended=False, pid=GONE, samples=False
    )
    recipe = folder / f"{LTX2}-show.recipe.json"
    what = show.plan()
    explain.survey(what)
    recipe.write_text(json.dumps(what.recipe((LTX2, "show"))))

    def would(settings=""):
        path = show.folder / "show.toml"
        path.write_text('name = "spies"\nepisodes = "episodes/*.mp4"\n' + settings)
        now = open_show(show.folder)
        run = runs.find(now, folder.name)
        return runs_asks.resumption(now, run, only(run))

    found = would()
    assert (found.goes_on, found.checkpoint.step, found.tensors, found.has_optimizer) == (True, 20, 1, True)
    assert would(f"[steps.{LTX2}]\nsample_every = 7\nsteps = 3000\n").goes_on  # These change nothing of what is learnt.
    other = would(f"[steps.{LTX2}]\nlearning_rate = 0.5\n")
    assert not other.goes_on
    assert other.changed == ("setting learning_rate: 0.0001 → 0.5",)
    show.store.object_path(found.checkpoint.state.digest).unlink()
    found = would()
    assert found.checkpoint.step == 10
    assert found.lost[0].startswith("step 20: checkpoints/step_00020_state.pt")
    recipe.unlink()
    assert not would().goes_on


# What taught a sample


def test_the_clips_that_taught_a_sample_are_those_whose_captions_say_the_same(monkeypatch, show):
    class Clip:
        def __init__(self, caption):
            self.caption = caption

    clips = (Clip("Pryce walks over wet planks at the harbour."), Clip("Cohen laughs."), Clip("A car."))
    monkeypatch.setattr(runs_alike, "_clips", lambda show, step: clips)
    found = runs_alike.teachers(show, LTX2, PROMPTS[1], most=2)
    assert found[0].sample is clips[0]
    assert 100 >= found[0].likeness > found[1].likeness >= 0
    monkeypatch.setattr(runs_alike, "_clips", lambda show, step: ())
    assert runs_alike.teachers(show, "step1-scenes", "words") == []


# The webhook


@pytest.fixture
def hook():
    """A server that answers with the given codes, the last one again and again, and keeps what it got."""
    servers = []

    def start(*codes):
        got, left = [], list(codes)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(left.pop(0) if len(left) > 1 else left[0])
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/hooks/secret", got

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_that_fails_is_asked_again_and_its_address_is_never_written_down(hook):
    quick, said = (0.0, 0.0, 0.0), []
    url, got = hook(500, 429, 204)
    assert runs_process.post(url, {"event": "done"}, said.append, quick)
    assert got == [{"event": "done"}] * 3
    url, got = hook(404)
    assert not runs_process.post(url, {"event": "done"}, said.append, quick)
    assert len(got) == 1
    assert not runs_process.post("http://127.0.0.1:9/hooks/secret", {"event": "died"}, said.append, quick)
    assert said[0].startswith("the webhook could not be told that this is done (it answered 404)")
    assert "ConnectError" in said[1]
    assert not any("secret" in words for words in said)


def test_a_run_that_stalls_is_told_once_and_once_more_when_it_moves(show, trained, sleeper, hook):
    url, got = hook(200)
    state = show.state / "jobs" / "20261101T100000000000-run-abcdef"
    state.mkdir(parents=True)
    Events(state / "events.jsonl").emit("started", by=ANNA, verb="run")
    began = time.time()
    folder = trained.training(
        "20261101T100000-aaaaaa", began=began, steps=90, upto=30, ended=False, pid=sleeper.pid, samples=False
    )
    path = folder / "events.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([json.dumps(json.loads(lines[0]) | {"job": state.name}), *lines[1:]]) + "\n")
    last = json.loads(lines[-1])["t"]
    watch = runs_process.Watch(show, state.name, url, print)
    assert watch.look(last + 200) == []  # 20 steps of 2.4 s are less than five minutes
    assert watch.look(last + 301) == ["stalled"]
    assert watch.look(last + 400) == []
    moved = {"t": last + 500, "event": "items", "step": LTX2, "unit": "show", "done": 31, "total": 90}
    with path.open("a") as stream:
        stream.write(json.dumps(moved) + "\n")
    assert watch.look(last + 501) == ["moving"]
    assert [(each["event"], each["step"], each["at"], each["of"]) for each in got] == [
        ("stalled", LTX2, 30, 90),
        ("moving", LTX2, 30, 90),
    ]
    assert got[0]["run"] == folder.name
    assert got[0]["url"].endswith(f"/runs?run={folder.name}")
    assert got[0]["text"].startswith(f"{LTX2} of spies: stalled at 30 of 90")


def test_what_loads_its_model_has_not_stalled(show, trained, sleeper):
    folder = trained.training(
        "20261101T100000-aaaaaa", began=time.time(), steps=90, upto=0, ended=False, pid=sleeper.pid, samples=False
    )
    assert not runs_pace.is_stalled(only(runs.find(show, folder.name)), time.time() + 10**5)


def test_a_job_tells_its_end_by_itself(show, hook, monkeypatch):
    """A real job in its own process: the bible is read in a moment, and the webhook hears that it is done."""
    url, got = hook(200)
    monkeypatch.setenv("DAILIES_WEBHOOK_URL", url)
    monkeypatch.setitem(jobs.VERBS, "bible", ("run", "step2-bible"))
    job = jobs.start(show.state, show.folder, "bible", by=BEN)
    end = time.monotonic() + 90
    while not got:
        assert time.monotonic() < end, jobs.find(show.state, job.id)
        time.sleep(0.1)
    run = runs.of_job(show, job.id)
    assert (got[0]["event"], got[0]["by"], got[0]["run"], got[0]["show"]) == ("done", BEN, run.id, "spies")
    assert (run.state, run.by, run.started.id) == ("done", BEN, job.id)
    assert runs.stillborn(show) == []


def test_a_launch_that_came_to_nothing_does_not_vanish(show, monkeypatch):
    monkeypatch.setitem(jobs.VERBS, "wrong", ("run", "step9-nothing"))
    job = jobs.start(show.state, show.folder, "wrong", by=BEN)
    end = time.monotonic() + 90
    while jobs.find(show.state, job.id).state == "running":
        assert time.monotonic() < end
        time.sleep(0.1)
    (found,) = runs.stillborn(show)
    assert found.id == job.id
    assert "there is no step" in found.lines[-1]
