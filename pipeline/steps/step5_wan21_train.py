"""step5-wan21-train: a LoRA of the show for Wan2.1, learnt from the clips' pictures and captions.

Captions and clips become tensors first, each of them once: text encoder, VAE and transformer are in memory one after
another. Settings that only show how it goes (checkpoints, hold-out, samples) may change at any time: training goes on
from what it has, and so it does with more steps where the learning rate is constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field

from pipeline.engine.records import File
from pipeline.engine.step import step
from pipeline.engine.work import Workspace
from pipeline.media import renders
from pipeline.media.reading import pictures_ahead
from pipeline.models import foundation, tiny_wan21, wan21, wan21_prompts, wan21_sampling
from pipeline.models.material import in_batches, prompt, stem
from pipeline.models.wan21_encoding import Encoded, Encoding
from pipeline.models.wan21_prompts import Prompt
from pipeline.schemas.datasets import Wan21Package
from pipeline.schemas.training import Lora, RoundTrip, Sampled
from pipeline.training.wan21_config import Wan21TrainingConfig

if TYPE_CHECKING:
    from pipeline.training.wan21 import Clip


class Config(Wan21TrainingConfig):
    OBSERVING: ClassVar[frozenset[str]] = Wan21TrainingConfig.OBSERVING | {"video_batch", "check"}

    video_batch: int = Field(
        default=1, ge=1, description="Clips of one shape encoded together, before training.", title="video batch, clips"
    )
    check: int = Field(
        default=0,
        ge=0,
        description="So many latents are decoded again and compared with their clips (PSNR in dB).",
        title="check, latents",
    )


class Ready(NamedTuple):
    """All samples with their tensors, by name; what is to be sampled; the embedding of no words; what was checked."""

    samples: list[Encoded]
    prompts: list[Prompt]
    empty: File
    checks: list[RoundTrip]


@step(version=1, per="show", device="cuda")
def run(config: Config, work: Workspace, *, step3_wan21_package: Wan21Package) -> Lora:
    from pipeline.training import outcome, processes
    from pipeline.training import wan21 as training

    weights = partial(foundation.folder_of, config, work, tiny_wan21.build)
    wan21.check(weights(("scheduler",)), config.source_name())
    ready = encode(config, work, step3_wan21_package, lambda: weights(wan21.ENCODING))
    folder = weights(("transformer", *wan21_sampling.DECODED))
    train, held_out = ([each for each in ready.samples if each.sample.split == split] for split in ("train", "holdout"))
    asked = training.Training(
        config,
        clips=[clip(work, each) for each in train],
        held_out=[clip(work, each) for each in held_out],
        empty=work.open(ready.empty),
        transformer_config=wan21.transformer_config(folder),
        load=partial(wan21.transformer, folder),
    )
    hands = outcome.hands(
        work,
        "wan21",
        config,
        step3_wan21_package.trigger,
        data=[ready.empty.digest, *(each.identity for each in train)],
        held_out=[each.identity for each in held_out],
        prompts=[[each.model_dump(mode="json"), *how(config).values()] for each in ready.prompts],
        sample=partial(sampled, config, work, folder, work.open(ready.empty), ready.prompts),
    )
    with processes.together(config.gpus, partial(training.follow, asked)) as world:
        trained = training.train(asked, world, hands)
    assert trained is not None, "the first process returns what came of it"
    lora = outcome.lora_of(work, "wan21", config, step3_wan21_package.trigger, trained)
    return lora.model_copy(update={"checks": tuple(ready.checks)})


def encode(config: Config, work: Workspace, package: Wan21Package, folder: Callable[[], Path]) -> Ready:
    if not any(sample.split == "train" for sample in package.samples):
        raise ValueError("nothing is left to train on: the account of step3-wan21-package says why of each clip")
    samples = in_batches(package.samples)
    encoding = Encoding(work, config, folder)
    texts = [*(prompt(sample.caption, package.trigger) for sample in samples), *config.prompts, ""]
    embedded = encoding.texts(texts)
    read = partial(pictures_ahead, work)
    latents = encoding.pictures(samples, config.video_batch, read)
    checks = encoding.checks(samples, latents, config.check, read)
    work.report(samples=len(samples), captions_cut=sum(each.cut_off > 0 for each in embedded[: len(samples)]))
    encoded = [
        Encoded(sample, picture.file, text.file)
        for sample, picture, text in zip(samples, latents, embedded, strict=False)
    ]
    encoded.sort(key=lambda each: stem(each.sample))
    own = [(text, each.file) for text, each in zip(texts, embedded, strict=True)][len(samples) : -1]
    shown = [each for each in encoded if each.sample.split == "holdout"] or encoded
    captions = wan21_prompts.of_clips(shown[: config.sample_clips], package.trigger)
    prompts = [*captions, *wan21_prompts.of_users(own, shown[0].sample)]
    return Ready(encoded, prompts, embedded[-1].file, checks)


def clip(work: Workspace, encoded: Encoded) -> Clip:
    from pipeline.training import wan21 as training

    return training.measured(stem(encoded.sample), work.open(encoded.latents), work.open(encoded.embedding))


def how(config: Config) -> dict[str, Any]:
    """How a sample is made, in the words of `wan21_sampling.sample`."""
    return {"seed": config.sample_seed, "steps": config.sample_steps, "guidance": config.guidance}


def sampled(
    config: Config, work: Workspace, folder: Path, empty: Path, prompts: Sequence[Prompt],
    model: Any, number: int, step: int,
) -> Sampled:  # fmt: skip
    from safetensors.torch import load_file

    asked = prompts[number]
    pictures_FHWC = wan21_sampling.sample(  # noqa: N806 - tensors are named by their shape
        model,
        folder,
        load_file(work.open(asked.embedding))["embedding"],
        load_file(empty)["embedding"],
        **asked.model_dump(include={"num_frames", "width", "height"}),
        **how(config),
    )
    path = work.scratch / f"sample-{number}.mp4"
    renders.write(path, pictures_FHWC, wan21_sampling.FPS)
    video = work.keep(path, f"samples/step_{step:05d}_{number}.mp4")
    return Sampled(step=step, prompt=number, text=asked.text, seed=config.sample_seed, video=video, of=asked.of)
