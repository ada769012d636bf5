"""step4-ltx2-preprocess on small clips and a small random LTX-2, end to end."""

import gc
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.engine.events import Events
from pipeline.engine.records import File, files_of
from pipeline.engine.store import Store
from pipeline.engine.work import Workspace
from pipeline.media import ffmpeg
from pipeline.models import ltx2, ltx2_encoding, ltx2_layout
from pipeline.schemas.datasets import Ltx2Dataset, Sample
from pipeline.schemas.timeline import Span
from pipeline.steps import step4_ltx2_preprocess as step4

FPS = 24


def clip(path: Path, pattern: str, frames: int, size: str, tone: int | None) -> Path:
    """A small video of one of ffmpeg's test pictures; with a tone, or without an audio track."""
    seconds = frames / FPS
    sound = ["-f", "lavfi", "-i", f"sine=frequency={tone}:duration={seconds}", "-ac", "2"] if tone else []
    picture = ["-f", "lavfi", "-i", f"{pattern}=size={size}:rate={FPS}:duration={seconds + 1}"]
    ffmpeg.run([*picture, *sound, "-frames:v", str(frames), "-pix_fmt", "yuv420p", str(path)], "making a clip")
    return path


def sample(store: Store, path: Path, caption: str, frames: int, size: str, split="train") -> Sample:
    width, height = map(int, size.split("x"))
    return Sample(
        episode="s01e01", clip=path.stem, split=split, window=Span(start=0, end=frames / FPS), num_frames=frames,
        fps=FPS, width=width, height=height, video=store.put_file(path), caption=caption,
    )  # fmt: skip


def dataset(samples, trigger="") -> Ltx2Dataset:
    nothing = File(digest="0" * 64, name="dataset.jsonl", size_bytes=0)
    return Ltx2Dataset(
        samples=tuple(samples), accounts=(), trigger=trigger, dataset=nothing, holdout=nothing, captions=()
    )


@dataclass
class Bench:
    """A store that stays, and runs on it, each with what the encoders were asked."""

    store: Store
    folder: Path
    cache: Path
    runs: int = 0
    asked: dict[str, int] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def run(self, samples, trigger="", **settings):
        self.runs += 1
        scratch = self.folder / f"scratch-{self.runs}"
        scratch.mkdir()
        events = self.folder / f"events-{self.runs}.jsonl"
        work = Workspace(self.store, scratch, self.cache, step="step4-ltx2-preprocess", events=Events(events))
        self.asked.clear()
        try:
            config = step4.Config(profile="tiny", **settings)
            return step4.run(config, work, step3_ltx2_data=dataset(samples, trigger))
        finally:
            self.said = events.read_text().splitlines() if events.exists() else []

    def path(self, file: File) -> Path:
        return self.store.path_of(file)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """The tiny model, made once for all tests here."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def bench(tmp_path, cache, monkeypatch):
    """Counts the texts, pictures and sounds that go through the encoders, and how many go together."""
    made = Bench(Store(tmp_path / "store"), tmp_path, cache)

    def counted(name, load, batch_of):
        @contextmanager
        def counting(folder, device):
            made.asked[f"{name} loaded"] = made.asked.get(f"{name} loaded", 0) + 1
            with load(folder, device) as encoder:
                encode = encoder.encode if name == "sounds" else encoder

                def count(batch):
                    made.asked[name] = made.asked.get(name, 0) + len(batch)
                    made.asked[f"{name} batches"] = made.asked.get(f"{name} batches", 0) + 1
                    return encode(batch)

                yield ltx2.AudioEncoder(encoder.rate, count) if name == "sounds" else count

        monkeypatch.setattr(ltx2, batch_of, counting)

    counted("texts", ltx2.text_encoder, "text_encoder")
    counted("pictures", ltx2.video_encoder, "video_encoder")
    counted("sounds", ltx2.audio_encoder, "audio_encoder")
    counted("checks", ltx2.video_decoder, "video_decoder")
    return made


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three clips of one shape and one of another; the last of the three has no sound."""
    folder = tmp_path_factory.mktemp("clips")
    return [
        clip(folder / "a.mp4", "testsrc", 9, "96x64", 440),
        clip(folder / "b.mp4", "testsrc2", 9, "96x64", 880),
        clip(folder / "c.mp4", "smptebars", 9, "96x64", None),
        clip(folder / "d.mp4", "testsrc", 17, "64x64", 220),
    ]


def samples_of(bench, clips):
    shapes = [(9, "96x64"), (9, "96x64"), (9, "96x64"), (17, "64x64")]
    splits = ["train", "train", "holdout", "train"]
    return [
        sample(bench.store, path, f"Ann in picture {path.stem}.", *shape, split)
        for path, shape, split in zip(clips, shapes, splits, strict=True)
    ]


def test_every_sample_has_its_files_in_the_official_layout(bench, clips):
    output = bench.run(samples_of(bench, clips), trigger="SPIES", video_batch=2)
    assert [(each.sample, each.split) for each in output.samples] == [
        ("a", "train"), ("b", "train"), ("c", "holdout"), ("d", "train"),
    ]  # fmt: skip
    a, _, c, d = output.samples
    assert (a.latents.name, a.conditions.name) == ("latents/a.pt", "conditions/a.pt")
    assert a.audio_latents.name == "audio_latents/a.pt"
    assert a.connected.name == "conditions_final/a.safetensors"
    assert a.caption == "SPIES Ann in picture a."
    picture = torch.load(bench.path(d.latents), weights_only=True)
    assert picture["latents"].shape == (128, 3, 2, 2)
    assert (picture["num_frames"], picture["height"], picture["width"], picture["fps"]) == (3, 2, 2, 24.0)
    sound = torch.load(bench.path(d.audio_latents), weights_only=True)
    assert sound["latents"].shape == (8, 18, 16)  # 17/24 s are 71 frames of mel.
    assert sound["duration"] == pytest.approx(17 / 24, abs=1e-4)
    text = torch.load(bench.path(d.conditions), weights_only=True)
    assert text["prompt_attention_mask"].sum() == len("SPIES Ann in picture d.") + 1
    assert load_file(bench.path(output.empty))["video"].shape == (1024, 32)
    # A clip without sound stays, and says so.
    assert c.audio_latents is None
    assert [(each.clip, each.kept, each.reason) for each in output.accounts] == [("c", True, step4.SILENT)]
    # Of one shape together, and all loaded once.
    assert bench.asked == {
        "texts": 5, "texts batches": 2, "texts loaded": 1,
        "pictures": 4, "pictures batches": 3, "pictures loaded": 1,
        "sounds": 3, "sounds batches": 2, "sounds loaded": 1,
    }  # fmt: skip


def test_one_component_is_in_memory_at_a_time(bench, clips, monkeypatch):
    """Seen by the weights that live in this process when the next one is loaded, and by the last when all is done."""

    def living():
        gc.collect()
        parameters = (each for each in gc.get_objects() if type(each) is torch.nn.Parameter)
        return sum(each.nbytes for each in parameters if each.device.type != "meta")

    before, found, held = living(), [], []
    for name in ("text_encoder", "video_encoder", "audio_encoder", "video_decoder"):
        load = getattr(ltx2, name)

        @contextmanager
        def watched(folder, device, load=load):
            found.append(living() - before)
            with load(folder, device) as encoder:
                held.append(encoder)  # Whoever keeps the function keeps no weights.
                found.append(living() - before)
                yield encoder

        monkeypatch.setattr(ltx2, name, watched)
    bench.run(samples_of(bench, clips)[:1], check=1)
    assert found[::2] == [0, 0, 0, 0]
    assert all(each > 10_000 for each in found[1::2])
    assert living() == before


def test_the_published_run_is_the_trainer_s_folder(bench, clips):
    output = bench.run(samples_of(bench, clips)[:1])
    assert sorted(file.name for file in files_of(output)) == [
        "audio_latents/a.pt", "conditions/a.pt", "conditions_final/a.safetensors", "empty.safetensors", "latents/a.pt",
    ]  # fmt: skip


def test_a_changed_caption_costs_one_embedding_and_a_changed_clip_one_latent(bench, clips, tmp_path):
    samples = samples_of(bench, clips)
    before = bench.run(samples)
    assert bench.run(samples) == before
    assert bench.asked == {}

    samples[1] = samples[1].model_copy(update={"caption": "Bert instead."})
    after = bench.run(samples)
    assert bench.asked == {"texts": 1, "texts batches": 1, "texts loaded": 1}
    assert [one.latents for one in after.samples] == [one.latents for one in before.samples]

    other = clip(tmp_path / "a.mp4", "rgbtestsrc", 9, "96x64", 440)
    samples[0] = sample(bench.store, other, samples[0].caption, 9, "96x64")
    bench.run(samples)
    assert {name: bench.asked[name] for name in ("pictures", "sounds")} == {"pictures": 1, "sounds": 1}
    assert "texts" not in bench.asked


def test_what_is_made_is_the_same_bytes_on_another_day(bench, clips, tmp_path, cache):
    samples = samples_of(bench, clips)
    one = bench.run(samples)
    bench.store = Store(tmp_path / "another-store")
    assert bench.run(samples_of(bench, clips)) == one


def test_an_ended_step_goes_on_at_the_item_it_was_at(bench, clips, monkeypatch):
    samples, whole = samples_of(bench, clips), ltx2.video_encoder

    @contextmanager
    def dying(folder, device):
        with whole(folder, device) as encode:

            def twice(batch):
                if bench.asked.get("pictures") == 2:
                    raise KeyboardInterrupt
                return encode(batch)

            yield twice

    monkeypatch.setattr(ltx2, "video_encoder", dying)
    with pytest.raises(KeyboardInterrupt):
        bench.run(samples)
    monkeypatch.setattr(ltx2, "video_encoder", whole)
    bench.run(samples)
    assert bench.asked["pictures"] == 2
    assert "texts" not in bench.asked


def test_captions_are_written_while_the_next_are_embedded(bench, clips, monkeypatch):
    """The first batch is not written before the second one was embedded, and all are there in their order."""
    whole, write, second = ltx2.text_encoder, ltx2_layout.write_conditions, threading.Event()

    @contextmanager
    def watched(folder, device):
        with whole(folder, device) as embed:

            def embedding(texts):
                found = embed(texts)
                if bench.asked["texts batches"] == 2:
                    second.set()
                return found

            yield embedding

    def waiting(path, text):
        assert second.wait(60)
        write(path, text)

    monkeypatch.setattr(ltx2, "text_encoder", watched)
    monkeypatch.setattr(ltx2_layout, "write_conditions", waiting)
    output = bench.run(samples_of(bench, clips), text_batch=2)
    masks = [torch.load(bench.path(each.conditions))["prompt_attention_mask"] for each in output.samples]
    assert [int(mask.sum()) for mask in masks] == [len(each.caption) + 1 for each in output.samples]


def test_a_check_decodes_some_latents_again_and_nothing_else(bench, clips):
    samples = samples_of(bench, clips)
    assert bench.run(samples).checks == ()
    checks = bench.run(samples, check=2).checks
    assert bench.asked == {"checks": 2, "checks batches": 2, "checks loaded": 1}
    assert [check.sample for check in checks] == ["a", "c"]
    assert all(0 < check.psnr_db < 100 for check in checks)
    assert any("its latents keep" in line for line in bench.said)
    # As many as there are, at most; two are known.
    assert len(bench.run(samples, check=99).checks) == 4
    assert bench.asked["checks"] == 2


def test_a_broken_clip_is_named(bench, clips, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips[0].read_bytes()[:200])
    with pytest.raises(ValueError, match=r"broken\.mp4 cannot be read .*run the step that cuts the clips again"):
        bench.run([sample(bench.store, broken, "Ann.", 9, "96x64")])


def test_a_clip_with_another_number_of_frames_is_named(bench, clips):
    with pytest.raises(ValueError, match=r"a\.mp4 has 9 frames where its dataset says 17"):
        bench.run([sample(bench.store, clips[0], "Ann.", 17, "96x64")])


def test_a_caption_too_long_is_cut_and_said(bench, clips):
    bench.run([sample(bench.store, clips[0], "word " * 300, 9, "96x64")])
    assert any("more than the model takes" in line for line in bench.said)


def test_weights_far_too_long_for_a_cpu_are_refused_with_a_remedy(bench, clips, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(ltx2_encoding, "CPU_BYTES", 1e6)
    with pytest.raises(ValueError, match=r'GB of weights and this machine no GPU: .*profile = "tiny"'):
        bench.run([sample(bench.store, clips[0], "Ann.", 9, "96x64")])


def test_a_dataset_without_clips_makes_the_empty_embedding_alone(bench):
    output = bench.run([])
    assert output.samples == ()
    assert bench.asked["texts"] == 1


@pytest.mark.parametrize(
    ("caption", "trigger", "prompt"),
    [
        ("Ann walks.", "", "Ann walks."),
        ("Ann walks.", "SPIES", "SPIES Ann walks."),
        ("SPIES Ann walks.", "SPIES", "SPIES Ann walks."),
        ("SPIES, a show.", "SPIES", "SPIES, a show."),
        ("Ann walks.", "An", "An Ann walks."),
        ("", "SPIES", "SPIES "),
    ],
)
def test_the_trigger_stands_in_front_once(caption, trigger, prompt):
    assert step4.prompt(caption, trigger) == prompt


def test_importing_the_step_loads_no_torch():
    code = "import sys, pipeline.steps.step4_ltx2_preprocess; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
