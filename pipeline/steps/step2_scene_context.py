"""step2-scene-context: for each scene where it plays, who is there, what is said, and what came before.

All of it rests on the dialogue, and `why` names the line it rests on; what nothing tells stays open.
"""

from collections.abc import Sequence

from pydantic import Field

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.models import whereabouts
from pipeline.models.speaking import mentions
from pipeline.schemas.story import Character, KnownNames, SceneContext, SceneContexts, SettledTranscript
from pipeline.schemas.timeline import Scene, SceneSpans, Segment


class Config(StepConfig):
    lines_before: int = Field(default=3, ge=0, description="How many last lines of the scene before are told.")
    letters_before: int = Field(default=240, ge=40, description="How long that may be.", title="text before, letters")


@step(version=1)
def run(
    config: Config,
    work: Workspace,
    *,
    step1_scenes: SceneSpans,
    step2_transcript_disambiguate: SettledTranscript,
    step2_bible: KnownNames,
) -> SceneContexts:
    contexts = describe(config, step1_scenes.scenes, step2_transcript_disambiguate.segments, step2_bible)
    placed = sum(context.place is not None for context in contexts)
    work.report(scenes=len(contexts), placed=placed, without_dialogue=sum(not c.dialogue for c in contexts))
    return SceneContexts(episode=step2_transcript_disambiguate.episode, scenes=tuple(contexts))


def describe(
    config: Config, scenes: Sequence[Scene], segments: Sequence[Segment], known: KnownNames
) -> list[SceneContext]:
    """One context for each scene. A line belongs where its middle lies, the last scene has what follows it."""
    contexts: list[SceneContext] = []
    real: list[Segment] = []
    for scene, dialogue in zip(scenes, whereabouts.by_scene(scenes, segments), strict=True):
        before, real = real, [segment for segment in dialogue if not _is_noise(segment)]
        place, reason = whereabouts.place(real, before, known.places)
        cast = present(real, known.characters)
        last = contexts[-1] if contexts else None
        contexts.append(
            SceneContext(
                scene=scene.index,
                span=scene.span,
                place=place,
                cast=tuple(cast),
                dialogue=tuple(dialogue),
                previously=_previously(config, last, before, known) if last else "",
                why=(f"place: {reason}", *(f"{id_}: {why}" for id_, why in cast.items())),
            )
        )
    return contexts


def present(dialogue: Sequence[Segment], characters: Sequence[Character]) -> dict[str, str]:
    """Who is in a scene and what tells so, in the order in which it does: people speak, or are spoken to."""
    cast: dict[str, str] = {}
    said = mentions(dialogue, characters)
    for index, segment in enumerate(dialogue):
        if segment.speaker is not None:
            cast.setdefault(segment.speaker, f'says "{segment.text}"')
        for mention in said:
            if mention.segment == index and mention.how != "mentioned":
                cast.setdefault(mention.character, f'is {_HOW[mention.how]} in "{segment.text}"')
    return cast


_HOW = {"addressed": "spoken to", "introduced": "introduced"}


def _is_noise(segment: Segment) -> bool:
    return bool({"hallucination", "loop", "no-speech"} & set(segment.marks))


def _previously(config: Config, last: SceneContext, lines: Sequence[Segment], known: KnownNames) -> str:
    """Where the scene before played and its last lines, word for word; the oldest are left out where it gets long."""
    names = {character.id: character.short for character in known.characters}
    told = ""
    for segment in reversed(lines[len(lines) - min(config.lines_before, len(lines)) :]):
        line = f'{names.get(segment.speaker or "", "Someone")}: "{segment.text}"'
        if told and len(line) + len(told) >= config.letters_before:
            break
        told = f"{line} {told}".strip()
    where = next((place.name for place in known.places if place.id == last.place), None)
    return f"At {where}. {told}".strip() if where else told
