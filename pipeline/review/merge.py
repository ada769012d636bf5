"""Machine output and reviewers' decisions made into the clips that may be trained on. Pure.

Every clip comes out once, as a reviewed clip or left out with its reason; every decision is accounted for, so that
nothing a person did is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pipeline.review import edits, second_look
from pipeline.review.accounts import Part, accounts, outdated, placed
from pipeline.review.carry import SAME_PLACE, SURE_ENOUGH, alike, covered
from pipeline.review.claims import correct
from pipeline.review.edits import Laid
from pipeline.review.lines import Dialogue
from pipeline.review.quotes import Requote, settled
from pipeline.review.second_look import SecondLook
from pipeline.review.verdicts import GRAZE, Ruling, flagged, flags_of, judged, kind_of, lost, skipped
from pipeline.schemas.captions import (
    Caption,
    Captions,
    DecisionAccount,
    LeftOut,
    ReviewDecision,
    ReviewedClip,
    TranscriptAnswer,
)
from pipeline.schemas.edits import BatchEdit, EditAccount
from pipeline.schemas.story import Bible, SettledTranscript
from pipeline.schemas.timeline import Clip, Scenes

Policy = Literal["reviewed-only", "machine-above", "agreement"]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the steps before review made of one episode."""

    scenes: Scenes
    transcript: SettledTranscript
    captions: Captions


@dataclass(slots=True)
class Standing:
    """What reviewers' decisions amount to in one episode as it is cut and heard now.

    `rulings` are those on the clips by their ids, `parts` tell what became of every part of every decision and `laid`
    of every place of the batch edits. `returned` are the clips to be looked at once more, with the reason.
    """

    dialogue: Dialogue
    rulings: dict[str, Ruling]
    flags: dict[str, Ruling]
    parts: list[Part]
    laid: list[Laid] = field(default_factory=list)
    returned: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Merged:
    """`dialogue` is each episode's, by id; `accounts` has one entry for each decision, in the order of `decisions`, and
    `edits` one for each batch edit that has places.
    """

    clips: list[ReviewedClip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    dialogue: dict[str, Dialogue] = field(default_factory=dict)
    outdated: list[str] = field(default_factory=list)
    accounts: tuple[DecisionAccount, ...] = ()
    edits: tuple[EditAccount, ...] = ()


def merge(
    machine: Mapping[str, Machine],
    bible: Bible,
    decisions: Sequence[ReviewDecision],
    requote: Requote,
    policy: Policy = "reviewed-only",
    threshold: float = 1.0,
    sure_enough: float = SURE_ENOUGH,
    log: Sequence[BatchEdit] = (),
) -> Merged:
    """The reviewed clips of all episodes (`machine` by episode id).

    A clip is reviewed when its newest caption answer keeps it; transcript answers correct its lines, and what its
    caption quotes of them. `machine-above` also takes the clips that nobody reviewed whose caption scores above
    `threshold`; `agreement` leaves out those that two people disagree about. What is carried to new machine output with
    less than `sure_enough` counts no more until it is reviewed again. `log` are the batch edits, the oldest first.
    """
    merged = Merged()
    parts: list[Part] = []
    laid = edits.elsewhere(log, machine)
    for episode in sorted(machine):
        ours = [decision for decision in decisions if decision.episode == episode]
        standing = stand(machine[episode], bible, ours, sure_enough, policy, log)
        _merge_episode(machine[episode], bible, standing, requote, policy, threshold, merged)
        parts += standing.parts
        laid += standing.laid
    for decision in decisions:
        if decision.episode not in machine:
            why = f"the show has no episode {decision.episode}"
            parts.append(Part(decision, "waiting", decision.span, None, why))
    merged.accounts = accounts(decisions, parts)
    merged.edits = edits.accounts(log, laid)
    merged.outdated = outdated(parts)
    return merged


def stand(
    machine: Machine,
    bible: Bible,
    decisions: Sequence[ReviewDecision],
    sure_enough: float = SURE_ENOUGH,
    policy: Policy = "reviewed-only",
    log: Sequence[BatchEdit] = (),
) -> Standing:
    """What the decisions about one episode, and the batch edits of `log`, amount to, and what became of each."""
    scenes, captions = machine.scenes, {caption.clip: caption for caption in machine.captions.captions}
    spoken = [d for d in decisions if isinstance(d.answer, TranscriptAnswer) and not skipped(d)]
    pictured = [d for d in decisions if kind_of(d) == "caption"]
    names = {character.id: character.short for character in bible.characters}
    dialogue = correct(
        scenes.episode,
        machine.transcript.segments,
        machine.transcript.doubts,
        scenes.shots,
        names,
        spoken,
        sure_enough,
    )
    laid = edits.lay(dialogue, scenes.episode, log, spoken, names, sure_enough)
    standing = Standing(dialogue, {}, {}, placed(dialogue.parts, scenes.clips), laid)
    flags_told: set[int] = set()
    for clip in scenes.clips:
        flags, parts = flagged(clip, spoken)
        flags_told |= {id(part.decision) for part in parts}
        ruling, more = judged(clip, captions.get(clip.id), pictured, dialogue, sure_enough)
        if flags is not None:
            standing.flags[clip.id] = flags
        if ruling is not None:
            standing.rulings[clip.id] = ruling
        if flags is not None and ruling is not None and ruling.kind != "out":
            why = f"its clip is left out: {flags.why}"
            more = [
                part
                if part.state == "superseded"
                else replace(part, state="superseded", sureness=None, why=why, winner=flags.decision)
                for part in more
            ]
        standing.parts += [*parts, *more]
    for decision in spoken:
        if id(decision) not in flags_told and (why := flags_of(decision)):
            standing.parts.append(_placeless(decision, why))
    told = {id(part.decision) for part in standing.parts}
    standing.parts += [_untold(d, spoken, scenes.clips) for d in decisions if id(d) not in told]
    looks, its = second_look.sent_back(log, scenes.episode, decisions, scenes.clips)
    standing.laid += its
    for look in (*looks, *(second_look.disagreeing(decisions, names) if policy == "agreement" else ())):
        _look_again(standing, look, scenes.clips, names)
    return standing


def _look_again(standing: Standing, look: SecondLook, clips: Sequence[Clip], names: Mapping[str, str]) -> None:
    there = [clip for clip in clips if covered(clip.span, look.span) > GRAZE]
    for clip in there:
        standing.returned.setdefault(clip.id, look.why)
    for decision in look.decisions:
        if there:
            clip = max(there, key=lambda clip: alike(clip.span, look.span))
            told = second_look.said(decision, names)
            standing.parts.append(Part(decision, "queued again", clip.span, None, look.why, told))
        else:
            standing.parts.append(_placeless(decision, look.why))


def _untold(decision: ReviewDecision, answered: Sequence[ReviewDecision], clips: Sequence[Clip]) -> Part:
    """What became of a decision that no line and no clip has anything to do with: a skipped one, or one whose clip is
    no more.
    """
    near = max(
        clips, key=lambda clip: (alike(clip.span, decision.span), covered(clip.span, decision.span)), default=None
    )
    if near is None or covered(near.span, decision.span) <= GRAZE:
        return _placeless(decision)
    if kind_of(decision) == "transcript":
        rivals = [other for other in answered if alike(other.span, decision.span) >= SAME_PLACE]
        if rivals:
            return lost(decision, max(rivals, key=lambda other: other.at), near)
    return Part(decision, "queued again", near.span, None, "it was skipped")


def _placeless(decision: ReviewDecision, what: str = "") -> Part:
    why = "no clip lies where the reviewer saw one"
    return Part(decision, "waiting", decision.span, None, f"{what}, but {why}" if what else why)


def _merge_episode(
    machine: Machine,
    bible: Bible,
    standing: Standing,
    requote: Requote,
    policy: Policy,
    threshold: float,
    merged: Merged,
) -> None:
    episode, dialogue = machine.scenes.episode, standing.dialogue
    merged.dialogue[episode] = dialogue
    captions = {caption.clip: caption for caption in machine.captions.captions}
    names = {character.id: character.short for character in bible.characters}
    heard = [(part.where.middle, part.decision.by) for part in dialogue.parts if part.state in ("applied", "carried")]
    for clip in machine.scenes.clips:
        ruling, caption = standing.rulings.get(clip.id), captions.get(clip.id)
        reason = standing.returned.get(clip.id) or _objection(
            standing.flags.get(clip.id), ruling, caption, policy, threshold
        )
        if reason or caption is None:
            merged.left_out.append(LeftOut(episode=episode, clip=clip.id, reason=reason))
            continue
        kept = ruling.decision if ruling and ruling.kind == "keep" else None
        people = {by for middle, by in heard if clip.span.holds(middle)} | ({kept.by} if kept else set())
        merged.clips.append(
            ReviewedClip(
                episode=episode,
                clip=clip.id,
                span=clip.span,
                video=clip.video,
                caption=settled(clip, caption, kept.answer if kept else None, dialogue, names, requote),
                lines=tuple(dialogue.heard_in(clip.span)),
                reviewed=kept is not None,
                by=tuple(sorted(people)),
            )
        )


def _objection(
    flags: Ruling | None, ruling: Ruling | None, caption: Caption | None, policy: Policy, threshold: float
) -> str:
    """Why a clip is left out, "" where it is not."""
    # What is wrong with a clip stays wrong when its caption or its lines change.
    if ruling and ruling.kind == "out":
        return ruling.why
    if flags:
        return flags.why
    if caption is None:
        return "it has no caption"
    if ruling and ruling.kind != "ask":
        return ruling.why
    why = f"the review by {ruling.decision.by} is outdated" if ruling else "not reviewed"
    if policy == "machine-above":
        if caption.score > threshold:
            return ""
        why += f", and its caption scores {caption.score:.2f}, not above {threshold:.2f}"
    return why
