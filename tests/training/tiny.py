"""A training that takes milliseconds a step: LTX-2's transformer with random weights, and clips of random latents."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipeline.engine.events import Events
from pipeline.engine.store import Store
from pipeline.engine.work import Workspace
from pipeline.training import export, ltx2
from pipeline.training.checkpoints import Shelf
from pipeline.training.hands import Hands
from pipeline.training.ltx2_clips import Clip, measured
from pipeline.training.ltx2_config import Ltx2TrainingConfig

TEXT_TOKENS = 6
FIELDS = {
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "cross_attention_dim": 32,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 8,
    "audio_cross_attention_dim": 16,
    "caption_channels": 32,
    "rope_type": "split",
}


def transformer(dtype=torch.float32):
    from diffusers import LTX2VideoTransformer3DModel

    with torch.random.fork_rng():
        torch.manual_seed(7)
        return LTX2VideoTransformer3DModel(**FIELDS).to(dtype)


def slow(seconds, load, dtype):
    """What `load` gives, whose every step takes so long, in which it can be ended."""
    model = load(dtype)
    model.register_forward_pre_hook(lambda *_: time.sleep(seconds))
    return model


def config(**changed):
    plain = {"profile": "tiny", "steps": 4, "rank": 4, "learning_rate": 1e-2, "warmup": 0, "caption_dropout": 0.0}
    return Ltx2TrainingConfig(**{**plain, "checkpoint_every": 100, "holdout_sigmas": 4, **changed})


def clip(folder: Path, name: str, shape=(2, 2, 3), audio_steps=5, fps=24.0, number=0) -> Clip:
    draw = torch.Generator().manual_seed(number)
    paths = [folder / f"{name}.{kind}" for kind in ("video.pt", "audio.pt", "safetensors")]
    latents = torch.randn(128, *shape, generator=draw).bfloat16()
    frames, height, width = shape
    sizes = {"num_frames": frames, "height": height, "width": width, "fps": fps}
    torch.save({"latents": latents, **sizes}, paths[0])
    torch.save({"latents": torch.randn(8, audio_steps, 16, generator=draw)}, paths[1])
    words = {each: torch.randn(TEXT_TOKENS, 32, generator=draw).bfloat16() for each in ("video", "audio")}
    save_file(words, paths[2])
    return measured(name, *paths)


def training(folder: Path, clips=6, held_out=2, load=transformer, **changed) -> ltx2.Training:
    folder.mkdir(exist_ok=True)
    shapes = [(2, 2, 3), (1, 2, 2)]
    made = [clip(folder, f"clip{number}", shapes[number % 3 == 2], number=number) for number in range(clips + held_out)]
    empty = clip(folder, "empty", number=99).text
    return ltx2.Training(config(**changed), made[:clips], made[clips:], empty, dict(transformer().config), load)


def workspace(root: Path, step="step5-ltx2-train") -> Workspace:
    store = Store(root / "store")
    scratch = root / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    return Workspace(store, scratch, root / "cache", step, "code", Events(root / "events.jsonl"))


def hands(work: Workspace, asked: ltx2.Training, **more):
    def make(setting, card):
        def save(lora, step, path):
            export.save(path, lora, export.About(kind=more.get("kind", "ltx2"), base="tiny", step=step))

        decides = [asked.config.decides(), [each.name for each in asked.clips]]
        shelf = Shelf(work, decides, asked.config.holdout_sigmas, more.get("prompts", ()))
        return Hands(work, shelf, save, more.get("sample"), trackers=list(more.get("trackers", ())))

    return make


def shortened(asked: ltx2.Training, **changed) -> ltx2.Training:
    return replace(asked, config=asked.config.model_copy(update=changed))
