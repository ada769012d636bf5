"""What training reads and tells: precomputed tensors, checkpoints, losses, samples, and the LoRA that comes of it."""

from typing import Literal

from pydantic import Field

from pipeline.engine.records import File, Record
from pipeline.schemas.datasets import Account

Split = Literal["train", "holdout"]


class Ltx2Encoded(Record):
    """One sample of the LTX-2 dataset as tensors; `sample` is the stem of its video's name.

    `caption` is the text that was embedded, the trigger in front of it. `latents`, `audio_latents` and `conditions` are
    files of the official trainer's layout (its names say where they belong: `latents/NAME.pt`). `connected` is ours:
    the text behind the connectors, a safetensors file with `video` and `audio` of [tokens, channels] bf16, all tokens
    real. `num_frames`, `width`, `height` are the video's.
    """

    sample: str
    split: Split
    caption: str
    num_frames: int
    width: int
    height: int
    fps: float
    latents: File
    audio_latents: File | None
    conditions: File
    connected: File


class RoundTrip(Record):
    """How much of a sample its latents keep: decoded again and compared with the clip, in dB."""

    sample: str
    psnr_db: float


class Ltx2Precomputed(Record):
    """step4-ltx2-preprocess. `accounts` says of each sample that was left out why; `empty` is the embedding of no words
    (a `connected` file), for caption dropout and for guidance.
    """

    base: str
    revision: str | None
    trigger: str
    samples: tuple[Ltx2Encoded, ...]
    accounts: tuple[Account, ...] = ()
    empty: File
    checks: tuple[RoundTrip, ...] = ()


class Metric(Record):
    """One optimizer step, as it happens. `bands`: mean loss by band of sigma, tenths of [0, 1], those that occurred.

    Memory in bytes and use in percent are the GPU's, None without one. `tokens` of video and audio went through.
    """

    step: int
    of: int
    loss: float
    lr: float
    grad_norm: float
    step_seconds: float
    tokens: int
    epoch: float
    bands: dict[int, float] = {}
    gpu_memory_bytes: int | None = None
    gpu_use_percent: float | None = None


class HoldoutLoss(Record):
    """Loss on the clips held out, at noise and sigmas that are always the same; step 0 is the base model."""

    step: int
    loss: float
    bands: dict[int, float] = {}


class Sampled(Record):
    """A video that the model made of prompt number `prompt`; step 0 is the base model at the same seed.

    `of` names the held-out sample whose caption it is; "" for a prompt of the user's own.
    """

    step: int
    prompt: int
    text: str
    seed: int
    video: File
    of: str = ""


class Checkpoint(Record):
    """A point that training can go on from. `weights` is the LoRA as others load it, `state` the rest: optimizer,
    random numbers, place in the data, EMA.
    """

    step: int
    weights: File
    state: File


class Resumed(Record):
    """Told when a training goes on from a checkpoint instead of beginning."""

    step: int


class Planned(Record):
    """What was settled before the first step: the setting that fits the card, in words and figures."""

    setting: str
    estimated_bytes: int
    card: str
    card_bytes: int | None


class Usage(Record):
    """How often a sample was trained on."""

    sample: str
    times: int


class Lora(Record):
    """step5-*-train. `weights` are the best checkpoint's by hold-out loss, or the last's where nothing is held out.

    `usage` counts every sample of the training split, also those never seen. `log` are all metrics, one JSON object a
    line; `card` is the model card; `tensorboard` the event files.
    """

    model: Literal["ltx2", "wan21"]
    base: str
    revision: str | None
    trigger: str
    rank: int
    steps: int
    best_step: int
    weights: File
    card: File
    log: File
    checkpoints: tuple[Checkpoint, ...]
    holdout: tuple[HoldoutLoss, ...] = ()
    samples: tuple[Sampled, ...] = ()
    usage: tuple[Usage, ...] = ()
    tensorboard: tuple[File, ...] = ()
    checks: tuple[RoundTrip, ...] = Field(default=(), description="Of clips that the training itself encoded.")
    planned: Planned | None = Field(default=None, description="The setting on the card it was trained on.")
