"""What the steps before know of each clip: its shots, its place, who says what in it, and what is not settled."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from pipeline.models.captioner import Facts, Look, Person, Said
from pipeline.models.speaking import mentions
from pipeline.schemas.story import Bible, SceneContexts, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Clip, Scenes, Segment

NOT_QUOTED = frozenset({"hallucination", "loop", "no-speech"})
"""Marks of a segment that was probably never said."""


def gather(
    scenes: Scenes,
    transcript: SettledTranscript,
    references: ShotReferences,
    contexts: SceneContexts,
    bible: Bible,
    *,
    describe_looks: bool = False,
    name_places: bool = True,
) -> list[Facts]:
    """What is known of each clip, in the order of the clips.

    `describe_looks`: speakers bring the bible's looks along, for the caption to repeat.
    """
    people = {
        character.id: Person(id=character.id, name=character.short, looks=character.looks if describe_looks else "")
        for character in bible.characters
    }
    looks = {
        reference.shot: Look(
            **reference.model_dump(include={"scale", "camera", "heading", "brightness", "warmth", "faces"})
        )
        for reference in references.shots
    }
    names = {place.id: place.name for place in bible.places}
    places = {context.scene: names.get(context.place or "") for context in contexts.scenes if name_places}
    spoken_to = _spoken_to(transcript.segments, bible, people)
    open_segments = [doubt.segment for doubt in transcript.doubts if doubt.kind == "text"]
    found = []
    for clip in scenes.clips:
        heard = [(segment, text) for segment in transcript.segments if (text := _heard(clip, segment))]
        said = tuple(
            Said(
                segment=segment.id,
                text=text,
                speaker=people.get(segment.speaker or ""),
                spoken_to=spoken_to.get(segment.id),
                sure=round(fmean(word.probability for word in segment.words), 3),
            )
            for segment, text in heard
            if not NOT_QUOTED & set(segment.marks)
        )
        found.append(
            Facts(
                clip=clip.id,
                looks=tuple(looks[shot] for shot in clip.shots if shot in looks),
                place=places.get(clip.scene),
                said=said,
                has_sound=clip.audio is not None,
                unsettled=tuple(_unsettled(heard, said, open_segments)),
            )
        )
    return found


def _heard(clip: Clip, segment: Segment) -> str:
    return " ".join(word.text for word in segment.words if clip.span.holds(word.span.middle))


def _spoken_to(segments: Sequence[Segment], bible: Bible, people: Mapping[str, Person]) -> dict[str, Person]:
    """The person each line is said to, where it names just one."""
    found: dict[str, set[str]] = {}
    for mention in mentions(segments, bible.characters):
        if mention.how == "addressed" and segments[mention.segment].speaker != mention.character:
            found.setdefault(segments[mention.segment].id, set()).add(mention.character)
    return {segment: people[min(ids)] for segment, ids in found.items() if len(ids) == 1}


def _unsettled(heard: Sequence[tuple[Segment, str]], said: Sequence[Said], open_segments: Sequence[str]) -> list[str]:
    notes = []
    if questions := sum(open_segments.count(segment.id) for segment, _ in heard):
        notes.append(f"open questions about words: {questions}")
    if unnamed := sum(each.speaker is None for each in said):
        notes.append(f"lines whose speaker is not known: {unnamed} of {len(said)}")
    notes += [
        f'not quoted ({", ".join(segment.marks)}): "{text}"'
        for segment, text in heard
        if NOT_QUOTED & set(segment.marks)
    ]
    return notes
