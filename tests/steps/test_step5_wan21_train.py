"""step5-wan21-train on clips of moving colours: the tiny model by the real loading code, from a package to a LoRA."""

import shutil
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pipeline.engine.store import Store
from pipeline.engine.work import StoppedError, Workspace
from pipeline.media import renders
from pipeline.media.reading import pictures_ahead
from pipeline.models import foundation, tiny_wan21, wan21
from pipeline.models.wan21_encoding import Encoding
from pipeline.schemas.datasets import Sample, Wan21Package
from pipeline.schemas.timeline import Span
from pipeline.steps import step5_wan21_train as step5

FRAMES = (9, 9, 5, 9, 5)
"""Of each clip; the last two are held out."""


class Told:
    """What a step tells, kept; `at` a step's end something happens."""

    def __init__(self, at=0, happens=lambda: None):
        self.found, self.at, self.happens = [], at, happens

    def emit(self, event, **fields):
        self.found.append((event, fields))
        if event == "metric" and fields.get("at_step", fields.get("step")) == self.at:
            self.happens()

    def of(self, event):
        return [fields for kind, fields in self.found if kind == event]


def workspace(root, events=None) -> Workspace:
    (root / "scratch").mkdir(parents=True, exist_ok=True)
    return Workspace(Store(root / "store"), root / "scratch", root / "cache", events=events or Told())


def sample(work, number, colour, caption) -> Sample:
    ramp = np.linspace(0, 120, FRAMES[number])[:, None, None, None] + np.array(colour)
    path = work.scratch / "made.mp4"
    renders.write(path, np.broadcast_to(ramp, (FRAMES[number], 32, 48, 3)).astype(np.uint8), 16)
    return Sample(
        episode="s01e01", clip=f"clip{number}", split="holdout" if number > 2 else "train",
        window=Span(start=0, end=1), num_frames=FRAMES[number], fps=16, width=48, height=32,
        video=work.keep(path, f"clip{number}.mp4"), caption=caption,
    )  # fmt: skip


def package(work, captions=("red", "green", "blue", "dark", "light"), **changed) -> Wan21Package:
    colours = [(90, 0, 0), (0, 90, 0), (0, 0, 90), (10, 10, 10), (120, 120, 120)]
    samples = [
        sample(work, n, colour, caption) for n, (colour, caption) in enumerate(zip(colours, captions, strict=True))
    ]
    (work.scratch / "empty.zip").write_bytes(b"")
    plain = {"samples": samples, "accounts": (), "trigger": "SPYX", "package": work.keep(work.scratch / "empty.zip")}
    return Wan21Package(**{**plain, "extras": (), **changed})


def config(**changed) -> step5.Config:
    plain = {"profile": "tiny", "steps": 20, "rank": 4, "learning_rate": 1e-2, "warmup": 0, "holdout_sigmas": 4}
    return step5.Config(**{**plain, "sample_clips": 0, "sample_steps": 2, **changed})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(workspace, what it told, package, LoRA) of a training of 20 steps that nothing disturbs."""
    work = workspace(tmp_path_factory.mktemp("straight"))
    given = package(work)
    return (
        work,
        work.events,
        given,
        step5.run(config(sample_clips=1, prompts=["a spy"], check=2), work, step3_wan21_package=given),
    )


def test_the_loss_falls_on_clips_that_are_not_trained_on(trained):
    *_, lora = trained
    assert [each.step for each in lora.holdout] == [0, 20]
    assert lora.holdout[1].loss < 0.9 * lora.holdout[0].loss
    assert (lora.best_step, lora.steps, lora.weights.name) == (20, 20, "SPYX_wan21.safetensors")


def test_a_check_decodes_some_latents_again_and_says_how_much_they_keep(trained):
    work, told, given, lora = trained
    assert [each.sample for each in lora.checks] == ["clip2", "clip0"]  # Evenly spread over the shapes' batches.
    assert all(0 < each.psnr_db < 100 for each in lora.checks)
    assert any("its latents keep" in each["message"] for each in told.of("log"))
    assert made(work, given, check=2) == []
    assert made(work, given, check=3) == ["decoding 2 latents again"]


def test_every_clip_of_the_training_split_is_counted(trained):
    _, told, _, lora = trained
    assert {each.sample: each.times for each in lora.usage}.keys() == {"clip0", "clip1", "clip2"}
    assert sum(each.times for each in lora.usage) == 20
    assert len(told.of("metric")) == 20


def test_samples_are_made_of_held_out_captions_and_of_own_prompts_at_first_and_at_last(trained):
    *_, lora = trained
    assert [(each.step, each.of, each.text) for each in lora.samples] == [
        (0, "clip3", "SPYX dark"), (0, "", "a spy"), (20, "clip3", "SPYX dark"), (20, "", "a spy"),
    ]  # fmt: skip
    assert len({each.video.digest for each in lora.samples}) == 4


def test_the_lora_loads_in_the_pipeline_and_changes_its_video(trained, tmp_path):
    from diffusers import WanPipeline

    work, _, _, lora = trained
    pipeline = WanPipeline.from_pretrained(foundation.folder_of(config(), work, tiny_wan21.build))
    pipeline.set_progress_bar_config(disable=True)

    def video():
        return pipeline(
            "SPYX red", height=32, width=48, num_frames=5, num_inference_steps=2, output_type="latent",
            generator=torch.Generator().manual_seed(1),
        ).frames  # fmt: skip

    before = video()
    shutil.copyfile(work.open(lora.weights), tmp_path / lora.weights.name)
    pipeline.load_lora_weights(tmp_path, weight_name=lora.weights.name)
    bearing = {name.split(".lora_A")[0] for name, _ in pipeline.transformer.named_parameters() if ".lora_A" in name}
    assert len(bearing) == 2 * 10
    assert (video() - before).abs().mean() > 0.05 * before.abs().mean()


def test_one_changed_caption_is_one_embedding_and_one_changed_clip_one_latent(trained):
    work, _, given, _ = trained
    changed = sample(work, 1, (0, 200, 0), "green")
    again = given.model_copy(update={"samples": (*given.samples[:1], changed, *given.samples[2:])})
    assert made(work, again) == ["encoding 1 clips"]
    words = tuple(
        each.model_copy(update={"caption": "azure"}) if each.caption == "blue" else each for each in given.samples
    )
    assert made(work, given.model_copy(update={"samples": words})) == ["embedding 1 captions"]
    assert made(work, given) == []
    assert made(work, given, trigger="OTHER") == ["embedding 5 captions"]


def made(work, given, check=0, **changed) -> list[str]:
    """What has to be encoded of a package, in words."""
    told = Told()
    fresh = Workspace(work.store, work.scratch, work.cache, events=told)
    settings = config(check=check)
    step5.encode(
        settings,
        fresh,
        given.model_copy(update=changed),
        lambda: foundation.folder_of(settings, fresh, tiny_wan21.build),
    )
    return [each["message"] for each in told.of("log") if "keep" not in each["message"]]


def test_clips_encoded_together_have_the_latents_that_each_has_alone(trained, tmp_path):
    work, _, given, _ = trained
    folder = foundation.folder_of(config(), work, tiny_wan21.build)
    encoding = Encoding(work, config(), lambda: folder)
    alone = encoding.pictures(given.samples, 1, partial(pictures_ahead, work))
    with wan21.video_encoder(folder, "cpu") as encode:
        pictures = [next(pictures_ahead(work, [[each]]))[0] for each in given.samples[:2]]
        together = encode(torch.from_numpy(np.stack(pictures)))
    for latents, expected in zip(together, alone, strict=False):
        torch.testing.assert_close(latents, load_file(work.open(expected.file))["latents"], atol=1e-2, rtol=2**-7)


@pytest.mark.parametrize("ends", ["asked", "killed"])
def test_a_training_that_is_ended_goes_on_to_the_same_weights(trained, tmp_path, ends):
    straight, _, _, whole = trained
    work = workspace(tmp_path)

    def happens():
        if ends == "killed":
            raise KeyboardInterrupt
        work.stopping.asked.set()

    work.events = Told(11, happens)
    given = package(work)
    with pytest.raises(StoppedError if ends == "asked" else KeyboardInterrupt):
        step5.run(config(checkpoint_every=5), work, step3_wan21_package=given)
    work.stopping.asked.clear()
    work.events = Told()
    found = step5.run(config(checkpoint_every=5), work, step3_wan21_package=given)
    ((begin,),) = ([each.values() for each in work.events.of("resumed")],)
    assert next(iter(begin)) == (12 if ends == "asked" else 10)
    assert found.weights.digest == whole.weights.digest
    theirs, ours = (
        torch.load(w.open(each.checkpoints[-1].state), weights_only=True)
        for w, each in ((straight, whole), (work, found))
    )
    assert theirs["parameters"].keys() == ours["parameters"].keys()
    assert all(torch.equal(theirs["parameters"][name], ours["parameters"][name]) for name in ours["parameters"])


def test_a_model_that_makes_video_from_pictures_is_refused(tmp_path, work):
    tiny_wan21.build(tmp_path)
    index = (tmp_path / "model_index.json").read_text().replace("WanPipeline", "WanImageToVideoPipeline")
    (tmp_path / "model_index.json").write_text(index)
    with pytest.raises(ValueError, match=r"makes video from pictures, and this trains Wan2\.1 text-to-video only"):
        step5.run(config(profile="full", model=str(tmp_path)), work, step3_wan21_package=package(work))


def test_a_package_without_a_clip_to_train_on_is_refused(work):
    held_out = tuple(each for each in package(work).samples if each.split == "holdout")
    with pytest.raises(ValueError, match="the account of step3-wan21-package says why"):
        step5.run(config(), work, step3_wan21_package=package(work, samples=held_out))
