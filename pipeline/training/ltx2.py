"""Training a LoRA of LTX-2, from tensors that were made before: video and sound together, or video only.

Names: B samples, T tokens, packed as `ltx2_clips` says. A model's timestep is sigma times 1000.
"""

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
from pipeline.training.ltx2_clips import Clip, Point, Shape, sample
from pipeline.training.ltx2_config import Ltx2TrainingConfig
from pipeline.training.planning import Adapters, Card, Setting, Speed
from pipeline.training.planning import Shape as SpeedShape
from pipeline.training.processes import World
from pipeline.training.task import Drawn


@dataclass(frozen=True)
class Training:
    """What a process needs to take part, as plain values that another process can be given.

    `empty` is the text of no words; `load(dtype)` gives the transformer.
    """

    config: Ltx2TrainingConfig
    clips: Sequence[Clip]
    held_out: Sequence[Clip]
    empty: Path
    transformer_config: Mapping[str, Any]
    load: Callable[[torch.dtype], Any]


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
            transformer, rank=config.rank, alpha=config.alpha or config.rank, targets=targets(config),
            dropout=config.lora_dropout, seed=config.seed,
        )  # fmt: skip
        found = speed.finish(transformer, setting, shapes(training))
        optimizer = speed.optimizer(
            parameters.values(), setting, config.learning_rate, weight_decay=config.weight_decay
        )
        task = Objective(training, dtype, transformer.config.audio_in_channels)
        by_graphs = graphs.possible(
            world.device, setting, processes=world.size, shapes=len(set(task.shapes)), is_mixed=task.is_mixed,
            dropout=config.lora_dropout,
        )  # fmt: skip
        course = Course(
            config, task, world, hands(setting, card) if hands else None,
            transformer=transformer, parameters=parameters, optimizer=optimizer,
            is_mixed=task.is_mixed, is_sharded=setting.is_sharded, by_graphs=by_graphs,
        )  # fmt: skip
        course.log(found)
        for step in course.steps():
            for batch in course.batches(step):
                course.backward(batch, task.losses)
            course.update(step)
    return course.trained


VIDEO_ONLY = ("attn1", "attn2", "ff")
"""The modules of a block that video goes through where it is alone."""


def targets(config: Ltx2TrainingConfig) -> tuple[str, ...]:
    """As peft takes them. Where sound is not trained, its linears and those between it and the video get no LoRA."""
    if config.modalities == "video and audio":
        return config.targets
    return tuple(f"{module}.{target.removeprefix('ff.')}" for module in VIDEO_ONLY for target in config.targets)


def settled(training: Training, card: Card, wishes: Speed) -> Setting:
    """How the training runs on this card. Raises ValueError with numbers where it cannot."""
    config = training.config
    adapters = Adapters(config.rank, targets(config))
    return speed.plan("ltx2", training.transformer_config, shapes(training), adapters, wishes, card, config.gpus)


def shapes(training: Training) -> list[SpeedShape]:
    """What the model will see, in tokens."""
    config = training.config
    joint = config.modalities == "video and audio"
    found = {(clip.tokens, (joint and clip.audio_steps) or 1) for clip in (*training.clips, *training.held_out)}
    text = len(loading.read(training.empty)["video"])
    return [SpeedShape(config.batch_size, *tokens, text) for tokens in sorted(found)]


def follow(training: Training, world: World) -> None:
    """What the other processes do."""
    train(training, world, None)


class Objective:
    """Which tensors a batch has, and its loss."""

    def __init__(self, training: Training, dtype: torch.dtype = torch.float32, audio_channels: int = 128) -> None:
        config, clips, held_out = training.config, training.clips, training.held_out
        self.config, self.clips, self.held_out_clips, self.empty = config, clips, held_out, training.empty
        self.dtype, self.audio_channels = dtype, audio_channels
        self.joint = config.modalities == "video and audio"
        self.names = [clip.name for clip in clips]
        self.held_out = [clip.name for clip in held_out]
        self.shapes = [self.shape(clip) for clip in clips]
        self.tokens = [clip.tokens + (clip.audio_steps if self.joint else 0) for clip in clips]
        self.is_mixed = self.joint and any(clip.audio is None for clip in clips)
        self._sigma = flow.sampler(config.sampler, config.shift)
        self._known_positions: dict[tuple[int, torch.device, Shape], dict[str, Tensor]] = {}

    def shape(self, clip: Clip) -> Shape:
        """Without steps of sound, only the picture is trained on."""
        return clip.frames, clip.height, clip.width, clip.audio_steps if self.joint else 0, clip.fps

    # Batches.

    def draw(self, indexes: Sequence[int], generators: Sequence[Generator]) -> Drawn:
        clips = [self.clips[index] for index in indexes]
        drawn = [self._draw(clip, generator) for clip, generator in zip(clips, generators, strict=True)]
        return self._batch(clips, drawn)

    def question(self, index: int, sigma: float, generator: Generator) -> Drawn:
        clip = self.held_out_clips[index]
        return self._batch([clip], [self._sample(clip, Point(sigma, sigma, clip.text), generator)])

    def _draw(self, clip: Clip, generator: Generator) -> dict[str, Tensor]:
        """Every draw takes place whatever the settings, so that one setting changes no other's draws."""
        config = self.config
        sigma = self._sigma(generator, clip.tokens)
        own = self._sigma(generator, clip.audio_steps)
        drops = flow.uniform(generator, 0) < config.caption_dropout
        is_given = flow.uniform(generator, 0) < config.first_frame and clip.frames > 1
        audio_sigma = own if config.sigmas == "separate" else sigma
        return self._sample(clip, Point(sigma, audio_sigma, self.empty if drops else clip.text, is_given), generator)

    def _sample(self, clip: Clip, point: Point, generator: Generator) -> dict[str, Tensor]:
        return sample(clip, point, generator, self.dtype, with_sound=self.joint)

    def _batch(self, clips: Sequence[Clip], drawn: Sequence[dict[str, Tensor]]) -> Drawn:
        tensors = {name: torch.stack([each[name] for each in drawn]) for name in drawn[0]}
        if not tensors["given_T"].any():
            del tensors["given_T"]
        sigmas = tuple(float(each["sigma"]) for each in drawn)
        return Drawn(tuple(clip.name for clip in clips), sigmas, tensors, self.shape(clips[0]))

    # The loss.

    def losses(self, model: nn.Module, batch: Drawn) -> Tensor:
        """(B,) fp32: the video's mean squared error, and with sound the sound's beside it, weighing the same.

        Where sigma is the same for all tokens of a sample, it is given once and broadcast: the model's modulation is
        then of one token, not of thousands. Text needs no mask, since all tokens behind the connectors are real.
        """
        tensors = batch.tensors
        frames, height, width, audio_steps, fps = batch.shape
        joint = audio_steps > 0
        steps = audio_steps if joint else 1
        sigma_B1, audio_sigma_B1 = tensors["sigma"][:, None], tensors["audio_sigma"][:, None]
        given_BT = tensors.get("given_T")
        sigma_BT = sigma_B1 if given_BT is None else sigma_B1 * (1 - given_BT)
        video, audio = model(
            hidden_states=tensors["video"].to(self.dtype),
            audio_hidden_states=tensors["audio"].to(self.dtype) if joint else self._silence(tensors["video"]),
            encoder_hidden_states=tensors["text"],
            audio_encoder_hidden_states=tensors["audio_text"],
            timestep=sigma_BT * 1000,
            audio_timestep=audio_sigma_B1 * 1000,
            sigma=tensors["sigma"] * 1000,
            audio_sigma=tensors["audio_sigma"] * 1000,
            num_frames=frames,
            height=height,
            width=width,
            fps=fps,
            audio_num_frames=steps,
            **self._positions(model, tensors["video"], (frames, height, width, steps, fps)),
            isolate_modalities=not joint,
            return_dict=False,
        )
        losses_B = flow.losses(video, tensors["target"], None if given_BT is None else 1 - given_BT)
        return losses_B + flow.losses(audio, tensors["audio_target"]) if joint else losses_B

    def _positions(self, model: nn.Module, like: Tensor, shape: Shape) -> dict[str, Tensor]:
        """Made once for a shape: the model would make them anew each time, and copy from the processor to do so."""
        asked = len(like), like.device, shape
        if asked not in self._known_positions:
            self._known_positions[asked] = positions(getattr(model, "module", model), *asked)
        return self._known_positions[asked]

    def _silence(self, like: Tensor) -> Tensor:
        """The model takes no video without sound: one token of it, which nothing of the video sees."""
        return torch.zeros(len(like), 1, self.audio_channels, dtype=self.dtype, device=like.device)


def positions(transformer: Any, samples: int, device: torch.device, shape: Shape) -> dict[str, Tensor]:
    """Where each token of video (B, 3, T, 2) and of sound (B, 1, T, 2) begins and ends, as the model makes it."""
    frames, height, width, audio_steps, fps = shape
    return {
        "video_coords": transformer.rope.prepare_video_coords(samples, frames, height, width, device, fps=fps),
        "audio_coords": transformer.audio_rope.prepare_audio_coords(samples, audio_steps, device),
    }
