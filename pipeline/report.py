"""`dailies report`: what every step kept and dropped and why, from the results that stand."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import dag
from pipeline.engine.plan import SHOW
from pipeline.engine.records import Record
from pipeline.schemas.captions import Captions, Reviewed, ReviewSnapshot
from pipeline.schemas.datasets import Ltx2Dataset, Wan21Package
from pipeline.schemas.story import SettledTranscript
from pipeline.schemas.timeline import Scenes, Transcript
from pipeline.show import Show


@dataclass(frozen=True, slots=True)
class Section:
    """A table: `rows` have one value for each of `columns`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def report(show: Show) -> list[Section]:
    """One section a step that has results; what is missing is simply not there."""
    return [section for make in _SECTIONS for section in make(show) if section.rows]


def _results(show: Show, step: str) -> Iterator[tuple[str, Any]]:
    """(unit, output) of the results that stand for a step, fresh or not."""
    (kind,) = (each.output for each in dag.STEPS if each.name == step)
    units = [SHOW] if any(each.name == step and each.per == SHOW for each in dag.STEPS) else show.episodes()
    for unit in units:
        if (run := show.store.head(step, unit)) is not None:
            record: Record = show.store.get(run.output, kind)
            yield unit, record


def _counted(reasons: Iterator[str] | Sequence[str]) -> str:
    """`3 too short, 1 black`: the commonest first."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(reasons).most_common())


def _scenes(show: Show) -> Iterator[Section]:
    def row(unit: str, made: Scenes) -> tuple[Any, ...]:
        clipped = sum(clip.span.seconds for clip in made.clips)
        dropped = _counted([each.reason for each in made.dropped])
        return (
            unit,
            round(made.media.seconds, 1),
            len(made.shots),
            len(made.scenes),
            len(made.clips),
            round(clipped, 1),
            dropped,
        )

    columns = ("episode", "seconds", "shots", "scenes", "clips", "seconds in clips", "stretches dropped")
    yield Section("Clips", columns, tuple(row(*each) for each in _results(show, "step1-scenes")))


def _transcripts(show: Show) -> Iterator[Section]:
    def row(unit: str, made: Transcript) -> tuple[Any, ...]:
        words = [word for segment in made.segments for word in segment.words]
        marks = _counted([mark for segment in made.segments for mark in segment.marks])
        sure = round(sum(word.probability for word in words) / len(words), 2) if words else None
        return (unit, made.source, len(made.segments), len(words), sure, marks, "; ".join(made.notes))

    columns = ("episode", "source", "lines", "words", "mean probability", "marked", "notes")
    yield Section("Transcripts", columns, tuple(row(*each) for each in _results(show, "step2-transcript-base")))


def _doubts(show: Show) -> Iterator[Section]:
    def row(unit: str, made: SettledTranscript) -> tuple[Any, ...]:
        kinds = Counter(doubt.kind for doubt in made.doubts)
        changed = [f"{each.original} → {each.chosen}" for each in made.decisions if each.original != each.chosen]
        return (unit, len(made.decisions), kinds["text"], kinds["speaker"], _counted(changed))

    columns = ("episode", "settled by the machine", "doubts about words", "doubts about speakers", "changed")
    yield Section("Doubts", columns, tuple(row(*each) for each in _results(show, "step2-transcript-disambiguate")))


def _captions(show: Show) -> Iterator[Section]:
    def row(unit: str, made: Captions) -> tuple[Any, ...]:
        scores = [caption.score for caption in made.captions]
        words = [len(caption.text.split()) for caption in made.captions]
        quotes = sum(len(caption.quotes) for caption in made.captions)
        mean = (lambda values: round(sum(values) / len(values), 2)) if scores else (lambda _: None)
        return (unit, made.backend, len(scores), mean(scores), mean(words), quotes)

    columns = ("episode", "backend", "captions", "mean score", "mean words", "quotes")
    yield Section("Captions", columns, tuple(row(*each) for each in _results(show, "step2-caption")))


def _review(show: Show) -> Iterator[Section]:
    snapshot = show.latest_snapshot()
    if snapshot is not None:
        decisions = show.store.get(snapshot, ReviewSnapshot).decisions
        people = sorted({each.by for each in decisions})

        def row(person: str) -> tuple[Any, ...]:
            mine = [each for each in decisions if each.by == person]
            times = sorted(each.seconds for each in mine)
            return (person, len(mine), sum(each.skipped for each in mine), round(times[len(times) // 2], 1))

        columns = ("reviewer", "answers", "skipped", "median seconds")
        yield Section("Review", columns, tuple(row(person) for person in people))
    for _, made in _results(show, "step2-reviewed"):
        assert isinstance(made, Reviewed)
        counts = Counter(clip.episode for clip in made.clips)
        yield Section(
            "Reviewed clips",
            ("episode", "clips", "left out"),
            tuple(
                (name, counts[name], _counted([each.reason for each in made.left_out if each.episode == name]))
                for name in show.episodes()
            ),
        )
        yield Section("Decisions that no longer fit", ("decision",), tuple((each,) for each in made.outdated))


def _datasets(show: Show) -> Iterator[Section]:
    def row(step: str, made: Ltx2Dataset | Wan21Package) -> tuple[Any, ...]:
        splits = Counter(sample.split for sample in made.samples)
        seconds = round(sum(sample.window.seconds for sample in made.samples), 1)
        out = _counted([each.reason for each in made.accounts if not each.kept])
        return (step, splits["train"], splits["holdout"], seconds, out, sum(each.left_unsaid for each in made.samples))

    steps = ("step3-ltx2-data", "step3-wan21-package")
    rows = tuple(row(step, made) for step in steps for _, made in _results(show, step))
    columns = ("dataset", "training samples", "held out", "seconds", "left out", "quotes beyond the window")
    yield Section("Datasets", columns, rows)


_SECTIONS: tuple[Callable[[Show], Iterator[Section]], ...] = (
    _scenes,
    _transcripts,
    _doubts,
    _captions,
    _review,
    _datasets,
)
