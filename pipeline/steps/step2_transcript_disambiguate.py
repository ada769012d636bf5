"""step2-transcript-disambiguate: which names were really said and who said them; what is not sure becomes a question.

A reading is taken only where it leads by `margin`, and each change is on record with the words it replaced, the reason
and the score. All other words stay byte for byte as they were heard, and doubtful ones go to the reviewer.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from pydantic import Field

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.models import speaking
from pipeline.models.hearings import missed
from pipeline.models.lexical import Question, questions
from pipeline.models.phonetics import can_compare
from pipeline.models.sightings import Limits
from pipeline.schemas.story import Decision, Doubt, KnownNames, SettledTranscript
from pipeline.schemas.timeline import Segment, Transcript
from pipeline.schemas.wording import retimed

UNCOMPARED = 'no word is questioned: nothing is known of how common words of the language "{}" are'


class Config(StepConfig):
    backend: Literal["lexical"] = "lexical"
    margin: float = Field(default=0.8, ge=0, le=1, description="A reading is taken if its score leads by this much.")
    min_alike: float = Field(default=0.7, ge=0, le=1, description="How alike a word must sound to be asked about.")
    low_probability: float = Field(default=0.25, ge=0, le=1, description="Below it, a word of meaning is asked about.")
    max_candidates: int = Field(default=5, ge=2, le=9, description="Answers offered; a reviewer's keys are 1 to 9.")


@step(version=1)
def run(
    config: Config, work: Workspace, *, step2_transcript_base: Transcript, step2_bible: KnownNames
) -> SettledTranscript:
    settled = settle(config, step2_transcript_base, step2_bible)
    kinds = [doubt.kind for doubt in settled.doubts]
    work.report(
        decisions=len(settled.decisions), text_doubts=kinds.count("text"), speaker_doubts=kinds.count("speaker")
    )
    return settled


def settle(config: Config, transcript: Transcript, known: KnownNames) -> SettledTranscript:
    """The transcript with every sure reading in place; all the rest as it was, with its questions."""
    limits = Limits(config.min_alike, config.low_probability, config.max_candidates)
    asked = questions(transcript, known, limits)
    taken = [_decision(q.doubt, f"{config.backend}: {'; '.join(q.doubt.evidence)}") for q in asked if _wins(q, config)]
    settled = {decision.doubt.id for decision in taken}
    left = [q.doubt for q in asked if q.doubt.id not in settled and not _stands(q, config)]
    segments = [_applied(segment, taken) for segment in transcript.segments]
    doubts = [_moved(doubt, taken) for doubt in left]
    said = speaking.mentions(segments, known.characters)
    ids = [character.id for character in known.characters]
    for index, segment in enumerate(segments):
        if segment.speaker is not None or not ids:
            continue
        guess = speaking.guess(index, segments, said, ids)
        doubt = speaking.doubt(segment, guess, config.max_candidates)
        if guess.introduced and _lead(doubt) >= config.margin:
            taken.append(_decision(doubt, f"{config.backend}: {'; '.join(guess.evidence)}"))
            segments[index] = segment.model_copy(update={"speaker": doubt.candidates[0].value})
        else:
            doubts.append(doubt)
    return SettledTranscript(
        episode=transcript.episode,
        language=transcript.language,
        segments=tuple(segments),
        decisions=tuple(taken),
        doubts=tuple(sorted(doubts, key=lambda doubt: (doubt.span.start, doubt.id))),
        notes=(*transcript.notes, *_notes(transcript)),
    )


def _notes(transcript: Transcript) -> Iterator[str]:
    yield from missed(transcript)
    if not can_compare(transcript.language):
        yield UNCOMPARED.format(transcript.language)


def _lead(doubt: Doubt) -> float:
    best, *others = (candidate.score for candidate in doubt.candidates)
    return best - max(others, default=best)


def _wins(question: Question, config: Config) -> bool:
    return question.may_decide and _lead(question.doubt) >= config.margin


def _stands(question: Question, config: Config) -> bool:
    """Whether what was heard leads by so much, and no second hearing contradicts it, that nobody need be asked."""
    doubt = question.doubt
    is_heard = doubt.candidates[0].value == doubt.heard
    return is_heard and not question.contradicted and _lead(doubt) >= config.margin


def _decision(doubt: Doubt, reason: str) -> Decision:
    best = doubt.candidates[0]
    original = doubt.heard if doubt.kind == "text" else "UNKNOWN"
    return Decision(
        doubt=doubt,
        original=original,
        chosen=best.value,
        by="step2-transcript-disambiguate",
        reason=reason,
        score=best.score,
    )


def _applied(segment: Segment, taken: Iterable[Decision]) -> Segment:
    """The segment with the chosen words in place, which share the time of those they replace."""
    words = segment.words
    mine = [decision for decision in taken if decision.doubt.segment == segment.id]
    for decision in sorted(mine, key=lambda decision: -decision.doubt.first_word):
        first, end = decision.doubt.first_word, decision.doubt.last_word + 1
        new = retimed(decision.chosen, words[first:end], decision.doubt.span)
        chosen = tuple(word.model_copy(update={"probability": decision.score}) for word in new)
        words = (*words[:first], *chosen, *words[end:])
    return segment.model_copy(update={"words": words}) if mine else segment


def _moved(doubt: Doubt, taken: Sequence[Decision]) -> Doubt:
    """A doubt's words counted as they stand once the decisions before it are applied."""
    shift = sum(
        len(decision.chosen.split()) - len(decision.original.split())
        for decision in taken
        if decision.doubt.segment == doubt.segment and decision.doubt.first_word < doubt.first_word
    )
    moved = {"first_word": doubt.first_word + shift, "last_word": doubt.last_word + shift}
    return doubt.model_copy(update=moved) if shift else doubt
