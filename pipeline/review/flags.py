"""Why tasks may need another look, each reason with the keys of its tasks. Pure."""

from collections.abc import Iterator, Sequence

from pipeline.review.accounts import age, clip_at
from pipeline.review.merge import Machine, Standing
from pipeline.review.verdicts import kind_of, skipped
from pipeline.schemas.captions import CaptionAnswer, ReviewDecision, TranscriptAnswer


def flagged(machine: Machine, decisions: Sequence[ReviewDecision], standing: Standing) -> Iterator[tuple[str, str]]:
    """Each (why, key of the task) of one episode: what the machine doubts, what reviewers flagged in the answers that
    count, and what is to be looked at a second time.
    """
    clips, episode = machine.scenes.clips, machine.scenes.episode
    for doubt in machine.transcript.doubts:
        if clip := clip_at(doubt.span, clips):
            yield f"doubt: {'words' if doubt.kind == 'text' else 'speaker'}", f"{episode}/{clip.id}"
    for segment in machine.transcript.segments:
        if segment.marks and (clip := clip_at(segment.span, clips)):
            yield from ((f"mark: {mark}", f"{episode}/{clip.id}") for mark in segment.marks)
    for caption in machine.captions.captions:
        yield from ((f"caption: {note}", f"{episode}/{caption.clip}#caption") for note in caption.notes)
    newest: dict[str, ReviewDecision] = {}
    for decision in sorted(decisions, key=age):
        newest[decision.key] = decision
    for key, decision in newest.items():
        yield from ((f"reviewer: {flag}", key) for flag in _flags(decision))
    for part in standing.parts:
        if part.state == "queued again" and not skipped(part.decision) and (clip := clip_at(part.where, clips)):
            key = f"{episode}/{clip.id}" + ("#caption" if kind_of(part.decision) == "caption" else "")
            yield "asked again", key
    for clip_id, why in standing.returned.items():
        yield why.partition(":")[0].partition(" by ")[0], f"{episode}/{clip_id}"


def _flags(decision: ReviewDecision) -> Iterator[str]:
    answer = decision.answer
    if skipped(decision):
        yield "skipped"
    elif isinstance(answer, TranscriptAnswer):
        yield from answer.flags
        yield from sorted({flag for line in answer.lines for flag in line.flags})
        if answer.note:
            yield "note"
    elif isinstance(answer, CaptionAnswer):
        if answer.verdict != "keep":
            yield "dropped" if answer.verdict == "drop" else answer.verdict
        yield from answer.reasons
        if answer.note:
            yield "note"
