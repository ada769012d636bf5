"""Training a LoRA of Wan2.1 text-to-video, from tensors that were made before.

Names: B samples, C latent channels, F H W latent frames, rows and columns, L text tokens, D channels of a text token.
Latents are normalised (pipeline/models/wan21.py), texts without padding. A model's timestep is sigma times 1000.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from pipeline.training import flow_matching as flow
from pipeline.training import graphs, loading, lora, speed
from pipeline.training.course import Course
from pipeline.training.fitting import fitting
from pipeline.training.hands import Hands, Trained
from pipeline.training.planning import Adapters, Card, Setting, Speed
from pipeline.training.planning import Shape as SpeedShape
from pipeline.training.processes import World
from pipeline.training.task import Drawn
from pipeline.training.wan21_config import Wan21TrainingConfig

TEXT_TOKENS = 512
"""The model is given so many of each text, zeros where it is shorter, and attends to all: so it was trained itself."""

Shape = tuple[int, int, int]
"""Latent frames, rows, columns: samples of one batch agree in it."""


@dataclass(frozen=True)
class Clip:
    """One sample's files: `latents` of `latents` [C, F, H, W], `text` of `embedding` [L, D], both safetensors, bf16."""

    name: str
    latents: Path
    text: Path
    shape: Shape


def measured(name: str, latents: Path, text: Path) -> Clip:
    """A clip, of the sizes that its own tensors have."""
    _, frames, height, width = loading.read(latents)["latents"].shape
    return Clip(name, latents, text, (frames, height, width))


@dataclass(frozen=True)
class Training:
    """What a process needs to take part, as plain values that another process can be given.

    `empty` is the text of no words; `load(dtype)` gives the transformer.
    """

    config: Wan21TrainingConfig
    clips: Sequence[Clip]
    held_out: Sequence[Clip]
    empty: Path
    transformer_config: Mapping[str, Any]
    load: Callable[[torch.dtype], Any]

    def tokens(self, clip: Clip) -> int:
        """How many tokens the transformer makes of its latents: one of each patch."""
        patch: Sequence[int] = self.transformer_config["patch_size"]
        return math.prod(side // of for side, of in zip(clip.shape, patch, strict=True))


def train(training: Training, world: World, hands: Callable[[Setting, Card], Hands] | None) -> Trained | None:
    """Train, and in the first process return what came of it. `hands` are the first process's, made when it is settled
    how the training fits the card.
    """
    config = training.config
    card = Card.here()
    setting = world.told(settled(training, card, config.speed))
    dtype = torch.float32 if setting.base == "fp32" else torch.bfloat16
    with fitting(setting, config.speed, partial(settled, training, card)):
        transformer = training.load(dtype)
        speed.prepare(transformer, setting, world.device)
        if not setting.is_sharded:
            transformer.to(world.device)
        parameters = lora.attach(
            transformer, rank=config.rank, alpha=config.alpha or config.rank, targets=config.targets,
            dropout=config.lora_dropout, seed=config.seed,
        )  # fmt: skip
        found = speed.finish(transformer, setting, shapes(training))
        optimizer = speed.optimizer(
            parameters.values(), setting, config.learning_rate, weight_decay=config.weight_decay
        )
        task = Objective(training, dtype)
        by_graphs = graphs.possible(
            world.device, setting, processes=world.size, shapes=len(set(task.shapes)), is_mixed=False,
            dropout=config.lora_dropout,
        )  # fmt: skip
        course = Course(
            config, task, world, hands(setting, card) if hands else None,
            transformer=transformer, parameters=parameters, optimizer=optimizer,
            is_sharded=setting.is_sharded, by_graphs=by_graphs,
        )  # fmt: skip
        course.log(found)
        for step in course.steps():
            for batch in course.batches(step):
                course.backward(batch, task.losses)
            course.update(step)
    return course.trained


def follow(training: Training, world: World) -> None:
    """What the other processes do."""
    train(training, world, None)


def settled(training: Training, card: Card, wishes: Speed) -> Setting:
    """How the training runs on this card. Raises ValueError with numbers where it cannot."""
    config = training.config
    adapters = Adapters(config.rank, config.targets)
    return speed.plan("wan21", training.transformer_config, shapes(training), adapters, wishes, card, config.gpus)


def shapes(training: Training) -> list[SpeedShape]:
    """What the model will see, in tokens."""
    found = {training.tokens(clip) for clip in (*training.clips, *training.held_out)}
    return [SpeedShape(training.config.batch_size, tokens, 0, TEXT_TOKENS) for tokens in sorted(found)]


class Objective:
    """Which tensors a batch has, and its loss."""

    def __init__(self, training: Training, dtype: torch.dtype = torch.float32) -> None:
        self.config, self.dtype, self.empty = training.config, dtype, training.empty
        self.clips, self.held_out_clips = training.clips, training.held_out
        self.names = [clip.name for clip in self.clips]
        self.held_out = [clip.name for clip in self.held_out_clips]
        self.shapes = [clip.shape for clip in self.clips]
        self.tokens = [training.tokens(clip) for clip in self.clips]
        self._sigma = flow.sampler(self.config.sampler, self.config.shift)

    # Batches.

    def draw(self, indexes: Sequence[int], generators: Sequence[Generator]) -> Drawn:
        clips = [self.clips[index] for index in indexes]
        tokens = [self.tokens[index] for index in indexes]
        drawn = [self._draw(*each) for each in zip(clips, tokens, generators, strict=True)]
        return self._batch(clips, drawn)

    def question(self, index: int, sigma: float, generator: Generator) -> Drawn:
        clip = self.held_out_clips[index]
        return self._batch([clip], [self._noised(clip, generator, sigma, clip.text)])

    def _draw(self, clip: Clip, tokens: int, generator: Generator) -> dict[str, Tensor]:
        """Every draw takes place whatever the settings, so that one setting changes no other's draws."""
        sigma = self._sigma(generator, tokens)
        drops = flow.uniform(generator, tokens) < self.config.caption_dropout
        return self._noised(clip, generator, sigma, self.empty if drops else clip.text)

    def _noised(self, clip: Clip, generator: Generator, sigma: float, text: Path) -> dict[str, Tensor]:
        """One sample: what goes into the model, and the velocity that it is to find."""
        clean_CFHW = loading.read(clip.latents)["latents"].float()
        noise_CFHW = torch.randn(clean_CFHW.shape, generator=generator)
        return {
            "sigma": torch.tensor(sigma),
            "video": flow.noised(clean_CFHW, noise_CFHW, torch.tensor(sigma)),
            "target": flow.velocity(clean_CFHW, noise_CFHW),
            "text": padded(loading.read(text)["embedding"]).to(self.dtype),
        }

    def _batch(self, clips: Sequence[Clip], drawn: Sequence[dict[str, Tensor]]) -> Drawn:
        tensors = {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}
        sigmas = tuple(float(each["sigma"]) for each in drawn)
        return Drawn(tuple(clip.name for clip in clips), sigmas, tensors, clips[0].shape)

    # The loss.

    def losses(self, model: nn.Module, batch: Drawn) -> Tensor:
        """(B,) fp32: mean squared error of the velocity."""
        tensors = batch.tensors
        (velocity_BCFHW,) = model(
            hidden_states=tensors["video"].to(self.dtype),
            timestep=tensors["sigma"] * 1000,
            encoder_hidden_states=tensors["text"],
            return_dict=False,
        )
        return flow.losses(velocity_BCFHW.flatten(2), tensors["target"].flatten(2))


def padded(embedding_LD: Tensor) -> Tensor:
    """[TEXT_TOKENS, D], zeros behind the text's own tokens."""
    return nn.functional.pad(embedding_LD, (0, 0, 0, TEXT_TOKENS - len(embedding_LD)))
