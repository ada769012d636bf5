"""`dailies report`, its second half: what every step kept and dropped and why, from the results that stand."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import dag
from pipeline.engine.plan import SHOW
from pipeline.engine.records import Record
from pipeline.quality import Estimate, Quality, Range, Share
from pipeline.schemas.captions import Captions, Reviewed
from pipeline.schemas.datasets import Ltx2Dataset, Wan21Package
from pipeline.schemas.story import SettledTranscript
from pipeline.schemas.timeline import Scenes, Transcript
from pipeline.schemas.training import Lora
from pipeline.show import Show


@dataclass(frozen=True, slots=True)
class Section:
    """A table: `rows` have one value for each of `columns`; with one column it is a list. `note`: what it comes to."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    note: str = ""


def report(show: Show) -> list[Section]:
    """One section a step that has results; what is missing is simply not there."""
    return [section for make in _SECTIONS for section in make(show) if section.rows]


def review(quality: Quality, unsent: Mapping[str, int] | None = None) -> list[Section]:
    """What review tells, each figure with what it is a part of. `unsent`: drafts by person; None: nobody can say."""
    made = (
        review_progress(quality),
        _people(quality, unsent),
        _heard(quality),
        _captioned(quality),
        _doubted(quality),
        _calibration(quality),
        _corrections(quality),
        _errors_left(quality.estimate),
    )
    return [section for section in made if section.rows]


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


def _reviewed(show: Show) -> Iterator[Section]:
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


def _trained(show: Show) -> Iterator[Section]:
    """Every clip that a training was given, also those that it never came to."""

    def rows(step: str, made: Lora) -> Iterator[tuple[Any, ...]]:
        by_times: dict[int, list[str]] = {}
        for each in made.usage:
            by_times.setdefault(each.times, []).append(each.sample)
        for times, names in sorted(by_times.items()):
            yield step, times, len(names), ", ".join(names)

    steps = ("step5-ltx2-train", "step5-wan21-train")
    found = tuple(row for step in steps for _, made in _results(show, step) for row in rows(step, made))
    yield Section("How often clips were trained on", ("training", "times", "clips", "which"), found)


def review_progress(quality: Quality) -> Section:
    columns = ("project", "tasks", "done", "left", "second look", "skipped", "asked again", "median s", "minutes left")
    rows = [
        (p.kind, p.tasks, p.done, p.left, p.second_look, p.skipped, p.asked_again, p.median_seconds, p.minutes_left)
        for p in quality.progress
        if p.tasks
    ]
    return Section("Review, by the last pull", columns, tuple(rows))


def _people(quality: Quality, unsent: Mapping[str, int] | None) -> Section:
    columns = (
        *("reviewer", "transcripts", "captions", "skipped", "median s a transcript", "median s a caption"),
        *("agrees with others", "hidden answers found", "unsent drafts"),
    )
    drafts = unsent or {}

    def row(name: str) -> tuple[Any, ...]:
        mine = next((person for person in quality.people if person.by == name), None)
        begun = None if unsent is None else drafts.get(name, 0)
        if mine is None:
            return (name, 0, 0, 0, None, None, "", "", begun)
        times = (mine.transcript_seconds, mine.caption_seconds)
        shares = (_of(mine.agreement), _of(mine.checks))
        return (name, mine.transcripts, mine.captions, mine.skipped, *times, *shares, begun)

    names = sorted({person.by for person in quality.people} | {name for name, count in drafts.items() if count})
    note = "" if unsent is not None else "Label Studio does not answer, so nobody knows of unsent drafts."
    return Section("Reviewers", columns, tuple(row(name) for name in names), note)


def _heard(quality: Quality) -> Section:
    columns = (
        *("transcripts by", "clips", "lines unchanged", "edited", "taken out", "added", "words wrong"),
        *("names right", "names from nowhere", "speakers right", "lines without a speaker", "that people named"),
    )
    rows = [
        (
            *(h.version, h.clips, _of(h.unchanged), h.edited.count, h.taken_out.count, h.added, _of(h.word_errors, 1)),
            *(_of(h.names), h.invented, _of(h.speakers), h.unnamed, h.named_by_people),
        )
        for h in quality.heard
    ]
    note = "Words wrong is the word error rate: words to replace, put in or take out, of the words as people left them."
    return Section("Transcripts against their review", columns, tuple(rows), note)


def _captioned(quality: Quality) -> Section:
    columns = ("captions by", "kept unchanged", "kept, edited", "dropped", "second look")
    rows = [(c.version, _of(c.unchanged), _of(c.edited), _of(c.dropped), _of(c.second_look)) for c in quality.captioned]
    return Section("Captions against their review", columns, tuple(rows))


def _doubted(quality: Quality) -> Section:
    columns = ("questions about", "answered", "real (precision)", "errors asked about (recall)", "errors missed")
    rows = [(d.kind, _of(d.answered), _of(d.real), _of(d.caught), d.missed) for d in quality.doubted]
    return Section("Questions against errors", columns, tuple(row for row in rows if any(row[1:])))


def _calibration(quality: Quality) -> Section:
    rows = [
        (c.of, c.scores, c.error, f"{each.low:.1f} to {each.high:.1f}", round(each.mean, 2), _of(each.right))
        for c in quality.calibration
        for each in c.bins
    ]
    columns = ("scores of", "scores", "calibration error", "from", "mean score", "right")
    return Section("Whether scores mean what they say", columns, tuple(rows))


def _corrections(quality: Quality) -> Section:
    columns = ("what", "the machine said", "people said", "times", "asked about", "for instance in")
    rows = [
        (c.kind, c.was, c.now, c.count, _of(Share(c.asked, c.count)), ", ".join(c.places)) for c in quality.corrections
    ]
    return Section("What the machine gets wrong", columns, tuple(rows))


def _errors_left(left: Estimate) -> Section:
    """Numbers of errors; a range holds the true one in 90 % of cases."""

    def row(what: str, range_: Range | None) -> tuple[Any, ...]:
        return (what, range_.likely, range_.low, range_.high) if range_ else (what, "not known yet", None, None)

    rows = [
        row("share of errors that reviewers see", left.detection),
        row(f"errors overlooked in {left.reviewed} reviewed clips", left.left_in_reviewed),
    ]
    if left.unreviewed:
        rows.append(row(f"errors in {left.unreviewed} clips not reviewed", left.in_unreviewed))
        rows.append(row(f"errors that {left.more} more clips would show", left.found_by_more))
    columns = ("words", "likely", "at least (90 % range)", "at most")
    return Section("Errors left", columns, tuple(rows) if left.reviewed else (), left.words)


def _of(share: Share, digits: int = 0) -> str:
    """`28 of 29 (97 %)`."""
    if not share.of:
        return ""
    return f"{share.count} of {share.of} ({100 * share.count / share.of:.{digits}f} %)"


_SECTIONS: tuple[Callable[[Show], Iterator[Section]], ...] = (
    _scenes,
    _transcripts,
    _doubts,
    _captions,
    _reviewed,
    _datasets,
    _trained,
)
