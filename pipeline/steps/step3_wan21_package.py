"""step3-wan21-package: the reviewed clips as one zip that every Wan2.1 trainer takes.

In the zip lie clips (H.264, 16 frames a second, no sound) and their captions as side files, nothing else: hosted
trainers count and read every file. Beside it lie what the others want, and the clips held out. The TOML files and
lists expect the zip unpacked into `clips/` beside them.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from pipeline.engine.step import step
from pipeline.engine.work import Workspace
from pipeline.media import wan21_files
from pipeline.media.sample_config import SampleConfig
from pipeline.media.samples import keep_text, make, side_files
from pipeline.models.quoting import requote
from pipeline.schemas.captions import Caption, Reviewed
from pipeline.schemas.datasets import Sample, Wan21Package
from pipeline.schemas.timeline import Episode

FAL_MAX_FILES = 200
"""fal_demos/video/wan_trainer.py: a zip with more is refused."""


class Config(SampleConfig):
    # Wan2.1 was trained at 16 frames a second; its VAE takes sides of 16 pixels and frames by fours after the first.
    FPS: ClassVar[int] = 16
    FRAME_STEP: ClassVar[int] = 4
    SIDE_STEP: ClassVar[int] = 16
    SOUND: ClassVar[bool] = False

    width: int = Field(default=832, ge=64, title="width, pixels")
    height: int = Field(default=480, ge=64, title="height, pixels")
    min_frames: int = Field(default=17, ge=5, description="Shorter clips are left out.")
    max_frames: int = Field(default=81, ge=5, description="Longer clips are cut to this many frames.")
    captions: Literal["paragraph", "short"] = Field(
        default="paragraph", description="short takes step2-caption's second caption, where there is one."
    )


@step(version=1, per="show")
def run(config: Config, work: Workspace, *, episode: dict[str, Episode], step2_reviewed: Reviewed) -> Wan21Package:
    write = short if config.captions == "short" else paragraph
    samples, accounts = make(work, config, episode, step2_reviewed, requote, write)
    train = [sample for sample in samples if sample.split == "train"]
    if 2 * len(train) > FAL_MAX_FILES:
        work.log(f"fal takes {FAL_MAX_FILES} files in a zip, this one has {2 * len(train)}")
    package = work.scratch / "wan21.zip"
    wan21_files.bundle(package, {sample.video.name: work.open(sample.video) for sample in train}, side_files(train))
    return Wan21Package(
        samples=tuple(samples),
        accounts=tuple(accounts),
        trigger=config.trigger,
        package=work.keep(package),
        extras=tuple(keep_text(work, name, text) for name, text in sorted(extras(samples, config).items())),
    )


def paragraph(caption: Caption) -> str:
    return caption.text


def short(caption: Caption) -> str:
    """The model's short caption; the whole one where there is none, or a person has worded it."""
    return caption.short or caption.text


def extras(samples: Sequence[Sample], config: Config) -> dict[str, str]:
    """What lies beside the zip, by name."""
    train = [sample for sample in samples if sample.split == "train"]
    held = [sample for sample in samples if sample.split == "holdout"]
    return {
        **side_files(samples),
        "metadata.csv": wan21_files.metadata_csv(train),
        "metadata.jsonl": wan21_files.metadata_jsonl(train, f"{wan21_files.FOLDER}/"),
        "holdout.jsonl": wan21_files.metadata_jsonl(held, ""),
        "musubi.toml": wan21_files.musubi_toml(config),
        "diffusion-pipe.toml": wan21_files.diffusion_pipe_toml(train, config),
        "package.json": wan21_files.package_json(samples, config),
    }
