"""What the users of a training may choose, whichever model it is."""

from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from pipeline.engine.step import StepConfig
from pipeline.schemas.weights import Foundation
from pipeline.training.planning import Speed
from pipeline.training.trackers import Name

Schedule = Literal["constant", "linear", "cosine"]
SamplerName = Literal["shifted_logit_normal", "logit_normal", "uniform"]


class TrainingConfig(StepConfig, Foundation):
    """Both trainings' settings. Subclasses add their model's own, and may give other defaults."""

    OBSERVING: ClassVar[frozenset[str]] = frozenset(
        {
            *("gpus", "speed", "checkpoint_every", "holdout_sigmas", "spike", "track"),
            *("sample_every", "sample_clips", "prompts", "sample_seed", "sample_steps", "guidance", "sound_guidance"),
        }
    )
    """Settings that change nothing of what is learnt: with others, training goes on from the same checkpoints."""

    steps: int = Field(default=2000, ge=1, description="Optimizer steps in all. More of them go on from the last.")
    learning_rate: float = Field(default=1e-4, gt=0, description="Of AdamW, at its highest.")
    schedule: Schedule = Field(
        default="constant",
        description="linear and cosine fall to a tenth by the last step; with them, more steps begin again.",
    )
    warmup: int = Field(
        default=10, ge=0, description="Steps in which the learning rate rises from nothing.", title="warmup, steps"
    )
    rank: int = Field(default=32, ge=1, description="Of the LoRA: how much it can hold, and its size.")
    alpha: int | None = Field(default=None, ge=1, description="The LoRA's strength is alpha / rank; unset: rank.")
    targets: tuple[str, ...] = Field(min_length=1, description="Linears that get a LoRA, by how their names end.")
    lora_dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of the LoRA's inputs put to 0 in training.")
    weight_decay: float = Field(default=0.01, ge=0, description="Of AdamW.")
    clip: float = Field(default=1.0, gt=0, description="Longest gradient; a longer one is shortened to it.")
    batch_size: int = Field(default=1, ge=1, description="Samples of one shape that go through the model together.")
    accumulation: int = Field(
        default=1,
        ge=1,
        description="Batches for one step, over all GPUs together; each GPU takes its share.",
        title="accumulation, batches",
    )
    gpus: int = Field(default=1, ge=1, description="GPUs of the host that train together.")
    ema: float | None = Field(
        default=None, gt=0, lt=1, description="Keep a running average of the LoRA with this decay (0.99), and use it."
    )
    caption_dropout: float = Field(default=0.05, ge=0, le=1, description="Share of samples seen without their caption.")
    seed: int = Field(default=42, ge=0, description="Of all that is drawn.")
    checkpoint_every: int = Field(
        default=250,
        ge=1,
        description="Steps between checkpoints; each is judged by the clips held out.",
        title="checkpoint every, steps",
    )
    holdout_sigmas: int = Field(
        default=10, ge=1, description="Noise levels at which each held-out clip is judged, evenly spread."
    )
    spike: float = Field(
        default=10.0, ge=0, description="Stop where the loss is so many times what is usual; 0: never."
    )
    sample_every: int = Field(
        default=250,
        ge=0,
        description="Steps between samples, videos of fixed prompts. 0: at first and at last only.",
        title="sample every, steps",
    )
    sample_clips: int = Field(
        default=2, ge=0, description="Captions of so many held-out clips are sampled.", title="sample clips, captions"
    )
    prompts: tuple[str, ...] = Field(default=(), description="More prompts to sample, of your own.")
    sample_seed: int = Field(default=42, ge=0, description="Of the samples' noise: the same at every step.")
    sample_steps: int = Field(default=30, ge=1, description="Denoising steps of a sample.")
    guidance: float = Field(default=3.0, ge=1, description="How closely samples follow their prompts; 1: unguided.")
    track: tuple[Name, ...] = Field(
        default=(), description="wandb, trackio: services that get losses and speed as they come; pip install them."
    )
    speed: Speed = Field(default=Speed(), description="How it fits the card, and how fast it runs.")

    @model_validator(mode="after")
    def _share(self) -> "TrainingConfig":
        if self.accumulation % self.gpus:
            above = -(-self.accumulation // self.gpus) * self.gpus
            raise ValueError(
                f"accumulation = {self.accumulation} batches cannot be shared by {self.gpus} GPUs: "
                f"set accumulation = {above}"
            )
        return self

    def decides(self) -> dict[str, Any]:
        """The settings on which every step depends. How many steps there are is one where the learning rate falls."""
        left_out = self.OBSERVING | (set() if self.schedule != "constant" else {"steps"})
        return self.model_dump(mode="json", exclude=set(left_out))

    def source_name(self) -> str:
        """The base model, for people and for the LoRA's own words about itself."""
        return self.model if self.profile == "full" else "tiny"
