"""step4-ltx2-preprocess: the clips, their sound and their captions as the tensors that LTX-2 is trained on.

The run's `files/` folder is what the official trainer calls `.precomputed`, and `conditions_final/` in it holds the
captions behind the connectors, for ours. Components are loaded one after another, so that the largest decides the card.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.engine.records import File
from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media.reading import pictures_ahead, read_ahead, wave
from pipeline.models import tiny_ltx2
from pipeline.models.foundation import folder_of
from pipeline.models.ltx2 import PREPROCESSING
from pipeline.models.ltx2_encoding import Encoding, Picture, Sound, Text
from pipeline.models.material import in_batches, prompt, stem
from pipeline.schemas.datasets import Account, Ltx2Dataset, Sample
from pipeline.schemas.training import Ltx2Encoded, Ltx2Precomputed
from pipeline.schemas.weights import Foundation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SILENT = "no audio track: only its picture is trained on"


class Config(StepConfig, Foundation):
    model: str = Field(default="Lightricks/LTX-2", min_length=1, description="A name on the model hub, or a folder.")
    text_batch: int = Field(default=4, ge=1, description="Captions embedded together.", title="text batch, captions")
    video_batch: int = Field(
        default=1, ge=1, description="Clips of one shape encoded together.", title="video batch, clips"
    )
    audio_batch: int = Field(
        default=8, ge=1, description="Sounds of one length encoded together.", title="audio batch, sounds"
    )
    check: int = Field(
        default=0,
        ge=0,
        description="So many latents are decoded again and compared with their clips (PSNR in dB).",
        title="check, latents",
    )


@step(version=1, per="show", device="cuda")
def run(config: Config, work: Workspace, *, step3_ltx2_data: Ltx2Dataset) -> Ltx2Precomputed:
    samples = in_batches(step3_ltx2_data.samples)
    prompts = [prompt(sample.caption, step3_ltx2_data.trigger) for sample in samples]
    encoding = Encoding(work, config, lambda: folder_of(config, work, tiny_ltx2.build, PREPROCESSING))
    # Largest first: a card on which the text encoder fits takes all the rest.
    *texts, empty = encoding.texts([*prompts, ""], config.text_batch)
    seen = encoding.pictures(samples, config.video_batch, partial(pictures_ahead, work))
    heard = encoding.sounds(samples, config.audio_batch, lambda batches, rate: _waves(work, batches, rate))
    checks = encoding.checks(samples, seen, config.check, partial(pictures_ahead, work))
    encoded = [_encoded(*each) for each in zip(samples, prompts, texts, seen, heard, strict=True)]
    silent = [sample for sample, sound in zip(samples, heard, strict=True) if sound.latents is None]
    work.report(samples=len(encoded), without_sound=len(silent), captions_cut=sum(text.cut_off > 0 for text in texts))
    return Ltx2Precomputed(
        base=config.model,
        revision=config.revision,
        trigger=step3_ltx2_data.trigger,
        samples=tuple(sorted(encoded, key=lambda each: each.sample)),
        accounts=tuple(Account(episode=s.episode, clip=s.clip, kept=True, reason=SILENT) for s in silent),
        empty=_named(empty.connected, "empty.safetensors"),
        checks=tuple(checks),
    )


def _encoded(sample: Sample, caption: str, text: Text, picture: Picture, sound: Sound) -> Ltx2Encoded:
    name = stem(sample)
    return Ltx2Encoded(
        sample=name,
        split=sample.split,
        caption=caption,
        num_frames=sample.num_frames,
        width=sample.width,
        height=sample.height,
        fps=sample.fps,
        latents=_named(picture.latents, f"latents/{name}.pt"),
        audio_latents=_named(sound.latents, f"audio_latents/{name}.pt") if sound.latents else None,
        conditions=_named(text.conditions, f"conditions/{name}.pt"),
        connected=_named(text.connected, f"conditions_final/{name}.safetensors"),
    )


def _named(file: File, name: str) -> File:
    """An item's file by its sample's name; two samples may share one item."""
    return file.model_copy(update={"name": name})


def _waves(
    work: Workspace, batches: Sequence[Sequence[Sample]], rate: int
) -> "Iterator[list[NDArray[np.float32] | None]]":
    def read(batch: Sequence[Sample]) -> "list[NDArray[np.float32] | None]":
        return [wave(work.open(s.video), rate, round(s.num_frames / s.fps * rate)) for s in batch]

    return read_ahead(batches, read)
