"""Whether the machine knows what it does not know: doubts against real errors, scores against being right. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.review.judged import Judged, Reading, put, settled
from pipeline.review.measures import fate
from pipeline.review.pace import Share
from pipeline.schemas.captions import CaptionAnswer
from pipeline.schemas.wording import bare

_BINS = 10


@dataclass(frozen=True, slots=True)
class Doubted:
    """Whether the machine's doubts of one kind were the right ones.

    `answered` of the questions asked. `real`, of the answered, are those where the machine's own best reading was
    wrong (for words: what stands; for speakers: the likeliest candidate): the precision. `caught`: errors that a
    question was put about, of all errors: the recall; the rest are `missed`.
    """

    kind: Literal["words", "speakers"]
    answered: Share
    real: Share
    caught: Share

    @property
    def missed(self) -> int:
        return self.caught.of - self.caught.count


@dataclass(frozen=True, slots=True)
class Bin:
    """The scores from `low` to `high`, their mean, and how many of them were right."""

    low: float
    high: float
    mean: float
    right: Share


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether scores mean what they say. `error` is the expected calibration error: by how much mean score and share
    of right ones differ, weighted by the scores in each bin (0 is perfect).
    """

    of: Literal["words", "speakers", "captions"]
    scores: int
    error: float | None
    bins: tuple[Bin, ...]


def doubted(found: Sequence[Reading]) -> tuple[Doubted, ...]:
    """Precision and recall of the questions about words and about speakers."""
    return _doubted_words(found), _doubted_speakers(found)


def _doubted_words(found: Sequence[Reading]) -> Doubted:
    asked = answered = real = 0
    for reading, each in put(found, "text"):
        asked += 1
        value = settled(reading, each)
        if value is not None:
            answered += 1
            real += bare(value) != bare(each.heard)
    errors = [change for reading in found for change in reading.changes]
    caught = sum(change.asked for change in errors)
    return Doubted("words", Share(answered, asked), Share(real, answered), Share(caught, len(errors)))


def _doubted_speakers(found: Sequence[Reading]) -> Doubted:
    asked = answered = real = caught = errors = 0
    for reading, each in put(found, "speaker"):
        asked += 1
        value = settled(reading, each)
        doubt = reading.judged.doubts.get(each.doubt)
        if value is not None and doubt is not None:
            answered += 1
            best = max(doubt.candidates, key=lambda candidate: candidate.score).value
            real += value != best
    for reading in found:
        questioned = {each.segment for each in reading.questions.values() if each.kind == "speaker"}
        for line in reading.lines:
            if line.judged and line.seen and line.text and line.speaker and line.speaker != line.seen.speaker:
                errors += 1
                caught += line.seen.id in questioned
    return Doubted("speakers", Share(answered, asked), Share(real, answered), Share(caught, errors))


def calibration(found: Sequence[Reading], answers: Iterable[Judged]) -> tuple[Calibration, ...]:
    """How well the scores of the doubts' candidates and of the captions say how often they are right."""
    captions = [
        (each.score, fate(each.decision.answer) == "unchanged")
        for each in answers
        if each.score is not None and isinstance(each.decision.answer, CaptionAnswer)
    ]
    return (
        calibrated("words", _candidates(found, "text")),
        calibrated("speakers", _candidates(found, "speaker")),
        calibrated("captions", captions),
    )


def _candidates(found: Sequence[Reading], kind: Literal["text", "speaker"]) -> list[tuple[float, bool]]:
    """The score of every candidate of the questions that are settled, and whether it was the answer."""
    scored = []
    for reading, each in put(found, kind):
        doubt, value = reading.judged.doubts.get(each.doubt), settled(reading, each)
        if doubt is not None and value is not None:
            scored += [(c.score, bare(c.value) == bare(value)) for c in doubt.candidates]
    return scored


def calibrated(of: Literal["words", "speakers", "captions"], scored: Sequence[tuple[float, bool]]) -> Calibration:
    """Scores (0 to 1) and whether each was right, in ten bins of equal width; empty ones are left out."""
    filled: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for score, right in scored:
        filled[min(_BINS - 1, int(score * _BINS))].append((score, right))
    bins = tuple(
        Bin(
            low=number / _BINS,
            high=(number + 1) / _BINS,
            mean=round(sum(score for score, _ in held) / len(held), 4),
            right=Share(sum(right for _, right in held), len(held)),
        )
        for number, held in sorted(filled.items())
    )
    gaps = [abs(each.mean - each.right.count / each.right.of) * each.right.of for each in bins]
    return Calibration(of, len(scored), round(sum(gaps) / len(scored), 4) if scored else None, bins)
