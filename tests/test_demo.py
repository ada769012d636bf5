"""The way of a newcomer, for real: from video files through a real Label Studio to both datasets, twice."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pipeline import control, dag, demo
from pipeline.models import tiny_ltx2, tiny_wan21
from pipeline.review import scripted
from pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
EPISODES = ("s01e01", "s01e02")
NODES = {(step.name, unit) for step in dag.STEPS for unit in (EPISODES if step.per == "episode" else ("show",))}

# The first test here waits for the whole demo: five minutes on an idle machine, several times that on a busy one.
pytestmark = [pytest.mark.server, pytest.mark.weights, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def show(spies, tmp_path_factory):
    if not Settings().label_studio_executable.exists():
        pytest.skip(f"no Label Studio at {Settings().label_studio_executable}: run `make setup`")
    folder = tmp_path_factory.mktemp("demo") / "spies"
    shutil.copytree(spies, folder, ignore=shutil.ignore_patterns(".dailies", "generator"))
    return folder


def dailies(show, *arguments, **keywords):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    command = [sys.executable, "-m", "pipeline", *arguments, "--show", str(show)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, **keywords)


def output(show, step, unit="show"):
    run = show / ".dailies" / "store" / "runs" / (show / ".dailies/store/heads" / step / unit).read_text()
    return json.loads((run / "output.json").read_text()), run / "files"


def captions(show):
    made = [output(show, "step2-caption", episode)[0]["captions"] for episode in EPISODES]
    return {caption["clip"]: caption for each in made for caption in each}


def items(show, step):
    """How many items of a step are kept."""
    return len(list((show / ".dailies" / "store" / "memo" / step).rglob("*.json")))


@pytest.fixture(scope="module")
def first(show):
    return dailies(show, "demo", "--once", timeout=1500)


def test_every_step_runs_once_for_what_it_is_made_for(first):
    assert first.returncode == 0, first.stderr
    rows = [line.split()[:3] for line in first.stdout.splitlines() if line.startswith("step") and " ran " in line]
    assert {(step, unit) for step, unit, _ in rows} == NODES
    assert first.stdout.splitlines()[-1] == f"{len(NODES)} steps ran, 0 were fresh"


def test_what_the_reviewer_did_is_in_the_datasets(first, show):
    reviewed, _ = output(show, "step2-reviewed")
    lines = {line["id"]: line for clip in reviewed["clips"] for line in clip["lines"]}
    texts = [" ".join(word["text"] for word in line["words"]) for line in lines.values()]
    assert any("that, Pryce, is the price of cake" in text for text in texts)
    assert sum(line["speaker"] == "margaux" for line in lines.values()) >= 1
    assert [each["reason"].rpartition(": ")[2] for each in reviewed["left_out"]] == ["titles or text"]
    assert reviewed["outdated"] == []
    ltx2, files = output(show, "step3-ltx2-data")
    rows = [json.loads(line) for line in (files / "dataset.jsonl").read_text().splitlines()]
    held = [json.loads(line) for line in (files / "holdout.jsonl").read_text().splitlines()]
    assert len(rows) + len(held) == len(ltx2["samples"]) == len(reviewed["clips"])
    assert all((files / row["video"]).is_file() for row in (*rows, *held))
    captions = " ".join(row["caption"] for row in (*rows, *held))
    assert "that, Pryce, is the price of cake" in captions
    assert "Margaux" in captions
    wan21, files = output(show, "step3-wan21-package")
    with zipfile.ZipFile(files / wan21["package"]["name"]) as package:
        names = package.namelist()
    train = [sample for sample in wan21["samples"] if sample["split"] == "train"]
    assert len(names) == 2 * len(train)
    scenes = [output(show, "step1-scenes", episode)[0] for episode in EPISODES]
    clips = {
        clip["id"]: clip["id"] in {c["clip"] for c in reviewed["clips"]} for each in scenes for clip in each["clips"]
    }
    assert {account["clip"]: account["kept"] for account in wan21["accounts"]} == clips


@pytest.mark.parametrize("kind", ["ltx2", "wan21"])
def test_a_lora_of_the_show_loads_in_diffusers_own_pipeline_and_changes_what_it_makes(first, show, kind, tmp_path):
    import diffusers
    import torch

    lora, files = output(show, f"step5-{kind}-train")
    (tiny_ltx2 if kind == "ltx2" else tiny_wan21).build(tmp_path)  # The same bytes as those it was trained on.
    pipeline = (diffusers.LTX2Pipeline if kind == "ltx2" else diffusers.WanPipeline).from_pretrained(tmp_path)
    pipeline.set_progress_bar_config(disable=True)
    more = {"num_frames": 9, "frame_rate": 24.0} if kind == "ltx2" else {"num_frames": 5}

    def made():
        noise = torch.Generator().manual_seed(1)
        asked = {"height": 64, "width": 64, "num_inference_steps": 2, "output_type": "latent", **more}
        return pipeline(f"{lora['trigger']} a spy", generator=noise, return_dict=False, **asked)[0]

    before = made()
    pipeline.load_lora_weights(files, weight_name=lora["weights"]["name"])
    assert (made() - before).abs().mean() > 0.005 * before.abs().mean()


def test_nothing_is_left_running(first, show):
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert [line for line in listed.splitlines() if str(show) in line and "pytest" not in line] == []


def test_a_second_time_nothing_runs(first, show):
    again = dailies(show, "demo", "--once", timeout=300)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == f"0 steps ran, {len(NODES)} were fresh"
    assert "0 tasks pushed" in again.stderr


def test_one_changed_name_makes_only_what_speaks_of_it_anew(first, show):
    """From the bible to the tensors that a LoRA is trained on: captions, questions to reviewers, text embeddings."""
    assert first.returncode == 0
    bible = show / "bible.toml"
    bible.write_text(bible.read_text().replace('short = "Margaux"', 'short = "Margot D."'))
    before, samples = captions(show), output(show, "step3-ltx2-data")[0]["samples"]
    kept = {step: items(show, step) for step in ("step2-caption", "step3-ltx2-data", "step4-ltx2-preprocess")}
    answer = dailies(show, "run", "step2-caption", "--json", timeout=300)
    after = captions(show)
    assert answer.returncode == 0, answer.stderr
    assert ["step1-scenes", "s01e01"] not in json.loads(answer.stdout)["ran"]
    changed = {clip for clip in before if before[clip] != after[clip]}
    assert changed
    assert len(changed) < len(before) / 2
    texts = {clip for clip in changed if before[clip]["text"] != after[clip]["text"]}
    assert texts
    assert all("Margaux" in before[clip]["text"] for clip in texts)
    assert items(show, "step2-caption") == kept["step2-caption"] + len(changed)
    # Reviewers are asked again about these captions and no others.
    opened = demo.open_demo(show)
    with demo.serving(opened) as (there, _):
        pushed = {each.kind: each for each in control.push(there)}
        assert pushed["captions"].again == len(texts - set(demo.DROP))
        assert (pushed["transcripts"].created, pushed["transcripts"].again) == (0, 0)
        with control.label_studio(there) as client:
            scripted.review(client, opened.file.name, picks=demo.PICKS, drop=demo.DROP)
        assert control.review_desk(there).new >= pushed["captions"].again
        control.pull(there)
        assert control.review_desk(there).new == 0
    answer = dailies(show, "run", "step4-ltx2-preprocess", "--json", timeout=300)
    assert answer.returncode == 0, answer.stderr
    now = output(show, "step3-ltx2-data")[0]["samples"]
    written = {sample["clip"]: sample["caption"] for sample in samples}
    rewritten = {sample["clip"] for sample in now if sample["caption"] != written[sample["clip"]]}
    assert rewritten == texts - set(demo.DROP)
    # One embedding for each caption; no clip is cut again, no picture and no sound encoded again.
    assert items(show, "step3-ltx2-data") == kept["step3-ltx2-data"]
    assert items(show, "step4-ltx2-preprocess") == kept["step4-ltx2-preprocess"] + len(rewritten)
