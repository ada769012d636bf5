"""Fix once: what people settled in one place, suggested wherever the machine has the same doubt. Pure.

Doubts are the same where the same words were heard in the same kind of place (`Doubt.context`), or where one voice
speaks. A suggestion is only for places that nobody has answered: it never touches what a person has said of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.engine import fingerprint
from pipeline.review import desk
from pipeline.review.lines import MARKS, punctuated
from pipeline.review.panels import clock
from pipeline.review.settlements import Class, Settlement, class_of, settlements
from pipeline.review.verdicts import kind_of, skipped
from pipeline.schemas.captions import ReviewDecision
from pipeline.schemas.edits import BatchEdit, EditPlace, Origin
from pipeline.schemas.story import UNKNOWN, Doubt, SettledTranscript
from pipeline.schemas.timeline import Segment
from pipeline.schemas.voices import Voices
from pipeline.schemas.wording import bare


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


def voices_of(voices: Voices | None) -> dict[str, str]:
    """The voice of each line, by the line's id; none for those that are not said in one voice alone."""
    lines = [line for its in voices.lines.values() for line in its] if voices else []
    return {line.segment: line.voice for line in lines if line.voice is not None and not line.overlap}


def by_episode(groups: Sequence[Group]) -> dict[str, tuple[Suggestion, ...]]:
    """The suggestions of each episode that has some."""
    found: dict[str, tuple[Suggestion, ...]] = {}
    for suggestion in (each for group in groups for each in group.suggestions):
        episode = suggestion.place.episode
        found[episode] = (*found.get(episode, ()), suggestion)
    return found


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


def _core(text: str) -> str:
    return text.strip(MARKS) or text
