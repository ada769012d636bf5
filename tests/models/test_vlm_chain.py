"""Which model answers, and one real server: transformers' own, with a tiny random model, on loopback."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from pipeline.engine.events import Events, Reader
from pipeline.engine.work import Services, Workspace
from pipeline.models import hub, vlm_chain
from pipeline.models.vlm import Picture, Request, Text, Video
from pipeline.schemas.weights import Choice

from . import tiny_families
from .model_server import serving

SCHEMA = {"type": "object", "properties": {"who": {"enum": ["Ann", "Bob"]}}, "required": ["who"]}
A = "a" * 40


def chain(*texts):
    return tuple(Choice.model_validate(text) for text in texts)


@pytest.fixture
def place(work, tmp_path):
    """A function from services to a step's workspace, and one to what its log says."""
    path = tmp_path / "events.jsonl"
    made = []

    def workspace(**services):
        made.append(Workspace(work.store, work.scratch, work.cache, events=Events(path), services=Services(**services)))
        return made[-1]

    def told():
        return [event["message"] for event in Reader(path).poll() if event["event"] == "log"]

    yield workspace, told
    for each in made:
        each.models.close()


def test_the_first_that_can_be_opened_answers_and_the_others_are_told_with_reasons(place, tmp_path):
    workspace, told = place
    with serving(lambda body: '{"ok": "yes"}' if body["max_tokens"] == 16 else '{"who": "Bob"}') as server:
        work = workspace(folder=tmp_path, model_server_url=server.url)
        vlm = vlm_chain.opened(work, chain("./nowhere", "not/pinned", "server:tiny", "none"))
        assert [reply.data for reply in vlm.answer([Request("", (Text("Who?"),), SCHEMA)])] == [{"who": "Bob"}]
        log = told()
        assert re.match(r"\./nowhere cannot be used: there is no model in .*nowhere", log[0])
        assert log[1].startswith("not/pinned cannot be used: it is not pinned")
        assert log[2].startswith("tiny at served:")
        assert vlm_chain.opened(work, chain("server:tiny")) is vlm


def test_none_stands_for_no_model_and_a_list_without_it_insists(place):
    workspace, told = place
    assert vlm_chain.opened(workspace(), chain("server:tiny", "none")) is None
    assert told() == [
        "tiny cannot be used: no model server is set: set model_server_url (DAILIES_MODEL_SERVER_URL) to one that"
        " serves tiny",
        "goes on without a model",
    ]
    with pytest.raises(ValueError, match=r"no model can be used; tiny: no model server is set.*; not/pinned: it is"):
        vlm_chain.opened(workspace(), chain("server:tiny", "not/pinned"))
    with pytest.raises(ValueError, match="no model is named"):
        vlm_chain.opened(workspace(), ())


def test_long_weights_are_not_opened_without_a_gpu(place, tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    workspace, told = place
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "config.json").write_text("{}")
    with (tmp_path / "big" / "model.safetensors").open("wb") as file:
        file.truncate(15_000_000_000)
    [choice] = chain("./big")
    choice = choice.model_copy(update={"revision": "sha256:0"})
    assert vlm_chain.opened(workspace(folder=tmp_path), (choice, *chain("none"))) is None
    assert "big has 15 GB of weights and this machine no GPU" in told()[0]


def test_files_of_the_hub_that_are_here_are_taken_and_half_a_download_is_not(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    folder = tmp_path / "models--some--model" / "snapshots" / A
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"x": "1.safetensors", "y": "2.safetensors"}}')
    (folder / "1.safetensors").write_bytes(b"1")
    with pytest.raises(ValueError, match="some/model"):
        hub.files_of("some/model", A)
    (folder / "2.safetensors").write_bytes(b"2")
    assert hub.files_of("some/model", A) == folder
    with pytest.raises(ValueError, match="the model hub cannot be asked for other/model"):
        hub.files_of("other/model", A)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return tiny_families.save("qwen2_5_vl", tmp_path_factory.mktemp("served") / "tiny")


@pytest.fixture(scope="module")
def address(checkpoint, tmp_path_factory):
    """`transformers serve` with a tiny Qwen2.5-VL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(checkpoint), "--host", "127.0.0.1"]
    environment = {**os.environ, "HF_HUB_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    with (cache / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--port", str(port)], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(2400):
            assert process.poll() is None, (cache / "log").read_text()[-2000:]
            try:
                if httpx.get(f"{url}/v1/models", timeout=5, trust_env=False).is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def test_a_real_server_that_keeps_to_no_schema_gives_problems_and_never_crashes(address, checkpoint, place):
    workspace, told = place
    work = workspace(model_server_url=address)
    vlm = vlm_chain.opened(work, (Choice(backend="openai", model=str(checkpoint)),))
    assert (vlm.sees, vlm.hears) == (True, False)
    assert any("without logprobs" in each for each in told())
    assert any("does not hold answers to their schema" in each for each in vlm.notes)
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 96, 3), dtype=np.uint8)
    parts = [(Text("Who?"),), (Picture(frames[0]), Text("Who?")), (Video(frames, 2.0), Text("Who?"))]
    found = list(vlm.answer([Request("You know the show.", each, SCHEMA, ("who",), max_tokens=12) for each in parts]))
    assert [each.data for each in found] == [None] * 3  # its weights are random
    assert all(each.problem and each.tokens_out for each in found)
    assert found[0].tokens_in < found[1].tokens_in < found[2].tokens_in


def test_the_same_folder_opens_in_this_process(checkpoint, place):
    workspace, told = place
    work = workspace(folder=checkpoint.parent)
    choice = Choice(model="./tiny", revision="sha256:123")
    vlm = vlm_chain.opened(work, (choice,))
    [reply] = vlm.answer([Request("", (Text("Who?"),), SCHEMA, ("who",), max_tokens=40)])
    assert reply.data["who"] in ("Ann", "Bob")
    assert (vlm.name, vlm.revision) == ("tiny", "sha256:123")
    assert told()[0] == "tiny at sha256:123 answers; it sees"
