"""What trainers read: the LTX-2 dataset and the Wan2.1 package, with an account of every clip."""

from typing import Literal

from pipeline.engine.records import File, Record
from pipeline.schemas.timeline import Span


class Sample(Record):
    """One training sample: frames `window` of its clip (seconds of the episode), cut to the trainer's shape.

    `caption` speaks only of what lies in the window; `left_unsaid` counts the quotes that the window cuts short or off.
    """

    episode: str
    clip: str
    split: Literal["train", "holdout"]
    window: Span
    num_frames: int
    fps: float
    width: int
    height: int
    video: File
    caption: str
    left_unsaid: int = 0


class Account(Record):
    """What became of one reviewed clip: kept in a split, or why not."""

    episode: str
    clip: str
    kept: bool
    reason: str


class Ltx2Dataset(Record):
    """step3-ltx2-data: `dataset` is the dataset.jsonl of the training split, `holdout` that of the rest.

    `captions` are the side files, one a sample, in the samples' order. `buckets` lists every shape of the samples as
    the official trainer's `--resolution-buckets` takes them; with fewer it would cut clips shorter than their captions.
    """

    samples: tuple[Sample, ...]
    accounts: tuple[Account, ...]
    trigger: str
    dataset: File
    holdout: File
    captions: tuple[File, ...]
    buckets: str = ""


class Wan21Package(Record):
    """step3-wan21-package: one zip that every Wan2.1 trainer reads, and the same files as the run's own."""

    samples: tuple[Sample, ...]
    accounts: tuple[Account, ...]
    trigger: str
    package: File
    extras: tuple[File, ...]
