"""What a name of a model means, without a network: the hub is a function, or a server in this process."""

import json
import subprocess
import sys
import threading
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pipeline import catalogue, control, pins
from pipeline.engine.run import Site
from pipeline.engine.step import StepConfig
from pipeline.engine.work import Services
from pipeline.engine.worker import Answer, Job
from pipeline.models import hub
from pipeline.schemas.weights import Choice, Weights
from pipeline.show import open_show
from pipeline.steps.step2_transcript_base import Config as TranscriptConfig

A, B = "a" * 40, "b" * 40


class Config(StepConfig):
    models: tuple[Choice, ...] = ()
    voice: Weights = Weights(model="some/voice")


def of(*models):
    return Config.model_validate({"models": models})


def keys(config):
    return [each.key for each in pins.named(config)]


def test_a_choice_is_a_name_a_server_a_folder_or_nothing():
    [hub_model, pinned, served, folder, nothing] = of(
        "Qwen/Omni", f"Qwen/VL@{A}", "server:any/name", "./w@1", "none"
    ).models
    assert (hub_model.backend, hub_model.model, hub_model.revision) == ("transformers", "Qwen/Omni", None)
    assert (pinned.model, pinned.revision) == ("Qwen/VL", A)
    assert (served.backend, served.model, served.repository()) == ("openai", "any/name", None)
    assert (folder.folder(), folder.repository()) == ("./w@1", None)
    assert (nothing.backend, nothing.repository()) == ("none", None)
    assert [each.source() for each in (hub_model, served, folder, nothing)] == ["hub", "server", "folder", "nothing"]


def test_a_name_without_a_commit_is_asked_for_once_and_a_branch_by_itself():
    asked = []

    def ask(repository, branch):
        asked.append((repository, branch))
        return A

    config = of("Qwen/Omni", "Qwen/Omni@next", f"Qwen/VL@{B}", "server:x", "./folder", "none")
    found = pins.completed(list(pins.named(config)), {"some/voice": B}, ask)
    assert found == {"some/voice": B, "Qwen/Omni": A, "Qwen/Omni@next": A}
    assert asked == [("Qwen/Omni", "main"), ("Qwen/Omni", "next")]
    assert pins.completed(list(pins.named(config)), found, ask) == found
    assert len(asked) == 2


def test_what_cannot_be_pinned_stops_a_run_unless_there_is_something_to_fall_back_on():
    def ask(repository, _):
        raise ValueError(f"no {repository}")

    with pytest.raises(ValueError, match=r"^no Qwen/Omni\nno some/voice$"):
        pins.completed(list(pins.named(of("Qwen/Omni"))), {}, ask)
    assert pins.completed(list(pins.named(of("Qwen/Omni", "none"))), {"some/voice": A}, ask) == {"some/voice": A}


def test_revisions_are_filled_in_wherever_a_config_names_weights():
    config = of("Qwen/Omni", f"Qwen/VL@{B}", "none")
    made = pins.filled(config, lambda weights: A if weights.repository() and not weights.revision else None)
    assert [each.revision for each in made.models] == [A, B, None]
    assert made.voice.revision == A
    assert pins.filled(config, lambda _: None) is config


def test_the_lock_is_the_same_bytes_for_the_same_pins_and_a_damaged_one_is_told(tmp_path):
    assert pins.read(tmp_path) == {}
    pins.write(tmp_path, {"b/b": B, 'a/"a': A})
    first = (tmp_path / "models.lock").read_bytes()
    assert pins.read(tmp_path) == {'a/"a': A, "b/b": B}
    pins.write(tmp_path, {'a/"a': A, "b/b": B})
    assert (tmp_path / "models.lock").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["models.lock"]
    for damaged in ('[models]\n"a" = "main"', "[models", "[modles]\n", "[models]\na = 5"):
        (tmp_path / "models.lock").write_text(damaged)
        with pytest.raises(ValueError, match=r"^models\.lock"):
            pins.read(tmp_path)


def test_a_folder_is_named_by_its_files_which_are_read_once(tmp_path, monkeypatch):
    (tmp_path / "w" / "sub").mkdir(parents=True)
    (tmp_path / "w" / "a.bin").write_bytes(b"one")
    (tmp_path / "w" / "sub" / "b.json").write_text("two")
    (tmp_path / "w" / ".hidden").write_text("x")

    def revision():
        return pins.Folders(Services(folder=tmp_path), tmp_path / "cache" / "weights.json").revision("./w")

    first = revision()
    assert first.startswith("sha256:")
    (tmp_path / "w" / ".hidden").write_text("y")
    read = []
    digest = pins.fingerprint.of_file
    monkeypatch.setattr(pins.fingerprint, "of_file", lambda path: read.append(path.name) or digest(path))
    assert revision() == first
    assert read == []
    (tmp_path / "w" / "a.bin").write_bytes(b"three")
    assert revision() != first
    assert read == ["a.bin"]
    assert pins.Folders(Services(), tmp_path / "c").revision(str(tmp_path / "none")) is None


def test_a_recogniser_is_pinned_by_its_name_on_the_hub():
    def key(model):
        [only] = pins.named(TranscriptConfig(model=model))
        return only.key

    assert key("large-v3") == "Systran/faster-whisper-large-v3"
    assert key("distil-small.en") == "Systran/faster-distil-whisper-small.en"
    assert key("turbo") == key("large-v3-turbo") == "mobiuslabsgmbh/faster-whisper-large-v3-turbo"
    assert key("someone/whisper") == "someone/whisper"
    assert (key("whisper-base"), key("./whisper")) == (None, None)


@pytest.fixture
def show(tmp_path):
    (tmp_path / "episodes").mkdir()
    (tmp_path / "episodes" / "s01e01.mp4").write_bytes(b"one")
    (tmp_path / "bible.toml").write_text('[show]\ntitle = "T"\n')
    (tmp_path / "show.toml").write_text('name = "tiny"\n')
    return tmp_path


def test_what_this_release_was_made_with_needs_no_hub_and_enters_the_recipe(show):
    def nobody(*_):
        raise AssertionError

    transcript = open_show(show).plan().configs["step2-transcript-base"]
    assert transcript.revision == "edaa852ec7e145841d8ffdb056a99866b5f0a478"
    assert not (show / "models.lock").exists()
    made = catalogue.pinned(open_show(show), {"step2-transcript-base"}, nobody)
    assert made["step2-transcript-base"] == transcript
    assert transcript.revision in (show / "models.lock").read_text()


def test_a_pinned_model_stays_when_the_hub_moves_on_until_somebody_updates_it(show):
    (show / "show.toml").write_text('name = "tiny"\n[steps.step2-transcript-base]\nmodel = "some/whisper"\n')
    step = {"step2-transcript-base"}
    assert open_show(show).configs()["step2-transcript-base"].revision is None
    assert catalogue.pinned(open_show(show), step, lambda *_: A)["step2-transcript-base"].revision == A
    assert catalogue.pinned(open_show(show), step, lambda *_: B)["step2-transcript-base"].revision == A
    assert [(each.model, each.source, each.revision) for each in catalogue.models(open_show(show))][:1] == [
        ("some/whisper", "hub", A)
    ]
    moved = catalogue.update_model(open_show(show), "some/whisper", lambda *_: B)
    assert (moved.was, moved.now, moved.stale) == (A, B, ())
    assert open_show(show).configs()["step2-transcript-base"].revision == B
    with pytest.raises(ValueError, match=r"no step names a model 'other'.* there are some/whisper"):
        catalogue.update_model(open_show(show), "other", lambda *_: B)


class Hub(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        name = self.path.partition("/api/models/")[2].partition("/revision/")[0].partition("?")[0]
        status, headers = (200, {}) if name == "some/model" else (404, {"X-Error-Code": "RepoNotFound"})
        if name == "gated/model":
            status, headers = 403, {"X-Error-Code": "GatedRepo"}
        data = json.dumps({"id": name, "sha": A} if status == 200 else {"error": "no"}).encode()
        self.send_response(status)
        for header, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(header, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def hub_address(monkeypatch, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("hub_address")
def test_the_hub_says_which_commit_a_name_is_now_or_why_not():
    assert hub.commit_of("some/model") == A
    with pytest.raises(ValueError, match="the model hub has no model other/model: check its name"):
        hub.commit_of("other/model")
    with pytest.raises(ValueError, match="accept its licence"):
        hub.commit_of("gated/model")
    with pytest.raises(ValueError, match="no name on the model hub"):
        hub.commit_of("a/b/c/d")


def test_without_a_hub_what_was_downloaded_last_counts_and_else_there_is_a_remedy(tmp_path):
    code = "from pipeline.models import hub; print(hub.commit_of('some/model'))"
    environment = {
        "PATH": "",
        "PYTHONPATH": str(Path(__file__).parents[1]),
        "HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
    }

    def asked():
        return subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )

    assert "connect to it once, or name a `revision`" in asked().stderr.splitlines()[-1]
    cached = tmp_path / ".cache" / "huggingface" / "hub" / "models--some--model"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(B)
    (cached / "snapshots" / B).mkdir(parents=True)
    (cached / "snapshots" / B / "config.json").write_text("{}")
    assert asked().stdout.strip() == B, asked().stderr


class Recorder:
    """An executor that keeps what it is given and does nothing."""

    def __init__(self):
        self.jobs = []

    def submit(self, job, device):
        self.jobs.append(Job.model_validate_json(job.model_dump_json()))
        done = Future()
        done.set_result(Answer(error="not done"))
        return done


def test_a_job_is_told_where_services_are_and_its_recipe_is_not(show, monkeypatch):
    monkeypatch.setenv("DAILIES_MODEL_SERVER_URL", "http://gpu:8000")
    monkeypatch.setenv("DAILIES_MODEL_SERVER_KEY", "s3cret")
    executor = Recorder()
    control.run(
        open_show(show), ["step2-bible"], where=lambda *_: [Site("local", executor, {"cpu": 1, "cuda": 1})], limit=3
    )
    [job] = executor.jobs
    assert job.services == Services(show.resolve(), "http://gpu:8000", "s3cret")
    assert job.limit == 3
    assert "gpu" not in json.dumps(job.recipe)
    assert "s3cret" not in repr(job)
