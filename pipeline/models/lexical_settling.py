"""From questions to a settled transcript, by the words alone: what is sure is taken, the rest stays a question.

Every decision is applied to the transcript as it was heard, in one go, so that whoever else decides (a model, voices)
speaks of the same words, and all other words stay byte for byte.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.models.hearings import missed
from pipeline.models.lexical import Question, questions
from pipeline.models.phonetics import can_compare
from pipeline.models.sightings import Limits
from pipeline.schemas.story import UNKNOWN, Decision, Doubt, KnownNames, shift
from pipeline.schemas.timeline import Segment, Transcript
from pipeline.schemas.wording import retimed

STEP = "step2-transcript-disambiguate"
UNCOMPARED = 'no word is questioned: nothing is known of how common words of the language "{}" are'


@dataclass(frozen=True, slots=True)
class Rules:
    """A reading is taken if its score leads by `margin`; `limits` say what is worth a question."""

    margin: float
    limits: Limits


@dataclass(frozen=True, slots=True)
class Texts:
    """What the words alone settle (`taken`) and leave open (`left`), both counting words as they were heard."""

    taken: tuple[Decision, ...]
    left: tuple[Doubt, ...]


def texts(transcript: Transcript, known: KnownNames, rules: Rules) -> Texts:
    """Every question about words, sorted into those that answer themselves and those that do not."""
    asked = questions(transcript, known, rules.limits)
    taken = tuple(decision(q.doubt, "lexical") for q in asked if q.may_decide and lead(q.doubt) >= rules.margin)
    settled = {each.doubt.id for each in taken}
    return Texts(taken, tuple(q.doubt for q in asked if q.doubt.id not in settled and not _stands(q, rules)))


def notes(transcript: Transcript) -> Iterator[str]:
    yield from missed(transcript)
    if not can_compare(transcript.language):
        yield UNCOMPARED.format(transcript.language)


def lead(doubt: Doubt) -> float:
    """By how much the first candidate's score leads; 0 where there is no other."""
    best, *others = (candidate.score for candidate in doubt.candidates)
    return best - max(others, default=best)


def decision(doubt: Doubt, backend: str) -> Decision:
    """`doubt` settled by its first candidate; the reason begins with who found it."""
    best = doubt.candidates[0]
    return Decision(
        doubt=doubt,
        original=doubt.heard if doubt.kind == "text" else UNKNOWN,
        chosen=best.value,
        by=STEP,
        reason=f"{backend}: {'; '.join(doubt.evidence)}",
        score=best.score,
    )


def applied(segments: Sequence[Segment], taken: Iterable[Decision]) -> list[Segment]:
    """The segments with the chosen words in place, which share the time of those they replace."""
    mine: dict[str, list[Decision]] = {}
    for each in taken:
        if each.doubt.kind == "text" and each.chosen != each.original:
            mine.setdefault(each.doubt.segment, []).append(each)
    return [_applied(segment, mine[segment.id]) if segment.id in mine else segment for segment in segments]


def moved(doubt: Doubt, taken: Sequence[Decision]) -> Doubt:
    """A doubt's words counted as they stand once the decisions before it are applied."""
    by = shift(doubt, taken)
    return doubt.model_copy(update={"first_word": doubt.first_word + by, "last_word": doubt.last_word + by})


def _stands(question: Question, rules: Rules) -> bool:
    """Whether what was heard leads by so much, and no second hearing contradicts it, that nobody need be asked."""
    doubt = question.doubt
    is_heard = doubt.candidates[0].value == doubt.heard
    return is_heard and not question.contradicted and lead(doubt) >= rules.margin


def _applied(segment: Segment, mine: Iterable[Decision]) -> Segment:
    words = segment.words
    for each in sorted(mine, key=lambda each: -each.doubt.first_word):
        first, end = each.doubt.first_word, each.doubt.last_word + 1
        new = retimed(each.chosen, words[first:end], each.doubt.span)
        words = (*words[:first], *(word.model_copy(update={"probability": each.score}) for word in new), *words[end:])
    return segment.model_copy(update={"words": words})
