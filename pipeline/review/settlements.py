"""What people settled: doubts that they answered, or whose words or speaker they corrected by hand. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import SequenceMatcher

from pipeline.review import corrections
from pipeline.review.accounts import age
from pipeline.review.claims import edited
from pipeline.review.lines import plain
from pipeline.review.verdicts import skipped
from pipeline.schemas.captions import Asked, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Doubt, SettledTranscript
from pipeline.schemas.wording import bare

Class = tuple[str, str, str]
"""What one answer settles: the kind of doubt, the words heard (bare; none for a voice), the context or the voice."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """A doubt that a person settled. `place` is the episode and the second of it; `heard` and `value` as written."""

    of: Class
    heard: str
    value: str
    by: str
    at: datetime
    key: str
    place: tuple[str, float]


def settlements(
    transcripts: Mapping[str, SettledTranscript],
    decisions: Sequence[ReviewDecision],
    voices: Mapping[str, str] | None = None,
) -> Iterator[Settlement]:
    """Every doubt that somebody settled, by an answer or by hand; of each person's answers to one place the newest."""
    doubts = {episode: {doubt.id: doubt for doubt in transcript.doubts} for episode, transcript in transcripts.items()}
    of_line: dict[tuple[str, str], list[Doubt]] = {}
    for episode, its in doubts.items():
        for doubt in its.values():
            of_line.setdefault((episode, doubt.segment), []).append(doubt)
    latest: dict[tuple[str, str, str], Settlement] = {}
    for decision in sorted(decisions, key=age):
        answer = decision.answer
        if not isinstance(answer, TranscriptAnswer) or skipped(decision):
            continue
        questions = corrections.questions(decision, doubts.get(decision.episode, {}))
        for line in answer.seen:
            for doubt in of_line.get((decision.episode, line.id), ()):
                questions.setdefault(doubt.id, _asked(doubt))
        for asked in questions.values():
            value = _settled(answer, asked)
            if value is None:
                continue
            now = doubts.get(decision.episode, {}).get(asked.doubt)
            context = asked.context or (now.context if now and bare(now.heard) == bare(asked.heard) else "")
            of = class_of(asked.kind, asked.heard, context, asked.segment, voices or {})
            where = (decision.episode, asked.span.start)
            made = Settlement(of, asked.heard, value, decision.by, decision.at, decision.key, where)
            latest[decision.episode, asked.doubt, decision.by] = made
    yield from latest.values()


def class_of(kind: str, heard: str, context: str, segment: str, voices: Mapping[str, str]) -> Class:
    """Which doubts are the same: a voice's are, whatever it says."""
    if kind == "speaker":
        return (kind, "", f"voice {voices[segment]}" if segment in voices else context)
    return (kind, bare(heard), context)


def _settled(answer: TranscriptAnswer, asked: Asked) -> str | None:
    """What a person said of a doubt: an edit by hand goes before the answer that was picked; None where nothing."""
    seen = next((line for line in answer.seen if line.id == asked.segment), None)
    line = next((line for line in answer.lines if line.id == asked.segment), None)
    picked = answer.answers.get(asked.doubt)
    if asked.kind == "speaker":
        named = line.speaker if seen and line and line.speaker != seen.speaker else picked
        return None if named == UNKNOWN else named
    by_hand = edited(seen, line) if seen else None
    if seen is None or by_hand is None:
        return picked
    return _in_place_of(asked.heard, plain(seen.text), by_hand)


def _in_place_of(heard: str, before: str, after: str) -> str | None:
    """The words that somebody put where `heard` stood; None where they stand still or more was rewritten with them."""
    old, new = before.split(), after.split()
    place = corrections.find(heard, old)
    if place is None:
        return None
    matcher = SequenceMatcher(a=[bare(word) for word in old], b=[bare(word) for word in new], autojunk=False)
    for tag, i, i_end, j, j_end in matcher.get_opcodes():
        if tag == "replace" and i <= place[0] and place[1] <= i_end:
            if i_end - i == j_end - j:
                return " ".join(new[j + place[0] - i : j + place[1] - i])
            if (i, i_end) == place:
                return " ".join(new[j:j_end])
    return None


def _asked(doubt: Doubt) -> Asked:
    return Asked(
        doubt=doubt.id,
        kind=doubt.kind,
        segment=doubt.segment,
        span=doubt.span,
        heard=doubt.heard,
        context=doubt.context,
    )
