"""What the trainers' datasets hold, for the panel: their samples, what was left out and why, and what looks wrong.

The index of a dataset is named by the outputs it was made of and kept on disk: a page must not read 20,000 reviewed
clips to show 24.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW
from pipeline.engine.records import File, Record
from pipeline.engine.store import Store
from pipeline.schemas.captions import Reviewed
from pipeline.schemas.datasets import Account, Ltx2Dataset, Sample, Wan21Package
from pipeline.schemas.training import Lora, Ltx2Precomputed
from pipeline.show import Show
from pipeline.timelines import kept

__all__ = ["DATASETS", "Dataset", "Finding", "Row", "Standing", "findings", "look", "neighbours", "reasons"]

Kind = Literal["ltx2", "wan21"]
DATASETS: dict[Kind, str] = {"ltx2": "step3-ltx2-data", "wan21": "step3-wan21-package"}
ENCODED: dict[Kind, str] = {"ltx2": "step4-ltx2-preprocess", "wan21": "step5-wan21-train"}
"""Which step makes latents of a dataset's clips."""
_KINDS: dict[str, type[Ltx2Dataset] | type[Wan21Package]] = {
    DATASETS["ltx2"]: Ltx2Dataset,
    DATASETS["wan21"]: Wan21Package,
}

WORDS_TAKEN: dict[Kind, int] = {"ltx2": 750, "wan21": 370}
"""Words that the text encoders take: 1024 and 512 tokens, English words being about 1.35 tokens."""

FEW_WORDS = 6
FEW_SAMPLES = 3


class Row(Record):
    """One sample. `at` is the second of the episode at which it begins; `words` counts its caption's."""

    stem: str
    episode: str
    clip: str
    split: Literal["train", "holdout"]
    at: float
    num_frames: int
    fps: float
    width: int
    height: int
    video: File
    caption: str
    words: int
    characters: tuple[str, ...]
    unsaid: int

    @property
    def seconds(self) -> float:
        return self.num_frames / self.fps

    @property
    def shape(self) -> str:
        return f"{self.width}x{self.height}x{self.num_frames}"


class Dataset(Record):
    """All samples in the dataset's order, and an account of every clip: what was left out, and remarks on what was not.

    `package` is the one file that a hosted trainer takes, where the dataset has such.
    """

    trigger: str
    rows: tuple[Row, ...]
    left_out: tuple[Account, ...]
    remarks: tuple[Account, ...]
    package: File | None = None

    def row(self, stem: str) -> Row | None:
        return next((row for row in self.rows if row.stem == stem), None)


@dataclass(frozen=True, slots=True)
class Standing:
    """A dataset as it stands. `run` is its folder in the store; `behind` says why it is not up to date, "" if it is.

    `psnr_db` says of samples, by stem, how much the latents keep of them, where that was measured.
    """

    kind: Kind
    step: str
    dataset: Dataset
    run: Path
    at: datetime
    behind: str
    trigger_in_captions: bool
    psnr_db: Mapping[str, float]

    def caption(self, row: Row) -> str:
        """As the trainer will see it: with the trigger in front, where the trainer puts it there."""
        trigger = self.dataset.trigger
        return row.caption if self.trigger_in_captions or not trigger else f"{trigger} {row.caption}"


def look(show: Show, kind: Kind) -> Standing | None:
    """What stands of a dataset, fresh or not; None where it was never made."""
    step = DATASETS[kind]
    made = show.store.head(step, SHOW)
    if made is None:
        return None
    config = made.recipe["config"]
    return Standing(
        kind=kind,
        step=step,
        dataset=_dataset(show.store.root, step, made.output, made.recipe["inputs"].get("step2-reviewed")),
        run=show.store.run_path(made.name),
        at=datetime.fromtimestamp(made.finished).astimezone(),
        behind=_behind(show, step, made.recipe["inputs"], config),
        trigger_in_captions=bool(config.get("trigger_in_captions")),
        psnr_db=_checks(show, kind),
    )


def _behind(show: Show, step: str, inputs: Mapping[str, object], config: Mapping[str, object]) -> str:
    """What the step would now take that is not what it took: review and settings, without a look at the whole plan."""
    reviewed = show.store.head("step2-reviewed", SHOW)
    if reviewed and inputs.get("step2-reviewed") not in (None, reviewed.output):
        return "the review has gone on since"
    now = show.configs()[step].model_dump(mode="json")
    changed = [name for name, value in now.items() if name in config and config[name] != value]
    return f"the settings have changed since: {', '.join(changed)}" if changed else ""


def _checks(show: Show, kind: Kind) -> dict[str, float]:
    """Of the step that encoded the dataset's clips: Wan2.1's training does so itself."""
    made = show.store.head(ENCODED[kind], SHOW)
    return {} if made is None else dict(_psnr(show.store.root, kind, made.output))


@lru_cache(maxsize=2)
def _psnr(root: Path, kind: Kind, output: Digest) -> tuple[tuple[str, float], ...]:
    store = Store(root)
    checks = store.get(output, Ltx2Precomputed).checks if kind == "ltx2" else store.get(output, Lora).checks
    return tuple((each.sample, each.psnr_db) for each in checks)


@lru_cache(maxsize=4)
def _dataset(root: Path, step: str, output: Digest, reviewed: Digest | None) -> Dataset:
    def build() -> Dataset:
        store = Store(root)
        review = store.get(reviewed, Reviewed) if reviewed and store.object_path(reviewed).exists() else None
        return laid(store.get(output, _KINDS[step]), review)

    return kept(root, f"dataset-{step}", [output, reviewed], Dataset, build)


def laid(dataset: Ltx2Dataset | Wan21Package, reviewed: Reviewed | None) -> Dataset:
    """The index of a dataset; who is in a clip is known from the review that it was made of. Pure."""
    cast = {clip.clip: clip.caption.characters for clip in reviewed.clips} if reviewed else {}
    return Dataset(
        trigger=dataset.trigger,
        rows=tuple(_row(sample, cast.get(sample.clip, ())) for sample in dataset.samples),
        left_out=tuple(account for account in dataset.accounts if not account.kept),
        remarks=tuple(a for a in dataset.accounts if a.kept and a.reason not in ("train", "holdout")),
        package=dataset.package if isinstance(dataset, Wan21Package) else None,
    )


def _row(sample: Sample, characters: tuple[str, ...]) -> Row:
    return Row(
        stem=sample.video.name.removesuffix(".mp4"),
        episode=sample.episode,
        clip=sample.clip,
        split=sample.split,
        at=sample.window.start,
        num_frames=sample.num_frames,
        fps=sample.fps,
        width=sample.width,
        height=sample.height,
        video=sample.video,
        caption=sample.caption,
        words=len(sample.caption.split()),
        characters=characters,
        unsaid=sample.left_unsaid,
    )


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about a dataset that its owner may want to change: what, what to do, and of which samples (stems)."""

    level: Literal["warning", "note"]
    what: str
    remedy: str
    stems: tuple[str, ...] = ()


def findings(of: Dataset, kind: Kind, names: Mapping[str, str]) -> list[Finding]:
    """What looks wrong, the gravest first. `names` are characters' by id. Pure."""
    found = [*_split(of), *_captions(of, kind), *_cast(of, names), *_pieces(of)]
    return sorted(found, key=lambda each: each.level != "warning")


def _split(of: Dataset) -> Iterator[Finding]:
    splits = Counter(row.split for row in of.rows)
    if of.rows and not splits["holdout"]:
        remedy = "Raise `holdout_share`, or review more clips: without it nobody can tell learning from copying."
        yield Finding("warning", "Nothing is held out", remedy)
    if of.rows and not splits["train"]:
        yield Finding("warning", "Everything is held out", "Lower `holdout_share`: there is nothing to train on.")
    if of.rows and not of.trigger:
        yield Finding("note", "No trigger", "Set `trigger` to a rare word, so that the LoRA can be called by it.")


def _captions(of: Dataset, kind: Kind) -> Iterator[Finding]:
    long = _stems(row for row in of.rows if row.words > WORDS_TAKEN[kind])
    if long:
        remedy = f"The text encoder takes about {WORDS_TAKEN[kind]} words and does not see the rest."
        yield Finding("warning", f"{_samples(long)} with a caption too long to be read whole", remedy, long)
    short = _stems(row for row in of.rows if row.words < FEW_WORDS)
    if short:
        remedy = "What a caption does not say becomes part of the trigger: review these."
        yield Finding("note", f"{_samples(short)} with a caption of less than {FEW_WORDS} words", remedy, short)
    alike: dict[str, list[str]] = defaultdict(list)
    for row in of.rows:
        alike[" ".join(row.caption.casefold().split())].append(row.stem)
    same = tuple(stem for stems in alike.values() if len(stems) > 1 for stem in stems)
    if same:
        remedy = "The model cannot tell them apart by words. Say what differs, or drop all but one."
        yield Finding("warning", f"{_samples(same)} share their caption with another", remedy, same)
    films: dict[str, list[str]] = defaultdict(list)
    for row in of.rows:
        films[row.video.digest].append(row.stem)
    twice = tuple(stem for stems in films.values() if len(stems) > 1 for stem in stems)
    if twice:
        remedy = "Each is trained on as often as it is there. Drop all but one."
        yield Finding("warning", f"{_samples(twice)} are the very same film as another", remedy, twice)
    unsaid = _stems(row for row in of.rows if row.unsaid)
    if unsaid:
        remedy = "Their captions do not quote these lines. More frames (`max_frames`) or windows would hold them."
        yield Finding("note", f"{_samples(unsaid)} cut a line short or off", remedy, unsaid)


def _cast(of: Dataset, names: Mapping[str, str]) -> Iterator[Finding]:
    trained = Counter(each for row in of.rows if row.split == "train" for each in row.characters)
    held = Counter(each for row in of.rows if row.split == "holdout" for each in row.characters)
    only_held = [each for each in held if not trained[each]]
    if only_held:
        said = ", ".join(names.get(each, each) for each in only_held)
        stems = _stems(row for row in of.rows if set(row.characters) & set(only_held))
        yield Finding("warning", f"Only in what is held out: {said}", "Review more clips that show them.", stems)
    few = [each for each, count in trained.items() if count < FEW_SAMPLES]
    if few:
        said = ", ".join(f"{names.get(each, each)} ({trained[each]})" for each in few)
        stems = _stems(row for row in of.rows if set(row.characters) & set(few))
        yield Finding("note", f"Seldom seen: {said}", "A LoRA learns a face from more than two clips.", stems)


def _pieces(of: Dataset) -> Iterator[Finding]:
    shapes = Counter(row.shape for row in of.rows if row.split == "train")
    lone = [shape for shape, count in shapes.items() if count == 1]
    if lone and len(shapes) > 1:
        stems = _stems(row for row in of.rows if row.shape in lone)
        remedy = "A batch holds one shape: with a batch size over 1 these are trained on alone."
        yield Finding(
            "note",
            "1 sample is the only one of its shape"
            if len(stems) == 1
            else f"{len(stems):,} samples are the only ones of their shape",
            remedy,
            stems,
        )


def _stems(rows: Iterable[Row]) -> tuple[str, ...]:
    return tuple(row.stem for row in rows)


def _samples(stems: Sequence[str]) -> str:
    return "1 sample" if len(stems) == 1 else f"{len(stems):,} samples"


def reasons(accounts: Iterable[Account]) -> list[tuple[str, list[Account]]]:
    """Accounts by what happened to them, the most frequent first; figures in a reason make no reason of its own."""
    groups: dict[str, list[Account]] = defaultdict(list)
    for account in accounts:
        groups[_general(account.reason)].append(account)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def _general(reason: str) -> str:
    head = reason.split(":", 2)
    # "left out by step2-reviewed: dropped by anna: blurred" is told by its second part, "too short: 1 s" by the first.
    return head[1].strip() if head[0].startswith("left out by") and len(head) > 1 else head[0].strip()


def neighbours(rows: Sequence[Row], stem: str) -> tuple[str, str]:
    """The stems before and after one; "" at the ends."""
    stems = [row.stem for row in rows]
    at = stems.index(stem) if stem in stems else -1
    before = stems[at - 1] if at > 0 else ""
    return before, stems[at + 1] if 0 <= at < len(stems) - 1 else ""
