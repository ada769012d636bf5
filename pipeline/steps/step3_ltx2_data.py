"""step3-ltx2-data: the reviewed clips as a dataset that LTX-2's trainer reads.

The run's `files/` folder is the trainer's dataset folder: clips at 24 frames a second with sound, their captions as
side files, `dataset.jsonl` to train on and `holdout.jsonl` to judge by. Format: Lightricks/LTX-2,
packages/ltx-trainer/docs/dataset-preparation.md, at 400fd310.
"""

import json
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.engine.step import step
from pipeline.engine.work import Workspace
from pipeline.media.cut import Source
from pipeline.media.sample_config import SampleConfig
from pipeline.media.samples import keep_text, make, side_files
from pipeline.models.quoting import requote
from pipeline.schemas.captions import Caption, Reviewed
from pipeline.schemas.datasets import Ltx2Dataset, Sample
from pipeline.schemas.timeline import Episode


class Config(SampleConfig):
    # The trainer's own frame rate; its VAE takes sides of 32 pixels and frames by eights after the first.
    FPS: ClassVar[int] = 24
    FRAME_STEP: ClassVar[int] = 8
    SIDE_STEP: ClassVar[int] = 32
    SOUND: ClassVar[bool] = True

    # Nearly 16:9, so that next to nothing of a television picture is cropped.
    width: int = Field(default=768, ge=64, title="width, pixels")
    height: int = Field(default=448, ge=64, title="height, pixels")
    min_frames: int = Field(default=25, ge=9, description="Shorter clips are left out.")
    max_frames: int = Field(default=121, ge=9, description="Longer clips are cut to this many frames.")
    no_audio: Literal["silence", "leave out"] = Field(
        default="silence",
        description="What becomes of an episode without an audio track; the trainer skips such clips.",
    )
    captions: Literal["paragraph", "tagged"] = Field(
        default="paragraph", description="tagged is the form of the first LTX-2.0 trainers."
    )


@step(version=1, per="show")
def run(config: Config, work: Workspace, *, episode: dict[str, Episode], step2_reviewed: Reviewed) -> Ltx2Dataset:
    samples, accounts = make(
        work,
        config,
        episode,
        step2_reviewed,
        requote,
        tagged if config.captions == "tagged" else paragraph,
        lambda source: silent(source, config),
    )
    return Ltx2Dataset(
        samples=tuple(samples),
        accounts=tuple(accounts),
        trigger=config.trigger,
        dataset=keep_text(work, "dataset.jsonl", rows(samples, "train")),
        holdout=keep_text(work, "holdout.jsonl", rows(samples, "holdout")),
        captions=tuple(keep_text(work, name, text) for name, text in side_files(samples).items()),
        buckets=buckets(samples),
    )


def silent(source: Source, config: Config) -> str:
    if source.has_audio or config.no_audio == "silence":
        return ""
    return f"{source.name} has no audio track"


def paragraph(caption: Caption) -> str:
    return caption.text


def tagged(caption: Caption) -> str:
    """The four sections of the first LTX-2.0 trainers. Sounds are told where a model heard them; lettering never is."""
    seen = requote(caption, {quote.segment: None for quote in caption.quotes}).text.strip()
    said = " ".join(f'{quote.speaker}: "{quote.text}"' for quote in caption.quotes)
    sounds = caption.observed.sounds if caption.observed else ""
    return f"[VISUAL]: {seen or 'None'} [SPEECH]: {said or 'None'} [SOUNDS]: {sounds or 'None'} [TEXT]: None"


def rows(samples: Sequence[Sample], split: Literal["train", "holdout"]) -> str:
    """One JSON object a line; paths are relative to the file's own folder."""
    wanted = (sample for sample in samples if sample.split == split)
    lines = ({"video": sample.video.name, "caption": sample.caption} for sample in wanted)
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def buckets(samples: Sequence[Sample]) -> str:
    """The trainer's `--resolution-buckets` by which no clip loses a frame, and so no caption says too much."""
    shapes = sorted({(sample.num_frames, sample.width, sample.height) for sample in samples}, reverse=True)
    return ";".join(f"{width}x{height}x{num_frames}" for num_frames, width, height in shapes)
