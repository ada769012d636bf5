"""The step as the engine runs it, on the tiny model that it makes itself, with clips of random latents."""

import json
import shutil
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import torch

from pipeline.engine.events import Events
from pipeline.models import foundation, ltx2_layout, ltx2_sampling, tiny_ltx2
from pipeline.models.ltx2_text import Embedded
from pipeline.schemas.training import Ltx2Encoded, Ltx2Precomputed
from pipeline.steps import step5_ltx2_train
from pipeline.steps.step5_ltx2_train import Config

TOKENS, CHANNELS = 1024, 32


def encoded(work, name, split, number, *, sound=True):
    draw = torch.Generator().manual_seed(number)
    paths = {kind: work.scratch / f"{name}-{kind}" for kind in ("latents", "audio", "conditions", "connected")}
    ltx2_layout.write_latents(paths["latents"], torch.randn(128, 2, 2, 2, generator=draw).bfloat16(), 24.0)
    ltx2_layout.write_audio_latents(paths["audio"], torch.randn(8, 9, 16, generator=draw), 9 / 24)
    words = torch.randn(TOKENS, CHANNELS, generator=draw).bfloat16()
    text = Embedded(words, words, torch.ones(TOKENS, dtype=torch.int64), words, words, 0)
    ltx2_layout.write_conditions(paths["conditions"], text)
    ltx2_layout.write_connected(paths["connected"], text)
    audio = work.keep(paths["audio"], f"audio_latents/{name}.pt") if sound else None
    return Ltx2Encoded(
        sample=name,
        split=split,
        caption=f"What {name} shows.",
        num_frames=9,
        width=64,
        height=64,
        fps=24.0,
        latents=work.keep(paths["latents"], f"latents/{name}.pt"),
        audio_latents=audio,
        conditions=work.keep(paths["conditions"], f"conditions/{name}.pt"),
        connected=work.keep(paths["connected"], f"conditions_final/{name}.safetensors"),
    )


def precomputed(work, *, held_out=1):
    samples = [encoded(work, f"clip{number}", "train", number, sound=number != 3) for number in range(4)]
    samples += [encoded(work, f"held{number}", "holdout", 10 + number) for number in range(held_out)]
    empty = encoded(work, "empty", "train", 99).connected
    return Ltx2Precomputed(base="Lightricks/LTX-2", revision=None, trigger="sp1es", samples=tuple(samples), empty=empty)


def config(**changed):
    plain = {"profile": "tiny", "steps": 6, "rank": 4, "learning_rate": 1e-2, "checkpoint_every": 3, "sample_every": 0}
    return Config(**{**plain, "sample_steps": 2, "sample_clips": 1, "holdout_sigmas": 2, "seed": 1, **changed})


def told(tmp_path):
    return [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The tiny model is made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def watched(work, tmp_path, cache):
    work.events = Events(tmp_path / "events.jsonl")
    work.cache = cache
    return work


def test_a_dataset_becomes_a_lora_with_all_that_is_known_of_it(watched, tmp_path):
    data = precomputed(watched)
    found = step5_ltx2_train.run(config(), watched, step4_ltx2_preprocess=data)
    assert [each.step for each in found.checkpoints] == [3, 6]
    assert [each.step for each in found.holdout] == [0, 3, 6]
    assert [each.sample for each in found.usage] == ["clip0", "clip1", "clip2", "clip3"]
    assert sorted(each.times for each in found.usage) == [1, 1, 2, 2]
    assert [(each.step, each.of) for each in found.samples] == [(0, "held0"), (6, "held0")]
    assert found.weights.name == "sp1es_ltx2.safetensors"
    assert len(watched.open(found.log).read_text().splitlines()) == 6
    kinds = [event["event"] for event in told(tmp_path)]
    assert kinds.count("metric") == 6
    assert kinds.count("checkpoint") == 2
    assert kinds.count("planned") == 1


def test_the_lora_loads_in_the_pipeline_and_changes_its_video_and_sound(watched, tmp_path):
    from diffusers import LTX2Pipeline

    asked = config(sample_clips=0, learning_rate=5e-2)
    lora = step5_ltx2_train.run(asked, watched, step4_ltx2_preprocess=precomputed(watched, held_out=0))
    pipeline = LTX2Pipeline.from_pretrained(foundation.folder_of(asked, watched, tiny_ltx2.build))
    pipeline.set_progress_bar_config(disable=True)

    def made():
        return pipeline(
            "sp1es a spy", height=64, width=64, num_frames=9, frame_rate=24.0, num_inference_steps=2,
            output_type="latent", generator=torch.Generator().manual_seed(1), return_dict=False,
        )  # fmt: skip

    before = made()
    shutil.copyfile(watched.open(lora.weights), tmp_path / lora.weights.name)
    pipeline.load_lora_weights(tmp_path, weight_name=lora.weights.name)
    for one, other in zip(before, made(), strict=True):
        assert (other - one).abs().mean() > 0.01 * one.abs().mean()


def steps_trained(tmp_path):
    return [event["at_step"] for event in told(tmp_path) if event["event"] == "metric"]


def test_settings_that_only_watch_train_nothing_again(watched, tmp_path):
    data = precomputed(watched)
    before = step5_ltx2_train.run(config(steps=4, checkpoint_every=2), watched, step4_ltx2_preprocess=data)
    (tmp_path / "events.jsonl").unlink()
    other = config(steps=4, checkpoint_every=1, holdout_sigmas=3, prompts=("A spy at dawn.",), spike=0)
    after = step5_ltx2_train.run(other, watched, step4_ltx2_preprocess=data)
    assert steps_trained(tmp_path) == []
    assert [each.digest for each in (before.weights, before.log)] == [
        each.digest for each in (after.weights, after.log)
    ]
    assert [each.step for each in after.holdout] == [0, 2, 4]
    assert [(each.step, each.text) for each in after.samples if not each.of] == [
        (0, "A spy at dawn."),
        (4, "A spy at dawn."),
    ]


def test_more_steps_go_on_from_the_last_checkpoint(watched, tmp_path):
    data = precomputed(watched, held_out=0)
    quick = {"sample_clips": 0, "caption_dropout": 0.5}
    step5_ltx2_train.run(config(steps=3, **quick), watched, step4_ltx2_preprocess=data)
    (tmp_path / "events.jsonl").unlink()
    longer = step5_ltx2_train.run(config(steps=5, **quick), watched, step4_ltx2_preprocess=data)
    assert steps_trained(tmp_path) == [4, 5]
    assert (longer.best_step, longer.holdout) == (5, ())
    assert len(watched.open(longer.log).read_text().splitlines()) == 5


def test_with_a_falling_learning_rate_more_steps_begin_again(watched, tmp_path):
    data = precomputed(watched, held_out=0)
    for steps in (1, 2):
        step5_ltx2_train.run(
            config(steps=steps, schedule="linear", sample_clips=0), watched, step4_ltx2_preprocess=data
        )
    assert steps_trained(tmp_path) == [1, 1, 2]


def test_what_was_made_for_another_model_is_refused(work):
    data = precomputed(work).model_copy(update={"base": "Lightricks/LTX-2.3"})
    with pytest.raises(ValueError, match="give both the same model"):
        step5_ltx2_train.run(config(), work, step4_ltx2_preprocess=data)


def test_figures_go_to_the_services_asked_for_and_nothing_is_trained_again(watched, tmp_path, monkeypatch):
    data = precomputed(watched, held_out=0)
    quick = {"steps": 1, "sample_clips": 0}
    with pytest.raises(ValueError, match="needs the package trackio"):
        step5_ltx2_train.run(config(track=("trackio",), **quick), watched, step4_ltx2_preprocess=data)
    sent, begun = [], []
    package = ModuleType("trackio")
    package.__spec__ = ModuleSpec("trackio", None)
    package.init, package.finish = (lambda **given: begun.append(given)), (lambda: sent.append("finished"))
    package.log = lambda figures, step: sent.append((step, figures["train/loss"]))
    monkeypatch.setitem(sys.modules, "trackio", package)
    tracked = step5_ltx2_train.run(config(track=("trackio",), **quick), watched, step4_ltx2_preprocess=data)
    (metric,) = (json.loads(line) for line in watched.open(tracked.log).read_text().splitlines())
    assert sent == [(1, metric["loss"]), "finished"]
    assert begun[0]["name"].startswith("sp1es-ltx2-")
    assert "track" not in begun[0]["config"]
    (tmp_path / "events.jsonl").unlink()
    plain = step5_ltx2_train.run(config(**quick), watched, step4_ltx2_preprocess=data)
    assert steps_trained(tmp_path) == []
    assert plain.weights == tracked.weights


def test_sound_that_is_no_number_is_said_and_makes_no_sample(watched, tmp_path, monkeypatch):
    data = precomputed(watched)
    pictures, sound = np.zeros((9, 64, 64, 3), np.uint8), np.full((2, 9000), np.nan, np.float32)
    monkeypatch.setattr(ltx2_sampling, "sample", lambda *_, **__: ltx2_sampling.Take(pictures, sound, 24_000))
    found = step5_ltx2_train.run(config(steps=1), watched, step4_ltx2_preprocess=data)
    assert (found.best_step, found.samples) == (1, ())
    said = [event["message"] for event in told(tmp_path) if "no sample" in event.get("message", "")]
    assert len(said) == 2
    assert "its sound is not a number: raise sample_steps" in said[0]


def test_without_a_clip_to_train_on_it_says_where_to_look(work):
    data = precomputed(work)
    data = data.model_copy(update={"samples": tuple(each for each in data.samples if each.split == "holdout")})
    with pytest.raises(ValueError, match="nothing is left to train on"):
        step5_ltx2_train.run(config(), work, step4_ltx2_preprocess=data)
