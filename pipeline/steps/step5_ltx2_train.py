"""step5-ltx2-train: a LoRA of the show for LTX-2, learnt from the clips' pictures, sound and captions.

Settings that only show how it goes (checkpoints, hold-out, samples) may change at any time: training goes on from what
it has, and so it does with more steps where the learning rate is constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.engine.records import File, Record
from pipeline.engine.step import step
from pipeline.engine.work import Workspace
from pipeline.media import renders
from pipeline.models import foundation, ltx2, ltx2_layout, ltx2_sampling, tiny_ltx2
from pipeline.schemas.training import Lora, Ltx2Encoded, Ltx2Precomputed, Sampled
from pipeline.training.ltx2_config import Ltx2TrainingConfig

if TYPE_CHECKING:
    import torch

    from pipeline.training.ltx2 import Clip


class Config(Ltx2TrainingConfig):
    """They stand with the training that they are of."""


class Prompt(Record):
    """A video that is made again and again as training goes on. `of` is the clip whose caption it is, or empty."""

    text: str
    words: File
    of: str
    num_frames: int
    width: int
    height: int
    fps: float


class Words(Record):
    """A user's own prompt, as the transformer takes it: a safetensors file like `Ltx2Encoded.connected`."""

    file: File


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
        transformer_config=transformer_config(folder),
        load=partial(transformer, folder),
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
    from pipeline.training import ltx2 as training

    audio = work.open(sample.audio_latents) if sample.audio_latents else None
    return training.measured(sample.sample, work.open(sample.latents), audio, work.open(sample.connected))


def identity(sample: Ltx2Encoded) -> list[str]:
    """All that training sees of a sample, and the name that its random numbers are drawn by."""
    files = (sample.latents, sample.audio_latents, sample.connected)
    return [sample.sample, *(file.digest if file else "" for file in files)]


def transformer(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import LTX2VideoTransformer3DModel

    return LTX2VideoTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=dtype)  # type: ignore[no-untyped-call]


def transformer_config(folder: Path) -> dict[str, Any]:
    from diffusers import LTX2VideoTransformer3DModel

    found: dict[str, Any] = LTX2VideoTransformer3DModel.load_config(folder, subfolder="transformer")
    return found


# Samples on the way.


def wanted(config: Config, work: Workspace, folder: Path, clips: Sequence[Ltx2Encoded]) -> list[Prompt]:
    """Captions of the first `clips`, and the users' own prompts, which get the shape of the first."""
    sizes = [{name: getattr(each, name) for name in ("num_frames", "width", "height", "fps")} for each in clips]
    shown = list(zip(clips, sizes, strict=True))[: config.sample_clips]
    captions = [Prompt(text=each.caption, words=each.connected, of=each.sample, **size) for each, size in shown]
    items = [[config.model, config.revision, config.profile, prompt] for prompt in config.prompts]

    def make(missing: Sequence[int]) -> Iterator[Words]:
        import torch

        with ltx2.text_encoder(folder, "cuda" if torch.cuda.is_available() else "cpu") as embed:
            for index in missing:
                path = work.scratch / f"prompt-{index}.safetensors"
                ltx2_layout.write_connected(path, *embed([config.prompts[index]]))
                yield Words(file=work.keep(path))

    words = work.memo(Words).fill(items, make, batch=max(1, len(items)))
    own = [
        Prompt(text=text, words=each.file, of="", **sizes[0]) for text, each in zip(config.prompts, words, strict=True)
    ]
    return [*captions, *own]


def how(config: Config) -> dict[str, Any]:
    """How a sample is made, in the words of `ltx2_sampling.sample`."""
    return {
        "seed": config.sample_seed,
        "steps": config.sample_steps,
        "guidance": config.guidance,
        "sound_guidance": config.sound_guidance,
    }


def sampled(
    config: Config,
    work: Workspace,
    folder: Path,
    empty: Path,
    prompts: Sequence[Prompt],
    model: Any,
    number: int,
    step: int,
) -> Sampled:
    import numpy as np
    from safetensors.torch import load_file

    prompt = prompts[number]
    take = ltx2_sampling.sample(
        model,
        folder,
        load_file(work.open(prompt.words)),
        load_file(empty),
        width=prompt.width,
        height=prompt.height,
        num_frames=prompt.num_frames,
        fps=prompt.fps,
        **how(config),
    )
    if not np.isfinite(take.sound_CS).all():
        raise ValueError("its sound is not a number: raise sample_steps, or look whether the loss has left its course")
    path = work.scratch / f"sample-{number}.mp4"
    renders.write(path, take.pictures_FHWC, prompt.fps, take.sound_CS, take.rate_hz)
    video = work.keep(path, f"samples/step_{step:05d}_{number}.mp4")
    return Sampled(step=step, prompt=number, text=prompt.text, seed=config.sample_seed, video=video, of=prompt.of)
