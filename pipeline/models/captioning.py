"""Captions by a model that sees: which clips it is asked about, what it is shown of each, and what is asked again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.engine.records import Record
from pipeline.engine.work import Workspace
from pipeline.models import caption_asks, captioner
from pipeline.models.caption_asks import Brief, Role
from pipeline.models.caption_facts import gather
from pipeline.models.caption_lint import About, Finding, Rules, lint
from pipeline.models.captioner import Facts
from pipeline.models.vlm import Part, Usage, Vlm
from pipeline.schemas.captions import Caption
from pipeline.schemas.story import UNKNOWN, Bible, SceneContexts, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Probability, Scenes

WORTH_ANOTHER_TRY = frozenset({"unknown name", "absent character", "boilerplate opening", "length"})
"""Faults that a model can mend where it is told of them; what all captions share is no single one's fault."""

MAY_SPEAK = 0.25
"""The score from which a candidate for a line's speaker may be in the picture: a model must know who that is."""


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


@dataclass(frozen=True, slots=True)
class Telling:
    """What captions may tell, and how many `most` of the `examples` go with each clip."""

    describe_looks: bool = False
    name_places: bool = True
    examples: tuple[str, ...] = ()
    most: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What the steps before know of an episode's clips, for whoever writes captions and whoever checks them.

    `facts` and `briefs` are in the order of the clips, `about` is by clip.
    """

    facts: tuple[Facts, ...]
    briefs: tuple[Brief, ...]
    about: Mapping[str, About]
    bible: Bible

    def faults(self, captions: Sequence[Caption], rules: Rules) -> dict[str, tuple[Finding, ...]]:
        return lint(captions, self.about, self.bible, rules)


def known(
    telling: Telling,
    scenes: Scenes,
    transcript: SettledTranscript,
    references: ShotReferences,
    contexts: SceneContexts,
    bible: Bible,
) -> Known:
    """What is known of each clip. Its cast are the scene's, with those who may speak in it, and whoever speaks or is
    spoken to in the clip; nobody else, so that new looks of a character ask anew only about scenes with that character.
    """
    facts = gather(
        scenes, transcript, references, contexts, bible,
        describe_looks=telling.describe_looks, name_places=telling.name_places,
    )  # fmt: skip
    context_of = {context.scene: context for context in contexts.scenes}
    looks_of = {place.name: place.looks for place in bible.places}
    doubted = may_speak(transcript)
    may_be: dict[int, set[str]] = defaultdict(set)
    for clip, its in zip(scenes.clips, facts, strict=True):
        may_be[clip.scene].update(id_ for said in its.said for id_ in doubted[said.segment])
    briefs, about = [], {}
    for clip, its in zip(scenes.clips, facts, strict=True):
        context = context_of[clip.scene]
        there = {*context.cast, *may_be[clip.scene], *heard_or_called(its)}
        brief = Brief(
            facts=its,
            cast=tuple(Role(id=c.id, name=c.short, looks=c.looks) for c in bible.characters if c.id in there),
            place_looks=looks_of.get(its.place or "", ""),
            previously=context.previously,
        )
        briefs.append(brief.model_copy(update={"examples": caption_asks.alike(brief, telling.examples, telling.most)}))
        heard, measured = " ".join(said.text for said in its.said), f"{captioner.measured(its)} {its.place or ''}"
        about[clip.id] = About(heard, frozenset(there), measured)
    return Known(tuple(facts), tuple(briefs), about, bible)


def heard_or_called(facts: Facts) -> list[str]:
    return [person.id for said in facts.said for person in (said.speaker, said.spoken_to) if person]


def may_speak(transcript: SettledTranscript) -> Mapping[str, frozenset[str]]:
    """Who probably says the lines whose speaker nobody has settled yet, by line."""
    found: dict[str, frozenset[str]] = defaultdict(frozenset)
    for doubt in transcript.doubts:
        if doubt.kind == "speaker":
            likely = {each.value for each in doubt.candidates if each.score >= MAY_SPEAK and each.value != UNKNOWN}
            found[doubt.segment] |= likely
    return found


def write_all(
    work: Workspace,
    vlm: Vlm,
    asked: Sequence[Brief],
    clips: Sequence[str],
    perceive: Callable[[Sequence[int]], Iterator[Sequence[Part]]],
    manner: Manner,
    faults: Callable[[Sequence[Caption]], Mapping[str, Sequence[Finding]]],
) -> tuple[list[Caption], Usage]:
    """A caption for each brief, and what the model cost, which is reported too.

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
            # Here, because a run that is to make a few only ends before anything else.
            work.report(**usage.figures())

        how = [vlm.name, vlm.revision, manner.instructions, manner.with_short, manner.samples, dict(manner.shown)]
        items = [[*how, clips[index], asked[index].model_dump(mode="json"), told.get(index, "")] for index in indexes]
        return work.memo(Drafted).fill(items, answered, batch=max(1, len(items)))

    everything = range(len(asked))
    made = [caption(asked[index], draft) for index, draft in zip(everything, drafts(everything, {}), strict=True)]
    if not manner.repair:
        return made, usage
    wrong = faults(made)
    again = {index: told for index in everything if (told := _worth_telling(wrong.get(made[index].clip, ())))}
    mended = [caption(asked[index], d) for index, d in zip(again, drafts(list(again), again), strict=True)]
    still = faults(mended)
    for index, second in zip(again, mended, strict=True):
        # Only what is really better takes the place of the first.
        if len(still.get(second.clip, ())) < len(wrong[second.clip]) and second.observed is not None:
            made[index] = second
    return made, usage


def caption(brief: Brief, draft: Drafted) -> Caption:
    """The caption that a kept answer makes."""
    return caption_asks.caption(brief, draft.data, draft.confidence, draft.problem)


def _worth_telling(findings: Sequence[Finding]) -> str:
    return "; ".join(str(finding) for finding in findings if finding.kind in WORTH_ANOTHER_TRY)
