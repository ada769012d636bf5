"""An episode's dialogue as reviewers left it: what is claimed of the machine's lines, put into them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pipeline.review.accounts import Part
from pipeline.review.carry import Piece, Stretch
from pipeline.schemas.captions import Line
from pipeline.schemas.timeline import Segment, Shot, Span, Word
from pipeline.schemas.wording import retimed

NOT_SPEECH, INAUDIBLE, OVERLAP = "not speech", "inaudible", "overlap"
"""The flags of a line in labeling_configs/transcript.xml that mean something here."""

INAUDIBLE_TEXT = "[inaudible]"

MARKS = "\"'“”‘’([{.,;:!?…-–—"
"""What may stand around words and is no part of them."""

DOUBTED_MARKS = frozenset({"hallucination", "loop", "no-speech"})
"""Marks of lines that perhaps nobody speaks: they count only where a person has seen them and left them in."""


@dataclass(slots=True)
class Dialogue:
    """An episode's lines as they stand, and what reviewers did to them.

    `segments` by id; the sets hold lines' ids: `seen` by a reviewer who let them stand, `touched` not the machine's
    any more (changed, gone or inaudible), `renamed` given to another speaker. `added` are the lines that only a
    reviewer heard; `parts` tells of every answer what became of it.
    """

    segments: dict[str, Segment]
    seen: set[str] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)
    renamed: set[str] = field(default_factory=set)
    added: list[str] = field(default_factory=list)
    inaudible: set[str] = field(default_factory=set)
    parts: list[Part] = field(default_factory=list)
    _spoken: list[tuple[Span, Segment]] | None = field(default=None, repr=False, compare=False)

    def spoken(self) -> list[Segment]:
        """The lines that somebody says, in order of time."""
        return [line for _, line in self._timed()]

    def _timed(self) -> list[tuple[Span, Segment]]:
        if self._spoken is None:  # Every clip asks for them.
            lines = [s for s in self.segments.values() if s.id in self.seen or DOUBTED_MARKS.isdisjoint(s.marks)]
            self._spoken = sorted(((s.span, s) for s in lines), key=lambda timed: (timed[0].start, timed[1].id))
        return self._spoken

    def changed(self) -> None:
        """Must be said after `segments` or `seen` changed."""
        self._spoken = None

    def heard_in(self, clip: Span) -> list[Segment]:
        """The lines of which a word lies in `clip`, without those that nobody can understand."""
        return [
            line
            for span, line in self._timed()
            if span.start < clip.end
            and clip.start < span.end
            and line.id not in self.inaudible
            and any(clip.holds(word.span.middle) for word in line.words)
        ]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a reviewer wants of the words of `stretch`.

    `text` takes their place ("" takes them out, None lets them stand). `speaker` is who says them (None nobody known),
    where `names_speaker`. `moved` are the seconds that the reviewer moved the line's start and end by.
    """

    stretch: Stretch
    text: str | None = None
    names_speaker: bool = False
    speaker: str | None = None
    flags: tuple[str, ...] = ()
    moved: tuple[float, float] = (0.0, 0.0)
    lets_stand: bool = True


def settle(dialogue: Dialogue, claims: Sequence[Claim]) -> None:
    """Put `claims`, the oldest first, into the dialogue; those that reword a line do not overlap."""
    ours: dict[str, list[tuple[Claim, int]]] = {}
    for claim in claims:
        for number, piece in enumerate(claim.stretch.pieces):
            ours.setdefault(piece.segment.id, []).append((claim, number))
    for name, its in ours.items():
        _settle(dialogue, dialogue.segments[name], its)
    dialogue.changed()


def add(dialogue: Dialogue, episode: str, line: Line, shots: Sequence[Shot]) -> None:
    """Put a line that only a reviewer heard into the dialogue."""
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
    dialogue.changed()
    if not audible:
        dialogue.inaudible.add(name)


def plain(text: str) -> str:
    """`text` without the white space that an editor may add or take away."""
    return " ".join(text.split())


def punctuated(value: str, heard: str) -> str:
    """`value` between the marks that stood around what was heard, unless it brings its own."""
    core = heard.strip(MARKS)
    if not core:
        return value
    lead, _, tail = heard.partition(core)
    return ("" if value.startswith(lead) else lead) + value + ("" if value.endswith(tail) else tail)


def _settle(dialogue: Dialogue, segment: Segment, claims: Sequence[tuple[Claim, int]]) -> None:
    tokens: list[str] = [word.text for word in segment.words]
    speaker, marks, audible = segment.speaker, segment.marks, True
    start, end = segment.span.start, segment.span.end
    for claim, number in claims:
        piece = claim.stretch.pieces[number]
        if claim.lets_stand:
            dialogue.seen.add(segment.id)
        if claim.text is not None:
            # The first token carries the new words, so that the positions of the others stay.
            text = _share(claim.text, claim.stretch, number)
            tokens[piece.first : piece.last] = [text, *[""] * (piece.last - piece.first - 1)]
        if claim.names_speaker:
            speaker = claim.speaker
        if INAUDIBLE in claim.flags:
            audible = False
        if OVERLAP in claim.flags and "overlap" not in marks:
            marks = (*marks, "overlap")
        start, end = start + claim.moved[0], end + claim.moved[1]
    # Adding and taking away zero would still round; and ends that were moved apart from each other leave no room.
    moved = any(claim.moved != (0.0, 0.0) for claim, _ in claims) and end > max(0.0, start)
    span = Span(start=max(0.0, start), end=end) if moved else segment.span
    if not audible:
        words: tuple[Word, ...] = (Word(text=INAUDIBLE_TEXT, span=segment.span, probability=1.0),)
        dialogue.inaudible.add(segment.id)
    else:
        words = retimed(plain(" ".join(tokens)), segment.words, span)
    if speaker != segment.speaker:
        dialogue.renamed.add(segment.id)
    if (words, speaker) != (segment.words, segment.speaker):
        dialogue.touched.add(segment.id)
    if words:
        new = segment.model_copy(update={"words": words, "speaker": speaker, "marks": marks})
        dialogue.segments[segment.id] = new
    else:
        del dialogue.segments[segment.id]


def _share(text: str, stretch: Stretch, number: int) -> str:
    """The part of `text`, a new wording of the whole stretch, that falls to one of its pieces, by time."""
    if len(stretch.pieces) == 1 or not text:
        return text
    starts = [piece.words[0].span.start for piece in stretch.pieces]
    words = retimed(text, stretch.words, stretch.span)

    def owner(word: Word) -> int:
        return max((n for n, start in enumerate(starts) if start <= word.span.middle), default=0)

    return " ".join(word.text for word in words if owner(word) == number)


def overlaps(piece: Piece, other: Piece) -> bool:
    """Whether two pieces have a word in common."""
    return piece.segment is other.segment and piece.first < other.last and other.first < piece.last
