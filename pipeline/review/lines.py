"""What reviewers made of the dialogue: their answers put into the machine's lines. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.schemas.captions import Line, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Doubt
from pipeline.schemas.timeline import Segment, Shot, Span, Word
from pipeline.schemas.wording import retimed

NOT_SPEECH, INAUDIBLE, OVERLAP = "not speech", "inaudible", "overlap"
"""The flags of a line in labeling_configs/transcript.xml that mean something here."""

INAUDIBLE_TEXT = "[inaudible]"

DOUBTED_MARKS = frozenset({"hallucination", "loop", "no-speech"})
"""Marks of lines that perhaps nobody speaks: they count only where a person has seen them and left them in."""


@dataclass(slots=True)
class Dialogue:
    """An episode's lines as they stand, and what reviewers did to them.

    `segments` by id; the sets hold lines' ids: `seen` by a reviewer who let them stand, `touched` not the machine's
    any more (changed, gone or inaudible), `renamed` given to another speaker. `added` are the lines that only a
    reviewer heard, `unapplied` single answers that found no use.
    """

    segments: dict[str, Segment]
    seen: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    renamed: set[str] = field(default_factory=set)
    added: list[str] = field(default_factory=list)
    inaudible: set[str] = field(default_factory=set)
    unapplied: list[str] = field(default_factory=list)

    def spoken(self) -> list[Segment]:
        """The lines that somebody says, in order of time."""
        lines = [s for s in self.segments.values() if s.id in self.seen or DOUBTED_MARKS.isdisjoint(s.marks)]
        return sorted(lines, key=lambda segment: (segment.span.start, segment.id))

    def heard_in(self, clip: Span) -> list[Segment]:
        """The lines of which a word lies in `clip`, without those that nobody can understand."""
        return [
            line
            for line in self.spoken()
            if line.id not in self.inaudible and any(clip.holds(word.span.middle) for word in line.words)
        ]


def fits(answer: TranscriptAnswer, segments: Mapping[str, Segment]) -> str:
    """ "" where the machine's lines still say what the reviewer saw (or already what they wrote), else what differs."""
    left = {line.id: line.text for line in answer.lines}
    for line in answer.seen:
        now = segments.get(line.id)
        if now is None:
            return f"the machine has no line {line.id} any more ({line.text!r})"
        if plain(now.text) not in (plain(line.text), plain(left.get(line.id, line.text))):
            return f"the machine now hears {now.text!r} where the reviewer saw {line.text!r}"
    return ""


def correct(
    episode: str,
    segments: Sequence[Segment],
    doubts: Sequence[Doubt],
    shots: Sequence[Shot],
    speakers: frozenset[str],
    answers: Sequence[ReviewDecision],
) -> Dialogue:
    """The lines with `answers` (transcript answers that fit, oldest first) put into them.

    An edited text wins, else the chosen candidate of an answered doubt, else the machine's text. `speakers` are the
    ids of the bible's characters.
    """
    dialogue = Dialogue({segment.id: segment for segment in segments})
    chosen = _chosen(answers, {doubt.id: doubt for doubt in doubts}, dialogue)
    for decision in answers:
        assert isinstance(decision.answer, TranscriptAnswer)
        seen = {line.id: line for line in decision.answer.seen}
        for given in decision.answer.lines:
            line = _with_known_speaker(given, seen.get(given.id), speakers, decision, dialogue)
            if line.id in seen:
                _change(dialogue, line, seen[line.id], chosen.get(line.id, ()))
            elif line.text.strip() and NOT_SPEECH not in line.flags:
                _add(dialogue, episode, line, shots)
        for gone in seen.keys() - {line.id for line in decision.answer.lines}:
            _remove(dialogue, gone)
    return dialogue


def _change(dialogue: Dialogue, line: Line, seen: Line, chosen: Sequence[tuple[Doubt, str]]) -> None:
    now = dialogue.segments.get(line.id)
    if now is None:  # Taken out by another answer that saw the same line; who only looked brings nothing back.
        return
    if not line.text.strip() or NOT_SPEECH in line.flags:
        _remove(dialogue, line.id)
        return
    dialogue.seen.add(line.id)
    # Where another answer corrected the line before, of this one only its own corrections count.
    corrected = line.id in dialogue.touched
    chosen = () if corrected else chosen
    new = now
    if INAUDIBLE in line.flags:
        new = new.model_copy(update={"words": (Word(text=INAUDIBLE_TEXT, span=now.span, probability=1.0),)})
        dialogue.inaudible.add(line.id)
    else:
        words = retimed(_text(line, seen, now, chosen), now.words, _span(line, seen, now))
        new = new.model_copy(update={"words": words})
    if OVERLAP in line.flags and "overlap" not in new.marks:
        new = new.model_copy(update={"marks": (*new.marks, "overlap")})
    new = new.model_copy(update={"speaker": _speaker(line, seen, now, chosen, corrected)})
    if new.speaker != now.speaker:
        dialogue.renamed.add(line.id)
    if (new.words, new.speaker) != (now.words, now.speaker):
        dialogue.touched.add(line.id)
    dialogue.segments[line.id] = new


def _text(line: Line, seen: Line, now: Segment, chosen: Sequence[tuple[Doubt, str]]) -> str:
    if plain(line.text) != plain(seen.text):
        return plain(line.text)
    words = [word.text for word in now.words]
    # From the last to the first, because an answer may have more words or fewer than what it replaces.
    for doubt, value in sorted(chosen, key=lambda pair: pair[0].first_word, reverse=True):
        if doubt.kind == "text" and doubt.last_word < len(words):
            heard = " ".join(words[doubt.first_word : doubt.last_word + 1])
            words[doubt.first_word : doubt.last_word + 1] = [_punctuated(value, heard)]
    return " ".join(words)


def _span(line: Line, seen: Line, now: Segment) -> Span:
    """Where the line lies now; its ends move by as much as the reviewer moved what was shown of it in the clip."""
    start = max(0.0, now.span.start + line.span.start - seen.span.start)
    end = now.span.end + line.span.end - seen.span.end
    # Adding and taking away zero would still round; and a line moved by two answers may end up with no room.
    return now.span if line.span == seen.span or end <= start else Span(start=start, end=end)


def _speaker(line: Line, seen: Line, now: Segment, chosen: Sequence[tuple[Doubt, str]], corrected: bool) -> str | None:
    if line.speaker != seen.speaker:
        return line.speaker
    if corrected:
        return now.speaker
    for doubt, value in chosen:
        if doubt.kind == "speaker":
            return None if value == UNKNOWN else value
    # What a person saw and let stand is theirs; where they saw nobody named, the machine may know by now.
    return now.speaker if seen.speaker is None else seen.speaker


def _punctuated(value: str, heard: str) -> str:
    """`value` between the marks that stood around what was heard, unless it brings its own."""
    core = heard.strip("\"'“”‘’([{.,;:!?…-–—")
    if not core:
        return value
    lead, _, tail = heard.partition(core)
    return ("" if value.startswith(lead) else lead) + value + ("" if value.endswith(tail) else tail)


def _add(dialogue: Dialogue, episode: str, line: Line, shots: Sequence[Shot]) -> None:
    start_ms = round(line.span.start * 1000)
    while (name := f"{episode}@{start_ms:07d}") in dialogue.segments:
        start_ms += 1
    # Speech before the first shot or after the last one is theirs.
    shot = next((shot.index for shot in reversed(shots) if shot.span.start <= line.span.middle), shots[0].index)
    audible = INAUDIBLE not in line.flags
    words = retimed(line.text if audible else INAUDIBLE_TEXT, (), line.span)
    marks = ("overlap",) if OVERLAP in line.flags else ()
    dialogue.segments[name] = Segment(id=name, shot=shot, words=words, speaker=line.speaker, marks=marks)
    dialogue.seen.add(name)
    dialogue.added.append(name)
    if not audible:
        dialogue.inaudible.add(name)


def _remove(dialogue: Dialogue, line: str) -> None:
    dialogue.segments.pop(line, None)
    dialogue.touched.add(line)


def _chosen(
    answers: Sequence[ReviewDecision], doubts: Mapping[str, Doubt], dialogue: Dialogue
) -> dict[str, list[tuple[Doubt, str]]]:
    """The answered doubts of each line; of two answers to one doubt the newer counts."""
    values: dict[str, str] = {}
    for decision in answers:
        assert isinstance(decision.answer, TranscriptAnswer)
        for name, value in sorted(decision.answer.answers.items()):
            values[name] = value
            if name not in doubts:
                why = f"its answer {value!r} is to a question that is not asked any more ({name})"
                dialogue.unapplied.append(signed(decision, why))
    found: dict[str, list[tuple[Doubt, str]]] = {}
    for name in sorted(values.keys() & doubts.keys()):
        found.setdefault(doubts[name].segment, []).append((doubts[name], values[name]))
    return found


def _with_known_speaker(
    line: Line, seen: Line | None, speakers: frozenset[str], decision: ReviewDecision, dialogue: Dialogue
) -> Line:
    if line.speaker is None or line.speaker in speakers:
        return line
    if seen is None or seen.speaker != line.speaker:
        dialogue.unapplied.append(
            signed(decision, f"it gives a line to {line.speaker!r}, who is not in the bible ({line.text!r})")
        )
    return line.model_copy(update={"speaker": seen.speaker if seen and seen.speaker != line.speaker else None})


def signed(decision: ReviewDecision, why: str) -> str:
    """One line for people about a decision, or a part of one, that is not applied."""
    return f"{decision.key} by {decision.by} at {decision.at:%Y-%m-%d %H:%M:%S}: {why}"


def plain(text: str) -> str:
    """`text` without the white space that an editor may add or take away."""
    return " ".join(text.split())
