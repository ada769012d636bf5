"""Where a scene plays, as far as its dialogue tells.

A place that is only talked about is not where people are: it counts if a scene opens with its name ("Lantern Street,
ten past midnight."), if somebody says that it is here, or if the scene before ended by sending people there.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.models.lexicon import core, normal
from pipeline.schemas.story import Place
from pipeline.schemas.timeline import Scene, Segment

OPENING_LINES = 2
CLOSING_LINES = 3
HERE, OPENS, SENT = 3.0, 2.0, 1.0
"""Points; the place with most is taken if it leads by one."""
_HERE = frozenset({"here", "welcome"})
_ELSEWHERE = frozenset({"address", "lives", "live", "lived", "from", "later", "tomorrow", "yesterday", "far", "back"})
_TOWARDS = frozenset({"in", "into", "to", "inside", "at"})


@dataclass(frozen=True, slots=True)
class Spoken:
    """A place's name in a segment: words `first` up to `end`; `whole` if it is all of the name or a mishearing."""

    place: str
    segment: int
    first: int
    end: int
    whole: bool


def by_scene(scenes: Sequence[Scene], segments: Sequence[Segment]) -> list[list[Segment]]:
    """The segments of each scene: a line belongs where its middle lies, and the last scene has what follows it."""
    found: list[list[Segment]] = [[] for _ in scenes]
    for segment in segments:
        for index, scene in enumerate(scenes):
            if segment.span.middle < scene.span.end or index == len(scenes) - 1:
                found[index].append(segment)
                break
    return found


def place(scene: Sequence[Segment], before: Sequence[Segment], places: Sequence[Place]) -> tuple[str | None, str]:
    """The id of the place where `scene` plays and why, or None and why not; `before` is the scene before's dialogue."""
    points: dict[str, float] = {}
    why: dict[str, str] = {}

    def give(spoken: Spoken, segments: Sequence[Segment], value: float, reason: str) -> None:
        said = " ".join(word.text for word in segments[spoken.segment].words[spoken.first : spoken.end])
        if value > points.get(spoken.place, 0.0):
            points[spoken.place], why[spoken.place] = value, reason.format(said.rstrip(".,?!…"))

    mentioned = list(find(scene, places))
    for spoken in mentioned:
        words = [normal(word.text) for word in scene[spoken.segment].words]
        if _ELSEWHERE & set(words):
            continue
        lead = scene[spoken.segment].words[max(0, spoken.first - 3) : spoken.first]
        runs_on = not any(core(word.text)[2] for word in lead)
        if runs_on and (_HERE & {normal(word.text) for word in lead} or words[:2] == ["this", "is"]):
            give(spoken, scene, HERE, 'somebody says that it is here: "{}"')
        elif spoken.whole and spoken.segment < OPENING_LINES and _is_set_off(scene[spoken.segment], spoken):
            give(spoken, scene, OPENS, 'the scene opens with "{}"')
    for spoken in find(before[-CLOSING_LINES:], places):
        words = [normal(word.text) for word in before[-CLOSING_LINES:][spoken.segment].words]
        if _TOWARDS & set(words[max(0, spoken.first - 2) : spoken.first]):
            give(spoken, before[-CLOSING_LINES:], SENT, 'the scene before ended with the way there: "{}"')
    ranked = sorted(points, key=lambda id_: -points[id_])
    if ranked and (len(ranked) == 1 or points[ranked[0]] - points[ranked[1]] >= 1):
        return ranked[0], why[ranked[0]]
    names = {place.id: place.name for place in places}
    talked = ", ".join(dict.fromkeys(names[spoken.place] for spoken in mentioned))
    return None, f"spoken of, but not as here: {talked}" if talked else "nothing said tells where"


def find(segments: Sequence[Segment], places: Sequence[Place]) -> Iterator[Spoken]:
    """Every place that is named: in full, as a listed mishearing, or "the diner" for the Blue Moon Diner."""
    names = _names(places)
    for index, segment in enumerate(segments):
        words = [normal(word.text) for word in segment.words]
        for first in range(len(words)):
            for (spelling, whole), id_ in names.items():
                end = first + len(spelling)
                if tuple(words[first:end]) == spelling and (whole or (first and words[first - 1] == "the")):
                    yield Spoken(id_, index, first, end, whole)


def _names(places: Sequence[Place]) -> Mapping[tuple[tuple[str, ...], bool], str]:
    """Spellings and whether they are whole names -> ids; what two places share tells nothing."""
    found: dict[tuple[tuple[str, ...], bool], set[str]] = {}
    for each in places:
        for spelling in (each.name, *each.mishearings):
            found.setdefault((tuple(normal(spelling).split()), True), set()).add(each.id)
        words = normal(each.name).split()
        if len(words) > 1:
            # The noun of an English name comes last, or before "of".
            noun = words[words.index("of") - 1] if "of" in words[1:] else words[-1]
            found.setdefault(((noun,), False), set()).add(each.id)
    return {key: min(ids) for key, ids in found.items() if len(ids) == 1}


def _is_set_off(segment: Segment, spoken: Spoken) -> bool:
    """Whether the name stands by itself, between stops or commas."""
    before = segment.words[spoken.first - 1].text if spoken.first else "."
    return bool(core(before)[2] or before == ".") and bool(core(segment.words[spoken.end - 1].text)[2])
