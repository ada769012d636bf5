"""Decisions of the machine that a person took back: the edit that does it, and the question that comes of it. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pipeline.review import desk
from pipeline.schemas.edits import BatchEdit, EditPlace
from pipeline.schemas.story import Candidate, Decision, Doubt, SettledTranscript, shift
from pipeline.schemas.timeline import Segment


def revert(transcript: SettledTranscript, decision: Decision, by: str, at: datetime) -> BatchEdit:
    """The entry that puts back what `decision` replaced, wherever the machine says it again.

    Raises ValueError where it replaced nothing, or its line is gone.
    """
    doubt = _standing(transcript, decision)
    if decision.chosen == decision.original:
        raise ValueError(f"decision {doubt.id} changed nothing: there is nothing to take back")
    line = _line(transcript, doubt)
    place = EditPlace(
        about=doubt.kind,
        episode=transcript.episode,
        span=doubt.span if doubt.kind == "text" else line.span,
        segment=line.id,
        line=line.text,
        first_word=doubt.first_word,
        before=decision.chosen,
        after=decision.original,
    )
    what = "replace" if doubt.kind == "text" else "speaker"
    return BatchEdit(id="", what=what, by=by, at=at, places=(place,), decision=doubt.id)


def reverted(log: Sequence[BatchEdit], episode: str) -> Mapping[str, BatchEdit]:
    """The entries that count and took back a decision in `episode`, by the decision's id."""
    return {
        entry.decision: entry
        for entry in desk.standing(log)
        if entry.decision and any(place.episode == episode for place in entry.places)
    }


def reopened(transcript: SettledTranscript, log: Sequence[BatchEdit]) -> SettledTranscript:
    """The transcript as reviewers should be asked about it: a decision that was taken back is a question again.

    The words stand as the machine left them, so that an answer finds them; the log's entry lies above them.
    """
    gone = reverted(log, transcript.episode)
    doubts = {doubt.id for doubt in transcript.doubts}
    again = [
        _asked(_standing(transcript, decision), decision, gone[decision.doubt.id])
        for decision in transcript.decisions
        if decision.doubt.id in gone and decision.doubt.id not in doubts and decision.chosen != decision.original
    ]
    if not again:
        return transcript
    every = sorted((*transcript.doubts, *again), key=lambda doubt: (doubt.span.start, doubt.id))
    return transcript.model_copy(update={"doubts": tuple(every)})


def _asked(doubt: Doubt, decision: Decision, entry: BatchEdit) -> Doubt:
    """Half for what a person put back, half of the rest for what the machine had chosen."""
    others = [c.value for c in doubt.candidates if c.value not in (decision.original, decision.chosen)]
    scores = {decision.original: 0.5, decision.chosen: 0.25, **{value: 0.25 / len(others) for value in others}}
    heard = decision.chosen if doubt.kind == "text" else doubt.heard
    return doubt.model_copy(
        update={
            "heard": heard,
            "candidates": tuple(Candidate(value=value, score=score) for value, score in scores.items()),
            "evidence": (f"{entry.by} took “{decision.chosen}” back", *doubt.evidence),
        }
    )


def _standing(transcript: SettledTranscript, decision: Decision) -> Doubt:
    """The decision's doubt, with its words counted as they stand now that all decisions are applied."""
    doubt = decision.doubt
    if doubt.kind == "speaker":
        last = len(_line(transcript, doubt).words) - 1
        return doubt.model_copy(update={"first_word": 0, "last_word": last})
    first = doubt.first_word + shift(doubt, transcript.decisions)
    return doubt.model_copy(update={"first_word": first, "last_word": first + len(decision.chosen.split()) - 1})


def _line(transcript: SettledTranscript, doubt: Doubt) -> Segment:
    return next(segment for segment in transcript.segments if segment.id == doubt.segment)
