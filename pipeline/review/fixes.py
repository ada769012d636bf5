"""Fix once: what people settled in one place, suggested wherever the machine has the same doubt. Pure.

Doubts are the same where the same words were heard in the same kind of place (`Doubt.context`), or where one voice
speaks. A suggestion is only for places that nobody has answered: it never touches what a person has said of them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.engine import fingerprint
from pipeline.review import corrections, desk
from pipeline.review.accounts import age
from pipeline.review.claims import edited
from pipeline.review.lines import MARKS, plain, punctuated
from pipeline.review.panels import clock
from pipeline.review.verdicts import kind_of, skipped
from pipeline.schemas.captions import Asked, ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit, EditPlace, Origin
from pipeline.schemas.story import UNKNOWN, Doubt, SettledTranscript
from pipeline.schemas.timeline import Segment
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


@dataclass(frozen=True, slots=True)
class Suggestion:
    """An answer for one place: what `doubt` asks would be answered with `value`."""

    doubt: Doubt
    value: str
    place: EditPlace
    group: str
    said: str


@dataclass(frozen=True, slots=True)
class Group:
    """The same answer for all places that have the same doubt. `said` tells in words who gave it, and who another."""

    id: str
    of: Class
    heard: str
    value: str
    origin: Origin
    said: str
    suggestions: tuple[Suggestion, ...]


def suggestions(
    transcripts: Mapping[str, SettledTranscript],
    decisions: Sequence[ReviewDecision],
    log: Sequence[BatchEdit] = (),
    voices: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
) -> list[Group]:
    """What may be fixed at once, the most places first. `transcripts` by episode; `voices` names the voice of a line
    (by its id) wherever it is in the show, `names` are those of the bible's characters, by id.

    Where people disagree, what most of the places say counts, and of as many the newest.
    """
    voices, names = voices or {}, names or {}
    found: dict[Class, list[Settlement]] = {}
    for settlement in settlements(transcripts, decisions, voices):
        found.setdefault(settlement.of, []).append(settlement)
    if not found:
        return []
    seen = _Seen(decisions, desk.standing(log))
    groups: dict[Class, tuple[Settlement, str, str, list[Suggestion]]] = {}
    for episode, transcript in sorted(transcripts.items()):
        lines = {segment.id: segment for segment in transcript.segments}
        for doubt in transcript.doubts:
            of = class_of(doubt.kind, doubt.heard, doubt.context, doubt.segment, voices)
            if of not in found or doubt.segment not in lines:
                continue
            if of not in groups:
                chosen, said = _chosen(found[of], names)
                groups[of] = (chosen, said, fingerprint.of_value("fix", [*of, bare(chosen.value)])[:12], [])
            chosen, said, id_, places = groups[of]
            place, value = _place(episode, lines[doubt.segment], doubt, chosen.value)
            if not seen.has(place, id_):
                places.append(Suggestion(doubt, value, place, id_, said))
    made = [
        Group(id_, of, chosen.heard, _core(chosen.value), _origin(chosen), said, tuple(places))
        for of, (chosen, said, id_, places) in groups.items()
        if places
    ]
    return sorted(made, key=lambda group: (-len(group.suggestions), group.heard, group.id))


def by_episode(groups: Sequence[Group]) -> dict[str, tuple[Suggestion, ...]]:
    """The suggestions of each episode that has some."""
    found: dict[str, tuple[Suggestion, ...]] = {}
    for suggestion in (each for group in groups for each in group.suggestions):
        episode = suggestion.place.episode
        found[episode] = (*found.get(episode, ()), suggestion)
    return found


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


class _Seen:
    """Which places people have dealt with: by an answer, by a batch edit, or by refusing the suggestion."""

    def __init__(self, decisions: Sequence[ReviewDecision], log: Sequence[BatchEdit]) -> None:
        self._answered: dict[str, list[ReviewDecision]] = {}
        for decision in decisions:
            if kind_of(decision) == "transcript" and not skipped(decision):
                self._answered.setdefault(decision.episode, []).append(decision)
        self._edited: dict[tuple[str, str], list[EditPlace]] = {}
        self._refused: dict[tuple[str, str], list[EditPlace]] = {}
        self._whole = {entry.group for entry in log if entry.what == "refusal" and entry.whole}
        for entry in log:
            found = self._refused if entry.what == "refusal" else self._edited
            for place in entry.places:
                found.setdefault((place.episode, place.about), []).append(place)

    def has(self, place: EditPlace, group: str) -> bool:
        where, middle = (place.episode, place.about), place.span.middle
        return (
            group in self._whole
            or any(decision.span.holds(middle) for decision in self._answered.get(place.episode, ()))
            or any(other.span.overlap(place.span) for other in self._edited.get(where, ()))
            or any(
                other.span.overlap(place.span) and bare(other.after) == bare(place.after)
                for other in self._refused.get(where, ())
            )
        )


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
    from difflib import SequenceMatcher

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


def _chosen(found: Sequence[Settlement], names: Mapping[str, str]) -> tuple[Settlement, str]:
    """The answer that counts where people disagree, and in words who gave it."""
    votes: dict[str, list[Settlement]] = {}
    for each in found:
        votes.setdefault(bare(each.value), []).append(each)
    ranked = sorted(votes.values(), key=lambda its: (len(its), max(each.at for each in its)), reverse=True)
    chosen = max(ranked[0], key=lambda each: (each.at, each.key, each.by))
    episode, second = chosen.place
    value = names.get(chosen.value, chosen.value) if chosen.of[0] == "speaker" else _core(chosen.value)
    where = f"at {episode} {clock(second).partition('.')[0]}"
    if chosen.of[0] == "speaker":
        said = f"{chosen.by} said that {value} speaks {where}"
    elif bare(chosen.value) == bare(chosen.heard):
        said = f"{chosen.by} let “{_core(chosen.heard)}” stand {where}"
    else:
        said = f"{chosen.by} corrected “{_core(chosen.heard)}” to “{value}” {where}"
    for its in ranked[1:]:
        other = names.get(its[0].value, its[0].value) if chosen.of[0] == "speaker" else _core(its[0].value)
        people = ", ".join(sorted({each.by for each in its}))
        said += f"; but {len(its)} of {len(found)} answers ({people}) said “{other}”"
    return chosen, said


def _place(episode: str, line: Segment, doubt: Doubt, value: str) -> tuple[EditPlace, str]:
    """Where the answer would go, and the answer as the doubt there words it."""
    if doubt.kind == "speaker":
        before, after = line.speaker or UNKNOWN, value
    else:
        before = " ".join(word.text for word in line.words[doubt.first_word : doubt.last_word + 1])
        value = _worded(doubt, before, value)
        after = punctuated(value, before)
    place = EditPlace(
        about=doubt.kind,
        episode=episode,
        span=doubt.span,
        segment=line.id,
        line=line.text,
        first_word=doubt.first_word,
        before=before,
        after=after,
    )
    return place, value


def _worded(doubt: Doubt, heard: str, value: str) -> str:
    """`value` as this doubt words it: as heard, or as one of its own candidates."""
    if bare(value) == bare(heard):
        return heard
    ranked = sorted(doubt.candidates, key=lambda candidate: (-candidate.score, candidate.value))
    own = next((candidate.value for candidate in ranked if bare(candidate.value) == bare(value)), None)
    return own or _core(value)


def _origin(chosen: Settlement) -> Origin:
    episode, second = chosen.place
    return Origin(key=chosen.key, by=chosen.by, at=chosen.at, episode=episode, seconds=second)


def _asked(doubt: Doubt) -> Asked:
    return Asked(
        doubt=doubt.id,
        kind=doubt.kind,
        segment=doubt.segment,
        span=doubt.span,
        heard=doubt.heard,
        context=doubt.context,
    )


def _core(text: str) -> str:
    return text.strip(MARKS) or text
