"""How far the review is, how long the rest takes, and what each person did. Pure."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean, median

from pipeline.review.accounts import age
from pipeline.review.corrections import left
from pipeline.review.shown import Kind
from pipeline.review.verdicts import SECOND_LOOK, kind_of, skipped
from pipeline.schemas.captions import CaptionAnswer, DecisionAccount, ReviewDecision, TranscriptAnswer
from pipeline.schemas.wording import bare

LONGEST_MEDIANS = 5
"""An answer that took more than this many medians counts as this many: the reviewer was away from the screen."""

ENOUGH_TIMES = 5
"""Fewer timed answers say nothing about the pace."""


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `of`, so that no figure stands without what it is a part of."""

    count: int
    of: int

    @property
    def share(self) -> float | None:
        return self.count / self.of if self.of else None


@dataclass(frozen=True, slots=True)
class Progress:
    """One project: `tasks` are `done` or `left`, by the last pull.

    Done is what somebody answered, unless its answer must be asked again. `second_look` of the done ones are flagged
    for somebody else; `skipped` and `asked_again` are among those left. `median_seconds` and `minutes_left` are None
    until five answers were timed; the pace is the mean, where no answer counts more than five medians.
    """

    kind: Kind
    tasks: int
    done: int
    left: int
    second_look: int
    skipped: int
    asked_again: int
    median_seconds: float | None
    minutes_left: float | None


@dataclass(frozen=True, slots=True)
class Person:
    """One reviewer's answers (`transcripts`, `captions`) and skips; median seconds an answer of each kind.

    `agreement`: of the answers that somebody else gave to the same task, as it was shown to both, those that say the
    same. `checks`: hidden known answers found, of those found or missed.
    """

    by: str
    transcripts: int
    captions: int
    skipped: int
    transcript_seconds: float | None
    caption_seconds: float | None
    agreement: Share
    checks: Share


def newest(decisions: Iterable[ReviewDecision]) -> dict[str, ReviewDecision]:
    """The newest answer to each task, by its key; the newest skip where nobody answered."""
    found: dict[str, ReviewDecision] = {}
    for decision in sorted(decisions, key=age):
        if not skipped(decision) or decision.key not in found or skipped(found[decision.key]):
            found[decision.key] = decision
    return found


def done(latest: Mapping[str, ReviewDecision], accounts: Iterable[DecisionAccount]) -> dict[str, ReviewDecision]:
    """Of the newest decision on each task, those that answer it and need not be asked again, by key."""
    again = {(each.key, each.by, each.at) for each in accounts if each.state == "queued again"}
    return {
        key: decision
        for key, decision in latest.items()
        if not skipped(decision) and (key, decision.by, decision.at) not in again
    }


def progress(
    tasks: Mapping[Kind, Collection[str]], decisions: Sequence[ReviewDecision], accounts: Iterable[DecisionAccount]
) -> tuple[Progress, ...]:
    """How far each project is; `tasks` are the keys of those that there are now."""
    latest = newest(decisions)
    answers = done(latest, accounts)
    return tuple(_progress(kind, keys, latest, answers, _seconds(decisions, kind)) for kind, keys in tasks.items())


def _progress(
    kind: Kind,
    keys: Collection[str],
    latest: Mapping[str, ReviewDecision],
    answers: Mapping[str, ReviewDecision],
    seconds: Sequence[float],
) -> Progress:
    ours = [latest[key] for key in keys if key in latest]
    answered = [decision for decision in ours if not skipped(decision)]
    settled = [decision for decision in answered if decision.key in answers]
    to_do = len(keys) - len(settled)
    pace = _pace(seconds)
    return Progress(
        kind=kind,
        tasks=len(keys),
        done=len(settled),
        left=to_do,
        second_look=sum(map(_wants_second_look, settled)),
        skipped=len(ours) - len(answered),
        asked_again=len(answered) - len(settled),
        median_seconds=None if pace is None else round(median(seconds), 1),
        minutes_left=None if pace is None else round(to_do * pace / 60, 1),
    )


def people(decisions: Sequence[ReviewDecision]) -> tuple[Person, ...]:
    """What everybody did, in the order of their names."""
    agreed = agreement(decisions)
    by_person: dict[str, list[ReviewDecision]] = defaultdict(list)
    for decision in decisions:
        by_person[decision.by].append(decision)
    return tuple(_person(by, mine, agreed.get(by, Share(0, 0))) for by, mine in sorted(by_person.items()))


def _person(by: str, mine: Sequence[ReviewDecision], agreed: Share) -> Person:
    answers = [decision.answer for decision in mine]
    outcomes = [a.check.outcome for a in answers if isinstance(a, TranscriptAnswer) and a.check]
    times = {kind: _seconds(mine, kind) for kind in ("transcripts", "captions")}
    return Person(
        by=by,
        transcripts=sum(isinstance(answer, TranscriptAnswer) for answer in answers),
        captions=sum(isinstance(answer, CaptionAnswer) for answer in answers),
        skipped=sum(map(skipped, mine)),
        transcript_seconds=round(median(times["transcripts"]), 1) if times["transcripts"] else None,
        caption_seconds=round(median(times["captions"]), 1) if times["captions"] else None,
        agreement=agreed,
        checks=Share(outcomes.count("found"), outcomes.count("found") + outcomes.count("missed")),
    )


def agreement(decisions: Sequence[ReviewDecision]) -> dict[str, Share]:
    """Each person's answers that others gave alike, of those that others gave too. Everybody's newest one counts."""
    by_key: dict[str, dict[str, ReviewDecision]] = defaultdict(dict)
    for decision in sorted(decisions, key=age):
        if not skipped(decision):
            by_key[decision.key][decision.by] = decision
    same: dict[str, int] = defaultdict(int)
    both: dict[str, int] = defaultdict(int)
    for answers in by_key.values():
        for one, other in combinations(answers.values(), 2):
            if one.answer is None or other.answer is None or one.answer.seen != other.answer.seen:
                continue
            alike = said(one) == said(other)
            for person in (one.by, other.by):
                both[person] += 1
                same[person] += alike
    return {person: Share(same[person], both[person]) for person in sorted(both)}


def said(decision: ReviewDecision) -> tuple[object, ...]:
    """What an answer comes to, for comparison: words and speakers; verdict and, where it keeps, the caption's words."""
    answer = decision.answer
    if isinstance(answer, TranscriptAnswer):
        return tuple((bare(line.text), line.speaker) for line in left(answer) if line.text)
    assert isinstance(answer, CaptionAnswer)
    return (answer.verdict, bare(answer.text) if answer.verdict == "keep" else "")


def _seconds(decisions: Iterable[ReviewDecision], kind: str) -> list[float]:
    """How long the answers of a kind took; what was skipped, or not timed, says nothing."""
    return [d.seconds for d in decisions if f"{kind_of(d)}s" == kind and not skipped(d) and d.seconds > 0]


def _pace(seconds: Sequence[float]) -> float | None:
    """Seconds a task."""
    if len(seconds) < ENOUGH_TIMES:
        return None
    longest = LONGEST_MEDIANS * median(seconds)
    return fmean(min(each, longest) for each in seconds)


def _wants_second_look(decision: ReviewDecision) -> bool:
    answer = decision.answer
    if isinstance(answer, CaptionAnswer):
        return answer.verdict == SECOND_LOOK
    return isinstance(answer, TranscriptAnswer) and SECOND_LOOK in answer.flags
