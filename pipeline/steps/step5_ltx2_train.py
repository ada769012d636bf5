"""step5-ltx2-train: a LoRA of the show for LTX-2, learnt from the clips' pictures, sound and captions.

Settings that only show how it goes (checkpoints, hold-out, samples) may change at any time: training goes on from what
it has, and so it does with more steps where the learning rate is constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.engine.step import step
from pipeline.engine.work import Workspace
from pipeline.media import renders
from pipeline.models import foundation, ltx2, ltx2_prompts, ltx2_sampling, tiny_ltx2
from pipeline.models.ltx2_prompts import Prompt
from pipeline.schemas.training import Lora, Ltx2Encoded, Ltx2Precomputed, Sampled
from pipeline.training.ltx2_config import Ltx2TrainingConfig

if TYPE_CHECKING:
    from pipeline.training.ltx2_clips import Clip


class Config(Ltx2TrainingConfig):
    """They stand with the training that they are of."""


@step(version=1, per="show", device="cuda")
def run(config: Config, work: Workspace, *, step4_ltx2_preprocess: Ltx2Precomputed) -> Lora:
    from pipeline.training import ltx2 as training
    from pipeline.training import outcome, processes

    data = step4_ltx2_preprocess
    train, held_out = checked(config, data)
    components = ["transformer", *ltx2_sampling.DECODED, *(ltx2.PREPROCESSING if config.prompts else ())]
    folder = foundation.folder_of(config, work, tiny_ltx2.build, components)
    prompts = wanted(config, work, folder, held_out or train)
    asked = training.Training(
        config,
        clips=[clip(work, each) for each in train],
        held_out=[clip(work, each) for each in held_out],
        empty=work.open(data.empty),
        transformer_config=ltx2.transformer_config(folder),
        load=partial(ltx2.transformer, folder),
    )
    hands = outcome.hands(
        work,
        "ltx2",
        config,
        data.trigger,
        data=[data.empty.digest, *(identity(each) for each in train)],
        held_out=[identity(each) for each in held_out],
        prompts=[[each.model_dump(), *how(config).values()] for each in prompts],
        sample=partial(sampled, config, work, folder, work.open(data.empty), prompts),
    )
    with processes.together(config.gpus, partial(training.follow, asked)) as world:
        trained = training.train(asked, world, hands)
    assert trained is not None, "the first process returns what came of it"
    return outcome.lora_of(work, "ltx2", config, data.trigger, trained)


def checked(config: Config, data: Ltx2Precomputed) -> tuple[list[Ltx2Encoded], list[Ltx2Encoded]]:
    """What to train on and what to judge by. Raises ValueError where it is of another model, or nothing."""
    if (data.base, data.revision) != (config.model, config.revision):
        raise ValueError(
            f"step4-ltx2-preprocess made its tensors with {data.base} ({data.revision}), and this trains "
            f"{config.model} ({config.revision}): give both the same model and revision"
        )
    train = [each for each in data.samples if each.split == "train"]
    if not train:
        raise ValueError("nothing is left to train on: the account of step3-ltx2-data says why each clip was left out")
    return train, [each for each in data.samples if each.split == "holdout"]


def clip(work: Workspace, sample: Ltx2Encoded) -> Clip:
    from pipeline.training.ltx2_clips import measured

    audio = work.open(sample.audio_latents) if sample.audio_latents else None
    return measured(sample.sample, work.open(sample.latents), audio, work.open(sample.connected))


def identity(sample: Ltx2Encoded) -> list[str]:
    """All that training sees of a sample, and the name that its random numbers are drawn by."""
    files = (sample.latents, sample.audio_latents, sample.connected)
    return [sample.sample, *(file.digest if file else "" for file in files)]


# Samples on the way.


def wanted(config: Config, work: Workspace, folder: Path, clips: Sequence[Ltx2Encoded]) -> list[Prompt]:
    """Captions of the first `clips`, and the users' own prompts, which get the shape of the first."""
    captions = ltx2_prompts.of_clips(clips[: config.sample_clips])
    return [*captions, *ltx2_prompts.of_users(config.prompts, work, config, folder, clips[0])]


def how(config: Config) -> dict[str, Any]:
    """How a sample is made, in the words of `ltx2_sampling.sample`."""
    return {
        "seed": config.sample_seed,
        "steps": config.sample_steps,
        "guidance": config.guidance,
        "sound_guidance": config.sound_guidance,
    }


def sampled(
    config: Config, work: Workspace, folder: Path, empty: Path, prompts: Sequence[Prompt],
    model: Any, number: int, step: int,
) -> Sampled:  # fmt: skip
    import numpy as np
    from safetensors.torch import load_file

    prompt = prompts[number]
    take = ltx2_sampling.sample(
        model,
        folder,
        load_file(work.open(prompt.words)),
        load_file(empty),
        **prompt.model_dump(include={"num_frames", "width", "height", "fps"}),
        **how(config),
    )
    if not np.isfinite(take.sound_CS).all():
        raise ValueError("its sound is not a number: raise sample_steps, or look whether the loss has left its course")
    path = work.scratch / f"sample-{number}.mp4"
    renders.write(path, take.pictures_FHWC, prompt.fps, take.sound_CS, take.rate_hz)
    video = work.keep(path, f"samples/step_{step:05d}_{number}.mp4")
    return Sampled(step=step, prompt=number, text=prompt.text, seed=config.sample_seed, video=video, of=prompt.of)
