"""Batch edits laid over an episode's dialogue, each place where its words lie now, the oldest edit first. Pure.

They lie above reviewers' answers: an edit goes on from what an older answer left, and a newer answer to a place has the
last word there. A suggestion that was taken gives way to any answer, because it was made for places nobody had seen.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.review import carry, desk, lines
from pipeline.review.accounts import age
from pipeline.review.carry import Piece, Stretch
from pipeline.review.claims import edited
from pipeline.review.lines import Claim, Dialogue, punctuated
from pipeline.schemas.captions import ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit, EditAccount, EditPlace
from pipeline.schemas.story import UNKNOWN
from pipeline.schemas.wording import bare

State = Literal["applied", "carried", "superseded", "waiting", "undone"]

SAME_MOMENT_SECONDS = 0.002
"""Words that begin this close to each other are the same: times are kept to the millisecond."""


@dataclass(frozen=True, slots=True)
class Laid:
    """What became of one place of an edit; `lines` are the ids of the lines that it changed, if it counts."""

    edit: BatchEdit
    place: EditPlace
    state: State
    why: str = ""
    lines: tuple[str, ...] = ()


def lay(
    dialogue: Dialogue,
    episode: str,
    log: Sequence[BatchEdit],
    answered: Sequence[ReviewDecision],
    names: Collection[str],
    sure_enough: float = carry.SURE_ENOUGH,
) -> list[Laid]:
    """Put what `log` says of words and speakers into the dialogue; what became of each place of this episode.

    `answered` are the transcript answers that the dialogue was made of, `names` the ids of the bible's characters.
    """
    gone = desk.undone(log)
    theirs = dialogue.seen | dialogue.touched | dialogue.renamed
    newest_first = sorted(answered, key=age, reverse=True)
    found = []
    for edit in log:
        for place in edit.places:
            if place.episode != episode or place.about == "clip" or edit.what == "refusal":
                continue
            if edit.id in gone:
                found.append(Laid(edit, place, "undone", f"undone by {gone[edit.id].by}"))
                continue
            winner = _winner(edit, place, newest_first)
            if winner is not None:
                why = f"the answer by {winner.by} at {winner.at:%Y-%m-%d %H:%M:%S} counts"
                found.append(Laid(edit, place, "superseded", why))
            elif edit.what == "answer" and place.segment in theirs:
                found.append(Laid(edit, place, "superseded", "a reviewer's answer to the line counts"))
            elif place.about == "text":
                found.append(_words(dialogue, edit, place, sure_enough))
            else:
                found.append(_speaker(dialogue, edit, place, names, sure_enough))
    return found


def elsewhere(log: Sequence[BatchEdit], episodes: Collection[str]) -> list[Laid]:
    """The places in episodes that the show does not have: they wait."""
    return [
        Laid(edit, place, "waiting", f"the show has no episode {place.episode}")
        for edit in log
        for place in edit.places
        if place.episode not in episodes and edit.what != "refusal"
    ]


def accounts(log: Sequence[BatchEdit], laid: Sequence[Laid]) -> tuple[EditAccount, ...]:
    """One account for each edit with places, in the log's order. Raises AssertionError where a place has none."""
    by_edit: dict[str, list[Laid]] = {}
    for each in laid:
        by_edit.setdefault(each.edit.id, []).append(each)
    made = []
    for edit in log:
        if edit.what == "refusal" or not edit.places:
            continue
        its = by_edit.get(edit.id, [])
        assert len(its) == len(edit.places), f"edit {edit.id} has {len(edit.places)} places, {len(its)} are told"
        states: Mapping[str, int] = Counter(each.state for each in its)
        why = tuple(sorted({f"{each.place.episode} {_named(each.place)}: {each.why}" for each in its if each.why}))
        made.append(EditAccount(id=edit.id, what=edit.what, by=edit.by, at=edit.at, why=why, **states))
    return tuple(made)


def _named(place: EditPlace) -> str:
    return place.key if place.about == "clip" else f"{place.segment} “{place.line}”"


def _winner(edit: BatchEdit, place: EditPlace, newest_first: Sequence[ReviewDecision]) -> ReviewDecision | None:
    """The newest answer that has the last word on a place, if one has."""
    middle = place.span.middle
    return next(
        (
            decision
            for decision in newest_first
            if decision.span.holds(middle)
            and (edit.what == "answer" or (decision.at > edit.at and _speaks(decision, edit, place)))
        ),
        None,
    )


def _speaks(decision: ReviewDecision, edit: BatchEdit, place: EditPlace) -> bool:
    """Whether a newer answer says something of the place. Who had the task open before the edit, and let the line
    stand, does not: they never saw it.
    """
    answer = decision.answer
    if decision.raw is None or edit.id in decision.raw.shown.get("edits", ()):
        return True
    assert isinstance(answer, TranscriptAnswer)
    left = {line.id: line for line in answer.lines}
    for seen in answer.seen:
        line = left.get(seen.id)
        if not seen.span.overlap(place.span):
            continue
        named = line is not None and line.speaker != seen.speaker
        if named if place.about == "speaker" else edited(seen, line) is not None:
            return True
    kind = place.about
    return any(
        asked.kind == kind and asked.doubt in answer.answers and asked.span.overlap(place.span)
        for asked in answer.asked
    )


def _words(dialogue: Dialogue, edit: BatchEdit, place: EditPlace, sure_enough: float) -> Laid:
    stretch = _just_these(dialogue, place)
    if stretch is None:
        stretch = carry.find_words(place.before, place.span, dialogue.segments.values())
    if stretch is None or stretch.sureness < sure_enough:
        if not place.after or carry.find_words(place.after, place.span, dialogue.segments.values()):
            return Laid(edit, place, "carried")  # The machine, or a person, says so by now.
        return Laid(edit, place, "waiting", f"“{place.before}” is not heard there now")
    # What stands around the words may be another mark than it was.
    same = stretch.text == place.before or not place.after
    text = place.after if same else punctuated(_core(place.after), stretch.text)
    lines.settle(dialogue, [Claim(stretch, text, lets_stand=False)])
    return Laid(edit, place, "applied" if stretch.same else "carried", lines=_ids(stretch))


def _just_these(dialogue: Dialogue, place: EditPlace) -> Stretch | None:
    """The words of the place, where its line still has them at the same moment."""
    line = dialogue.segments.get(place.segment)
    count = len(place.before.split())
    if line is None:
        return None
    for first in range(len(line.words) - count + 1):
        piece = Piece(line, first, first + count)
        if (
            abs(piece.words[0].span.start - place.span.start) < SAME_MOMENT_SECONDS
            and " ".join(word.text for word in piece.words) == place.before
        ):
            return Stretch((piece,), 1.0, same=True)
    return None


def _speaker(dialogue: Dialogue, edit: BatchEdit, place: EditPlace, names: Collection[str], sure_enough: float) -> Laid:
    if place.after not in (*names, UNKNOWN):
        return Laid(edit, place, "waiting", f"the bible has no character {place.after!r}")
    line = dialogue.segments.get(place.segment)
    if line is not None and bare(line.text) == bare(place.line):
        stretch: Stretch | None = carry.whole(line)
    else:
        stretch = carry.find(place.span, (place.line,), dialogue.segments.values())
    if stretch is None or stretch.sureness < sure_enough or not stretch.whole:
        return Laid(edit, place, "waiting", "its line is not heard there now")
    speakers = {piece.segment.speaker or UNKNOWN for piece in stretch.pieces}
    if others := sorted(speakers - {place.before, place.after}):
        return Laid(edit, place, "waiting", f"the line is said to be {others[0]}'s now, not {place.before}'s")
    speaker = None if place.after == UNKNOWN else place.after
    lines.settle(dialogue, [Claim(stretch, names_speaker=True, speaker=speaker, lets_stand=False)])
    return Laid(edit, place, "applied" if stretch.same else "carried", lines=_ids(stretch))


def _ids(stretch: Stretch) -> tuple[str, ...]:
    return tuple(piece.segment.id for piece in stretch.pieces)


def _core(text: str) -> str:
    """Words without the marks around them."""
    return text.strip(lines.MARKS) or text
