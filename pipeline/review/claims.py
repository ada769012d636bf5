"""What each reviewer's answer says about which of the machine's words, the newest answer first. Pure.

An answer is taken apart into its lines, because a new cut may spread them over several clips: each line counts where
the words now lie that the reviewer saw. What is not sure enough to be put there is queued again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.review import carry, lines
from pipeline.review.accounts import Part, State, age
from pipeline.review.carry import Piece, Stretch
from pipeline.review.lines import INAUDIBLE, NOT_SPEECH, OVERLAP, Claim, Dialogue, plain, punctuated
from pipeline.schemas.captions import Asked, Line, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Doubt
from pipeline.schemas.timeline import Segment, Shot, Span
from pipeline.schemas.wording import bare


def correct(
    episode: str,
    segments: Sequence[Segment],
    doubts: Sequence[Doubt],
    shots: Sequence[Shot],
    names: Mapping[str, str],
    decisions: Sequence[ReviewDecision],
    sure_enough: float = carry.SURE_ENOUGH,
) -> Dialogue:
    """The lines with `decisions` (those with transcript answers) put into them.

    An edited text wins, else the chosen candidate of an answered doubt, else the machine's text; of two decisions that
    saw the same place, the newer. `names` are those of the bible's characters by id.
    """
    reader = _Reader(
        {segment.id: segment for segment in segments}, {doubt.id: doubt for doubt in doubts}, names, sure_enough
    )
    for decision in sorted(decisions, key=age, reverse=True):
        reader.read(decision)
    dialogue = Dialogue(dict(reader.segments), parts=reader.parts)
    lines.settle(dialogue, reader.claims[::-1])
    for line in reversed(reader.added):
        lines.add(dialogue, episode, line, shots)
    return dialogue


@dataclass(slots=True)
class _Reader:
    """Reads decisions from the newest to the oldest; `taken` tells whose the words are that are claimed already."""

    segments: Mapping[str, Segment]
    doubts: Mapping[str, Doubt]
    names: Mapping[str, str]
    sure_enough: float
    claims: list[Claim] = field(default_factory=list)
    added: list[Line] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    taken: list[tuple[Piece, ReviewDecision]] = field(default_factory=list)
    newer: list[ReviewDecision] = field(default_factory=list)

    def read(self, decision: ReviewDecision) -> None:
        answer = decision.answer
        assert isinstance(answer, TranscriptAnswer)
        before = len(self.parts)
        left = {line.id: line for line in answer.lines}
        asked = {each.doubt: each for each in answer.asked} | {
            name: Asked(doubt=name, kind=doubt.kind, segment=doubt.segment, span=doubt.span, heard=doubt.heard)
            for name, doubt in self.doubts.items()
            if name in answer.answers.keys() - {each.doubt for each in answer.asked}
        }
        speakers = {
            asked[name].segment: value
            for name, value in sorted(answer.answers.items())
            if name in asked and asked[name].kind == "speaker" and value in (*self.names, UNKNOWN)
        }
        reworded = {line.id for line in answer.seen if edited(line, left.get(line.id)) is not None}
        matched: set[str] = set()
        for seen in answer.seen:
            matched |= self._seen(decision, seen, left.get(seen.id), speakers.get(seen.id))
        shown = {line.id for line in answer.seen}
        for line in reversed(answer.lines):
            if line.id not in shown and line.text.strip() and NOT_SPEECH not in line.flags:
                self._new(decision, line, matched)
        for name, value in sorted(answer.answers.items()):
            self._answered(decision, name, value, asked.get(name), speakers.keys() & shown, reworded)
        if len(self.parts) == before and not self._superseded(decision, decision.span):
            # Nobody spoke, and the reviewer agreed.
            self._tell(decision, decision.span, "applied", 1.0)
        self.newer.append(decision)

    def _seen(self, decision: ReviewDecision, seen: Line, given: Line | None, answered: str | None) -> set[str]:
        """Take in a line that was shown; the ids of the machine's lines that it is now."""
        line = given and self._with_known_speaker(decision, given, seen)
        text, said = edited(seen, line), in_words(seen, line, answered, self.names)
        now, texts = self.segments.get(seen.id), _texts(seen, line)
        same = now is not None and plain(now.text) in texts
        stretch = carry.whole(now) if now and same else carry.find(seen.span, texts, self.segments.values())
        found = {piece.segment.id for piece in stretch.pieces} if stretch else set()
        if self._superseded(decision, seen.span):
            return found
        if stretch is None:
            if text == "":
                self._tell(decision, seen.span, "carried", 1.0)
            else:
                self._ask(
                    decision, seen.span, 0.0, f"the machine hears nothing any more where it was {seen.text!r}", said
                )
            return found
        hears = f"the machine now hears {_whole_lines(stretch)!r} where the reviewer saw {seen.text!r}"
        if stretch.sureness < self.sure_enough:
            self._ask(decision, seen.span, stretch.sureness, hears, said)
            return found
        claim = _claim(stretch, seen, line, text, answered)
        if not _has_room(claim):
            why = f"the machine now runs {seen.text!r} together with other words: {_whole_lines(stretch)!r}"
            self._ask(decision, seen.span, stretch.sureness, why, said)
            return found
        if text is None and INAUDIBLE not in claim.flags and bare(stretch.text) != bare(seen.text):
            # A person let other words stand, so these are new to them; who speaks there is known all the same.
            self._ask(decision, seen.span, stretch.sureness, hears, said)
            if answered is not None or (line and line.speaker != seen.speaker):
                self.claims.append(Claim(stretch, names_speaker=True, speaker=claim.speaker, lets_stand=False))
            return found
        self._take(decision, claim, seen.span, said)
        return found

    def _new(self, decision: ReviewDecision, given: Line, matched: set[str]) -> None:
        """Take in a line that only the reviewer heard, or that the machine hears too by now."""
        if self._superseded(decision, given.span):
            return
        line, said = self._with_known_speaker(decision, given, None), f"“{given.text}” was added"
        fresh = [s for s in self.segments.values() if s.id not in matched and decision.span.holds(s.span.middle)]
        stretch = carry.find(line.span, (line.text,), fresh)
        if stretch and stretch.sureness >= self.sure_enough:
            claim = Claim(stretch, line.text, line.speaker is not None, line.speaker, line.flags)
            if _has_room(claim):
                self._take(decision, claim, line.span, said)
                return
        # Half of the shorter one: it is the same sound, heard as something else.
        if stretch and stretch.span.overlap(line.span) > min(stretch.span.seconds, line.span.seconds) / 2:
            why = f"the machine now hears {_whole_lines(stretch)!r} where the reviewer added {line.text!r}"
            self._ask(decision, line.span, stretch.sureness, why, said)
            return
        self.added.append(line)
        self._tell(decision, line.span, "applied", 1.0)

    def _answered(
        self,
        decision: ReviewDecision,
        name: str,
        value: str,
        asked: Asked | None,
        speakers: set[str],
        reworded: set[str],
    ) -> None:
        """Take in an answer to a question about words; one about who speaks counts with its line."""
        if asked is None:
            if self._superseded(decision, decision.span):
                return
            why = f"its answer {value!r} is to a question that is not asked any more ({name})"
            self._ask(decision, decision.span, 0.0, why, f"a question was answered “{value}”")
            return
        said = f"“{asked.heard}” was answered “{value}”"
        settled = speakers if asked.kind == "speaker" else reworded
        if asked.segment in settled:
            return
        if self._superseded(decision, asked.span):
            return
        stretch = self._doubted(asked) if asked.kind == "text" else None
        if stretch is not None:
            self._take(decision, Claim(stretch, punctuated(value, stretch.text), lets_stand=False), asked.span, said)
        elif asked.kind == "text" and (there := carry.find_words(value, asked.span, self.segments.values())):
            self._tell(decision, asked.span, "carried", there.sureness)  # The machine says so itself by now.
        elif asked.kind == "speaker":
            why = f"its answer {value!r} names nobody of the bible, or a line that it did not show"
            self._ask(decision, asked.span, 0.0, why, f"who speaks was answered “{value}”")
        else:
            why = f"the machine no longer hears {asked.heard!r}, which was answered {value!r}"
            self._ask(decision, asked.span, 0.0, why, said)

    def _doubted(self, asked: Asked) -> Stretch | None:
        doubt = self.doubts.get(asked.doubt)
        if doubt is not None and bare(doubt.heard) == bare(asked.heard):
            segment = self.segments.get(doubt.segment)
            if segment is not None and doubt.last_word < len(segment.words):
                return Stretch((Piece(segment, doubt.first_word, doubt.last_word + 1),), 1.0, same=True)
        return carry.find_words(asked.heard, asked.span, self.segments.values())

    def _take(self, decision: ReviewDecision, claim: Claim, where: Span, said: str) -> None:
        """Claim words, unless a newer answer or another line of this one has them."""
        if claim.text is not None:
            pieces = claim.stretch.pieces
            rival = next(
                (by for other, by in self.taken if any(lines.overlaps(other, piece) for piece in pieces)), None
            )
            if rival is decision:
                self._ask(
                    decision, where, claim.stretch.sureness, f"two answers are to {claim.stretch.text!r} now", said
                )
                return
            if rival is not None:
                self.parts.append(_lost(decision, rival, where))
                return
            self.taken += [(piece, decision) for piece in pieces]
        self.claims.append(claim)
        self._tell(decision, where, "applied" if claim.stretch.same else "carried", claim.stretch.sureness)

    def _superseded(self, decision: ReviewDecision, where: Span) -> bool:
        middle, clip = where.middle, decision.clip
        winner = next(
            (by for by in self.newer if by.span.holds(middle) or (by.clip == clip and by.span == decision.span)), None
        )
        if winner is not None:
            self.parts.append(_lost(decision, winner, where))
        return winner is not None

    def _tell(self, decision: ReviewDecision, where: Span, state: State, sureness: float) -> None:
        self.parts.append(Part(decision, state, where, sureness))

    def _ask(self, decision: ReviewDecision, where: Span, sureness: float, why: str, said: str) -> None:
        self.parts.append(Part(decision, "queued again", where, sureness, why, said))

    def _with_known_speaker(self, decision: ReviewDecision, line: Line, seen: Line | None) -> Line:
        if line.speaker is None or line.speaker in self.names:
            return line
        if seen is None or seen.speaker != line.speaker:
            why = f"it gives a line to {line.speaker!r}, who is not in the bible ({line.text!r})"
            self._ask(decision, line.span, 0.0, why, f"“{line.text}” was said by {line.speaker}")
        return line.model_copy(update={"speaker": seen.speaker if seen and seen.speaker != line.speaker else None})


def in_words(seen: Line, line: Line | None, answered: str | None, names: Mapping[str, str]) -> str:
    """What a reviewer made of a line: `line` is what they left of it, `answered` who they said speaks it."""
    if (text := edited(seen, line)) == "" or line is None:
        return f"“{seen.text}” was taken out"
    said = f"“{seen.text}” was let stand" if text is None else f"“{seen.text}” was changed to “{text}”"
    who = line.speaker if line.speaker != seen.speaker else answered
    if who is not None and who != UNKNOWN:
        said += f", said by {names.get(who, who)}"
    return f"{said} ({', '.join(line.flags)})" if line.flags else said


def edited(seen: Line, line: Line | None) -> str | None:
    """The new text of a line, "" where it was taken out, None where its text was let stand."""
    if line is None or not line.text.strip() or NOT_SPEECH in line.flags:
        return ""
    return None if plain(line.text) == plain(seen.text) else plain(line.text)


def _texts(seen: Line, line: Line | None) -> tuple[str, ...]:
    """What the machine may say where nothing has changed for the reviewer: what they saw, or what they wrote."""
    return (plain(seen.text), plain(line.text)) if line else (plain(seen.text),)


def _claim(stretch: Stretch, seen: Line, line: Line | None, text: str | None, answered: str | None) -> Claim:
    if line is None or text == "":
        return Claim(stretch, "", lets_stand=False)
    # What a person saw and let stand is theirs; where they saw nobody named, the machine may know by now.
    names, speaker = seen.speaker is not None, seen.speaker
    if line.speaker != seen.speaker:
        names, speaker = True, line.speaker
    elif answered is not None:
        names, speaker = True, None if answered == UNKNOWN else answered
    still = line.span == seen.span
    moved = (0.0, 0.0) if still else (line.span.start - seen.span.start, line.span.end - seen.span.end)
    return Claim(stretch, text, names, speaker, line.flags, moved)


def _whole_lines(stretch: Stretch) -> str:
    return " ".join(piece.segment.text for piece in stretch.pieces)


def _has_room(claim: Claim) -> bool:
    """Whether the claim can be put into the machine's lines as they are cut: speakers and flags are of whole lines."""
    partial = [piece for piece in claim.stretch.pieces if not piece.whole]
    flagged = {INAUDIBLE, OVERLAP} & set(claim.flags)
    if claim.moved != (0.0, 0.0) and (partial or len(claim.stretch.pieces) > 1):
        return False
    return not partial or not (
        flagged or (claim.names_speaker and any(piece.segment.speaker != claim.speaker for piece in partial))
    )


def _lost(decision: ReviewDecision, winner: ReviewDecision, where: Span) -> Part:
    why = f"it is older; the answer by {winner.by} at {winner.at:%Y-%m-%d %H:%M:%S} counts"
    return Part(decision, "superseded", where, None, why, winner=winner)
