"""A training of Wan2.1 in milliseconds a step: the tiny model, loaded as the real one is; clips of random latents."""

from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import torch
from safetensors.torch import save_file

from pipeline.models import tiny_wan21
from pipeline.models import wan21 as models
from pipeline.training import wan21
from pipeline.training.wan21_config import Wan21TrainingConfig


@cache
def folder() -> Path:
    made = Path(mkdtemp(prefix="wan21-"))
    tiny_wan21.build(made)
    return made


def config(**changed) -> Wan21TrainingConfig:
    plain = {"profile": "tiny", "steps": 4, "rank": 4, "learning_rate": 1e-2, "warmup": 0, "caption_dropout": 0.0}
    return Wan21TrainingConfig(**{**plain, "checkpoint_every": 100, "holdout_sigmas": 4, **changed})


def clip(root: Path, name: str, shape: wan21.Shape, tokens: int, number: int) -> wan21.Clip:
    draw = torch.Generator().manual_seed(number)
    latents, text = root / f"{name}.latents", root / f"{name}.text"
    save_file({"latents": torch.randn(16, *shape, generator=draw).bfloat16()}, latents)
    save_file({"embedding": torch.randn(tokens, tiny_wan21.TEXT_DIM, generator=draw).bfloat16()}, text)
    return wan21.measured(name, latents, text)


def training(root: Path, clips=6, held_out=2, tokens=3, **changed) -> wan21.Training:
    root.mkdir(exist_ok=True)
    shapes = [(2, 4, 6), (1, 4, 4)]
    made = [clip(root, f"clip{n}", shapes[n % 3 == 2], tokens + n, n) for n in range(clips + held_out)]
    empty = clip(root, "empty", (1, 2, 2), 1, 99).text
    return wan21.Training(
        config(**changed), made[:clips], made[clips:], empty, models.transformer_config(folder()),
        partial(models.transformer, folder()),
    )  # fmt: skip
