"""What people must look at once more: answers to one task that disagree, and clips that were sent back. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.review import corrections, desk
from pipeline.review.accounts import age
from pipeline.review.carry import SAME_PLACE, covered
from pipeline.review.claims import edited, in_words
from pipeline.review.edits import Laid
from pipeline.review.verdicts import GRAZE, kind_of, skipped
from pipeline.schemas.captions import CaptionAnswer, ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit, EditPlace
from pipeline.schemas.timeline import Clip, Span
from pipeline.schemas.wording import bare


@dataclass(frozen=True, slots=True)
class SecondLook:
    """`why` the clips that lie at `span` are not used before somebody answers anew, and the answers so far."""

    why: str
    span: Span
    decisions: tuple[ReviewDecision, ...]


def disagreeing(decisions: Sequence[ReviewDecision], names: Mapping[str, str]) -> list[SecondLook]:
    """Where several people saw the same in a task and left it otherwise.

    The answer of somebody who was shown what the others had said settles it.
    """
    by_key: dict[str, list[ReviewDecision]] = {}
    for decision in sorted(decisions, key=age):
        if not skipped(decision):
            by_key.setdefault(decision.key, []).append(decision)
    found = []
    for its in by_key.values():
        last = {decision.by: decision for decision in its}
        newest = max(last.values(), key=age)
        rivals = [decision for decision in last.values() if decision is newest or _unaware(newest, decision)]
        what = list(dict.fromkeys(about for rival in rivals for about in _differences(newest, rival, names)))
        if what and not _since(decisions, kind_of(newest), newest.span, newest, {newest.key}):
            people = _listed(sorted(decision.by for decision in rivals))
            why = f"second look: {people} disagree on {_listed(what)}"
            found.append(SecondLook(why, newest.span, tuple(rivals)))
    return found


def _unaware(newest: ReviewDecision, other: ReviewDecision) -> bool:
    """Whether two answers are to the same, and the newer one was given without knowing of the other."""
    if newest.raw is None or newest.revision == other.revision:
        return newest.revision == other.revision
    told = newest.raw.shown.get("again", ())
    return _shown(newest) == _shown(other) and f"{other.by} {other.at.isoformat()}" not in told


def _shown(decision: ReviewDecision) -> object:
    assert decision.answer is not None
    return decision.answer.kind, decision.answer.seen


def sent_back(
    log: Sequence[BatchEdit], episode: str, decisions: Sequence[ReviewDecision], clips: Sequence[Clip]
) -> tuple[list[SecondLook], list[Laid]]:
    """The clips of an episode that somebody sent back and nobody has answered since, and what became of each place."""
    gone = desk.undone(log)
    looks, laid = [], []
    for edit in log:
        for place in edit.places:
            if place.about != "clip" or place.episode != episode:
                continue
            if edit.id in gone:
                laid.append(Laid(edit, place, "undone", f"undone by {gone[edit.id].by}"))
                continue
            kind = _kind(place)
            answers = [d for d in decisions if kind_of(d) == kind and not skipped(d) and _sees(d, place)]
            newer = [decision for decision in answers if decision.at > edit.at]
            if newer:
                winner = max(newer, key=age)
                why = f"the answer by {winner.by} at {winner.at:%Y-%m-%d %H:%M:%S} counts"
                laid.append(Laid(edit, place, "superseded", why))
            elif not any(covered(clip.span, place.span) > GRAZE for clip in clips):
                laid.append(Laid(edit, place, "waiting", "no clip lies there now"))
            else:
                why = f"sent back by {edit.by}: {edit.reason}"
                looks.append(SecondLook(why, place.span, tuple(sorted(answers, key=age)[-1:])))
                laid.append(Laid(edit, place, "applied"))
    return looks, laid


def said(decision: ReviewDecision, names: Mapping[str, str]) -> str:
    """What a decision says, in words."""
    answer = decision.answer
    if isinstance(answer, CaptionAnswer):
        if answer.verdict != "keep":
            reasons = f" ({', '.join(answer.reasons)})" if answer.reasons else ""
            return f"{'dropped' if answer.verdict == 'drop' else answer.verdict}{reasons}"
        return f"kept with the caption “{answer.text}”"
    assert isinstance(answer, TranscriptAnswer)
    left = {line.id: line for line in answer.lines}
    speakers = _answered_speakers(answer)
    told = []
    for seen in answer.seen:
        line, who = left.get(seen.id), speakers.get(seen.id)
        if line is None or edited(seen, line) is not None or line.speaker != seen.speaker or line.flags or who:
            told.append(in_words(seen, line, who, names))
    told += [
        f"“{asked.heard}” was answered “{answer.answers[asked.doubt]}”"
        for asked in answer.asked
        if asked.kind == "text" and asked.doubt in answer.answers
    ]
    shown = {line.id for line in answer.seen}
    told += [f"“{line.text}” was added" for line in answer.lines if line.id not in shown]
    told += list(answer.flags)
    return "; ".join(told) or "accepted as it was"


def _differences(one: ReviewDecision, other: ReviewDecision, names: Mapping[str, str]) -> Iterable[str]:
    """What two answers to the same revision do not agree on, in words."""
    if one is other or type(one.answer) is not type(other.answer):
        return
    if isinstance(one.answer, CaptionAnswer):
        assert isinstance(other.answer, CaptionAnswer)
        if one.answer.verdict != other.answer.verdict:
            yield "the verdict"
        elif one.answer.verdict == "keep":
            if bare(one.answer.text) != bare(other.answer.text):
                yield "the caption"
            if set(one.answer.characters) != set(other.answer.characters):
                yield "who is on screen"
        return
    assert isinstance(one.answer, TranscriptAnswer)
    assert isinstance(other.answer, TranscriptAnswer)
    ours, theirs = _left(one.answer), _left(other.answer)
    for seen in one.answer.seen:
        (text, speaker), (their_text, their_speaker) = ours[seen.id], theirs.get(seen.id, ("", None))
        if text != their_text:
            yield f"the words of “{seen.text}”"
        elif text and speaker != their_speaker:
            yield f"who says “{seen.text}”"
    shown = {line.id for line in one.answer.seen}
    added = [sorted(text for id_, (text, _) in each.items() if id_ not in shown and text) for each in (ours, theirs)]
    if added[0] != added[1]:
        yield "what else is said"
    if set(one.answer.flags) != set(other.answer.flags):
        yield "the flags"


def _left(answer: TranscriptAnswer) -> dict[str, tuple[str, str | None]]:
    """Each line's words, case and marks aside, and speaker as the answer leaves them; "" where it took the line out."""
    found: dict[str, tuple[str, str | None]] = {}
    for number, line in enumerate(corrections.left(answer)):
        found[line.seen.id if line.seen else f"new {number}"] = (bare(line.text), line.speaker)
    return found


def _answered_speakers(answer: TranscriptAnswer) -> dict[str, str]:
    return {
        asked.segment: answer.answers[asked.doubt]
        for asked in answer.asked
        if asked.kind == "speaker" and asked.doubt in answer.answers
    }


def _since(
    decisions: Sequence[ReviewDecision], kind: str, span: Span, than: ReviewDecision, other_than: set[str]
) -> bool:
    """Whether a newer answer to another cut saw all of it."""
    return any(
        decision.at > than.at and covered(span, decision.span) >= SAME_PLACE
        for decision in decisions
        if decision.key not in other_than and not skipped(decision) and kind_of(decision) == kind
    )


def _sees(decision: ReviewDecision, place: EditPlace) -> bool:
    return decision.key == place.key or covered(place.span, decision.span) >= SAME_PLACE


def _kind(place: EditPlace) -> str:
    return "caption" if place.key.endswith("#caption") else "transcript"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
