"""Answers taken apart, each beside what is known of the machine that made what its reviewer saw. Pure.

Only the newest answer to each task of each version counts, so that a clip that two people reviewed is one clip.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.review.corrections import Change, Left, Run, Wording, aligned, changes, left, questions, wording
from pipeline.review.pace import newest
from pipeline.schemas.captions import Asked, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Doubt
from pipeline.schemas.wording import bare


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer, and what is known of the machine that made what its reviewer saw: the `version` in words, its doubts
    by id, and the score of the caption.
    """

    decision: ReviewDecision
    version: str
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """One transcript answer taken apart: its lines, and the words that differ (None where none do)."""

    judged: Judged
    lines: list[Left]
    questions: Mapping[str, Asked]
    wording: Wording | None
    runs: Sequence[Run]
    changes: Sequence[Change]

    @property
    def key(self) -> str:
        return self.judged.decision.key


def latest(answers: Iterable[Judged]) -> list[Judged]:
    """The newest answer to each task of each version."""
    by_version: dict[str, list[Judged]] = defaultdict(list)
    for each in answers:
        by_version[each.version].append(each)
    found = []
    for ours in by_version.values():
        kept = {id(decision) for decision in newest(each.decision for each in ours).values()}
        found += [each for each in ours if id(each.decision) in kept and each.decision.answer is not None]
    return found


def readings(answers: Iterable[Judged]) -> list[Reading]:
    """The transcript answers among `answers`; words are compared only where they differ."""
    ours = [(each, a) for each in answers if isinstance(a := each.decision.answer, TranscriptAnswer)]
    asked = [questions(each.decision, each.doubts) for each, _ in ours]
    lines = [left(answer, put.values()) for (_, answer), put in zip(ours, asked, strict=True)]
    words = [wording(each) for each in lines]
    runs = iter(aligned([each for each in words if each]))
    made = []
    for (each, answer), its_questions, its_lines, its_words in zip(ours, asked, lines, words, strict=True):
        its_runs = next(runs) if its_words else []
        found = list(changes(its_words, its_runs, its_questions.values(), answer.seen)) if its_words else []
        made.append(Reading(each, its_lines, its_questions, its_words, its_runs, found))
    return made


def put(found: Iterable[Reading], kind: Literal["text", "speaker"]) -> Iterator[tuple[Reading, Asked]]:
    """Every question of a kind that was put, with the answer that it was put in."""
    for reading in found:
        yield from ((reading, each) for each in reading.questions.values() if each.kind == kind)


def settled(reading: Reading, asked: Asked) -> str | None:
    """What stands where a question was put, by the answer or by an edit; None where nobody said."""
    line = next((line for line in reading.lines if line.seen and line.seen.id == asked.segment), None)
    answer = reading.judged.decision.answer
    assert isinstance(answer, TranscriptAnswer)
    if line is None or line.seen is None or not line.judged or not line.text:
        return None
    if asked.kind == "speaker":
        if line.speaker != line.seen.speaker:
            return line.speaker or UNKNOWN
        return answer.answers.get(asked.doubt)
    chosen, reworded = answer.answers.get(asked.doubt), _reworded(reading, asked)
    # Where the words beside it were changed too, what was chosen is still a part of what stands there.
    if reworded is None or (chosen is not None and f" {bare(chosen)} " in f" {bare(reworded)} "):
        return chosen
    return reworded


def _reworded(reading: Reading, asked: Asked) -> str | None:
    """The words that were put where a question was asked; None where the words asked about stand."""
    words = reading.wording
    if words is None:
        return None
    own = [index for index, (segment, _) in enumerate(words.places) if segment == asked.segment]
    spelt = bare(asked.heard).split()
    at = next((i for i in own if list(words.was[i : i + len(spelt)]) == spelt), None)
    if at is None:
        return None
    start = stop = 0
    for run in reading.runs:
        if run.was[0] <= at < run.was[1]:
            start = run.now[0] + (at - run.was[0] if run.same else 0)
        if run.was[0] < at + len(spelt) <= run.was[1]:
            stop = run.now[0] + at + len(spelt) - run.was[0] if run.same else run.now[1]
    return " ".join(words.final[start:stop]) if list(words.now[start:stop]) != spelt else None
