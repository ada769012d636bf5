"""Captions by a model that sees: which clips it is asked about, what it is shown of each, and what is asked again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.engine.records import Record
from pipeline.engine.work import Workspace
from pipeline.models import caption_asks
from pipeline.models.caption_asks import Brief, Role
from pipeline.models.caption_lint import About, Finding
from pipeline.models.captioner import Facts
from pipeline.models.vlm import Part, Usage, Vlm
from pipeline.schemas.captions import Caption
from pipeline.schemas.story import Bible, SceneContexts
from pipeline.schemas.timeline import Probability, Scenes

WORTH_ANOTHER_TRY = frozenset({"unknown name", "absent character", "boilerplate opening", "length"})
"""Faults that a model can mend where it is told of them; what all captions share is no single one's fault."""


class Drafted(Record):
    """One answer, as the memo keeps it: `data` fits the schema, or is None and `problem` says why."""

    data: dict[str, str | list[str]] | None
    confidence: dict[str, Probability] = {}
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model is asked. `shown` is all that decides what it sees and hears of a clip beside the clip's own bytes
    (frames, pixels); `repair` asks once more, with the faults of the first answer.
    """

    instructions: str
    shown: Mapping[str, float]
    with_short: bool = False
    samples: int = 1
    repair: bool = True


def briefs(
    facts: Sequence[Facts], scenes: Scenes, contexts: SceneContexts, bible: Bible, examples: Sequence[str], most: int
) -> list[Brief]:
    """What a model is told of each clip. The cast is the scene's and whoever speaks or is spoken to, nobody else's, so
    that new looks of a character ask anew only about scenes with that character.
    """
    context_of = {context.scene: context for context in contexts.scenes}
    looks_of = {place.name: place.looks for place in bible.places}
    found = []
    for clip, known in zip(scenes.clips, facts, strict=True):
        context = context_of[clip.scene]
        there = {*context.cast, *heard_or_called(known)}
        roles = [Role(id=c.id, name=c.short, looks=c.looks) for c in bible.characters if c.id in there]
        brief = Brief(
            facts=known,
            cast=tuple(roles),
            place_looks=looks_of.get(known.place or "", ""),
            previously=context.previously,
        )
        found.append(brief.model_copy(update={"examples": caption_asks.alike(brief, examples, most)}))
    return found


def about(facts: Sequence[Facts], scenes: Scenes, contexts: SceneContexts) -> dict[str, About]:
    """What the lint needs to know of each clip."""
    cast = {context.scene: context.cast for context in contexts.scenes}
    return {
        clip.id: About(
            heard=" ".join(said.text for said in known.said),
            present=frozenset([*cast[clip.scene], *heard_or_called(known)]),
        )
        for clip, known in zip(scenes.clips, facts, strict=True)
    }


def heard_or_called(facts: Facts) -> list[str]:
    return [person.id for said in facts.said for person in (said.speaker, said.spoken_to) if person]


def write_all(
    work: Workspace,
    vlm: Vlm,
    asked: Sequence[Brief],
    clips: Sequence[str],
    perceive: Callable[[Sequence[int]], Iterator[Sequence[Part]]],
    manner: Manner,
    faults: Callable[[Sequence[Caption]], Mapping[str, Sequence[Finding]]],
) -> tuple[list[Caption], Usage]:
    """A caption for each brief, and what the model cost.

    `clips` are digests of the clips' videos; `perceive` yields what the model takes of those at the given indexes, and
    is called only for clips that it has not captioned under the same brief. `faults` finds what is wrong with captions.
    """
    usage = Usage()

    def drafts(indexes: Sequence[int], told: Mapping[int, str]) -> list[Drafted]:
        def answered(missing: Sequence[int]) -> Iterator[Drafted]:
            nonlocal usage
            wanted = [indexes[each] for each in missing]
            requests = (
                caption_asks.request(
                    asked[index],
                    parts,
                    instructions=manner.instructions,
                    with_short=manner.with_short,
                    samples=manner.samples,
                    findings=told.get(index, ""),
                )
                for index, parts in zip(wanted, perceive(wanted), strict=True)
            )
            for reply in vlm.answer(requests):
                usage = usage.and_of(reply)
                data = None if reply.data is None else dict(reply.data)
                yield Drafted(data=data, confidence=dict(reply.confidence), problem=reply.problem)

        how = [vlm.name, vlm.revision, manner.instructions, manner.with_short, manner.samples, dict(manner.shown)]
        items = [[*how, clips[index], asked[index].model_dump(mode="json"), told.get(index, "")] for index in indexes]
        return work.memo(Drafted).fill(items, answered, batch=max(1, len(items)))

    everything = range(len(asked))
    made = [_caption(asked[index], draft) for index, draft in zip(everything, drafts(everything, {}), strict=True)]
    if not manner.repair:
        return made, usage
    wrong = faults(made)
    again = {index: told for index in everything if (told := _worth_telling(wrong.get(made[index].clip, ())))}
    mended = [_caption(asked[index], d) for index, d in zip(again, drafts(list(again), again), strict=True)]
    still = faults(mended)
    for index, caption in zip(again, mended, strict=True):
        # Only what is really better takes the place of the first.
        if len(still.get(caption.clip, ())) < len(wrong[caption.clip]) and caption.observed is not None:
            made[index] = caption
    return made, usage


def _caption(brief: Brief, draft: Drafted) -> Caption:
    return caption_asks.caption(brief, draft.data, draft.confidence, draft.problem)


def _worth_telling(findings: Sequence[Finding]) -> str:
    return "; ".join(str(finding) for finding in findings if finding.kind in WORTH_ANOTHER_TRY)
