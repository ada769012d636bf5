"""Which training clips taught a sample: those whose captions say most nearly what its prompt says."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline import timelines
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW
from pipeline.engine.store import Store
from pipeline.schemas.datasets import Ltx2Dataset, Sample, Wan21Package
from pipeline.show import Show

DATASETS: dict[str, tuple[str, type[Ltx2Dataset] | type[Wan21Package]]] = {
    "step5-ltx2-train": ("step3-ltx2-data", Ltx2Dataset),
    "step5-wan21-train": ("step3-wan21-package", Wan21Package),
}
"""Where each training's clips come from."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """A clip of the training split. `likeness` is of words, 0 to 100."""

    sample: Sample
    likeness: float


def teachers(show: Show, step: str, text: str, most: int = 8) -> list[Teacher]:
    """The clips of the dataset that stands now whose captions are most like `text`, the likest first."""
    from rapidfuzz import fuzz, process, utils

    clips = _clips(show, step)
    found = process.extract(
        text, [clip.caption for clip in clips], scorer=fuzz.token_set_ratio, processor=utils.default_process, limit=most
    )
    return [Teacher(clips[index], score) for _, score, index in found]


def _clips(show: Show, step: str) -> tuple[Sample, ...]:
    if step not in DATASETS:
        return ()
    producer, _ = DATASETS[step]
    digest = timelines.outputs(show, [producer], [SHOW]).get((producer, SHOW))
    return _read(show.store.root, step, digest) if digest else ()


@lru_cache(maxsize=2)
def _read(root: Path, step: str, digest: Digest) -> tuple[Sample, ...]:
    made = Store(root).get(digest, DATASETS[step][1])
    return tuple(sample for sample in made.samples if sample.split == "train")
