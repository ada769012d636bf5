"""Machine output and reviewers' decisions made into the clips that may be trained on. Pure.

Every clip comes out once, as a reviewed clip or left out with its reason; every decision is put to use or listed
with the reason why not, so that nothing a person did is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.review.lines import Dialogue, correct, fits, plain, signed
from pipeline.review.quotes import Requote, settled
from pipeline.schemas.captions import (
    Caption,
    CaptionAnswer,
    Captions,
    LeftOut,
    ReviewDecision,
    ReviewedClip,
    TranscriptAnswer,
)
from pipeline.schemas.story import Bible, SettledTranscript
from pipeline.schemas.timeline import Clip, Scenes, Span

Policy = Literal["reviewed-only", "machine-above"]

SAME_PLACE = 0.9
"""A clip is the one that a reviewer saw if their spans share this much of what both cover together."""

SECOND_LOOK, UNUSABLE_AUDIO, MISSING_LINE = "second look", "unusable audio", "missing line"
"""The flags of a clip in labeling_configs/transcript.xml."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the steps before review made of one episode."""

    scenes: Scenes
    transcript: SettledTranscript
    captions: Captions


@dataclass(slots=True)
class Merged:
    """`dialogue` is each episode's, by id."""

    clips: list[ReviewedClip] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    dialogue: dict[str, Dialogue] = field(default_factory=dict)
    outdated: list[str] = field(default_factory=list)


def merge(
    machine: Mapping[str, Machine],
    bible: Bible,
    decisions: Sequence[ReviewDecision],
    requote: Requote,
    policy: Policy = "reviewed-only",
    threshold: float = 1.0,
) -> Merged:
    """The reviewed clips of all episodes (`machine` by episode id).

    A clip is reviewed when its newest caption answer keeps it; a transcript answer corrects its lines, and what its
    caption quotes of them. `machine-above` also takes the clips that nobody reviewed whose caption scores above
    `threshold`.
    """
    merged = Merged()
    for episode in sorted(machine):
        ours = [decision for decision in decisions if decision.episode == episode]
        _merge_episode(machine[episode], bible, ours, requote, policy, threshold, merged)
    for decision in decisions:
        if decision.episode not in machine:
            merged.outdated.append(signed(decision, f"the show has no episode {decision.episode}"))
    merged.outdated.sort()
    return merged


def _merge_episode(
    machine: Machine,
    bible: Bible,
    decisions: Sequence[ReviewDecision],
    requote: Requote,
    policy: Policy,
    threshold: float,
    merged: Merged,
) -> None:
    scenes = machine.scenes
    standing = _standing(decisions, scenes.clips, merged.outdated)
    segments = {segment.id: segment for segment in machine.transcript.segments}
    transcripts: dict[str, ReviewDecision] = {}
    for clip in scenes.clips:
        decision = standing.get((clip.id, "transcript"))
        if decision is not None and isinstance(decision.answer, TranscriptAnswer):
            if why := fits(decision.answer, segments):
                merged.outdated.append(signed(decision, why))
            else:
                transcripts[clip.id] = decision
        elif decision is not None:
            merged.outdated.append(signed(decision, "it was skipped"))
    dialogue = correct(
        scenes.episode,
        machine.transcript.segments,
        machine.transcript.doubts,
        scenes.shots,
        frozenset(character.id for character in bible.characters),
        sorted(transcripts.values(), key=_age),
    )
    merged.dialogue[scenes.episode] = dialogue
    merged.outdated += dialogue.unapplied
    captions = {caption.clip: caption for caption in machine.captions.captions}
    names = {character.id: character.short for character in bible.characters}
    for clip in scenes.clips:
        transcript, decision = transcripts.get(clip.id), standing.get((clip.id, "caption"))
        flagged = standing.get((clip.id, "transcript"))
        reason, stale = _objection(flagged, decision, captions.get(clip.id), policy, threshold)
        if stale and decision is not None:
            merged.outdated.append(signed(decision, stale))
        if reason:
            merged.left_out.append(LeftOut(episode=scenes.episode, clip=clip.id, reason=reason))
            continue
        answer = decision.answer if decision and not stale else None
        caption = settled(clip, captions[clip.id], answer, dialogue, names, requote)
        used = [d.by for d in (transcript, decision if answer else None) if d]
        merged.clips.append(
            ReviewedClip(
                episode=scenes.episode,
                clip=clip.id,
                span=clip.span,
                video=clip.video,
                caption=caption,
                lines=tuple(dialogue.heard_in(clip.span)),
                reviewed=answer is not None,
                by=tuple(sorted(set(used))),
            )
        )


def _standing(
    decisions: Sequence[ReviewDecision], clips: Sequence[Clip], outdated: list[str]
) -> dict[tuple[str, str], ReviewDecision]:
    """The decision that counts, by clip and kind of task: the newest that is not skipped, else the newest."""
    answers: dict[tuple[str, str], list[ReviewDecision]] = {}
    for decision in decisions:
        clip = max(clips, key=lambda clip: _alike(clip.span, decision.span), default=None)
        if clip is None or _alike(clip.span, decision.span) < SAME_PLACE:
            outdated.append(signed(decision, "no clip lies where the reviewer saw one"))
        else:
            named = "caption" if decision.key.endswith("#caption") else "transcript"
            kind = decision.answer.kind if decision.answer else named
            answers.setdefault((clip.id, kind), []).append(decision)
    standing = {}
    for key, given in answers.items():
        *older, newest = sorted(given, key=lambda decision: (not _skipped(decision), *_age(decision)))
        standing[key] = newest
        for decision in older:
            why = "it was skipped" if _skipped(decision) else "it is older"
            outdated.append(
                signed(decision, f"{why}; the answer by {newest.by} at {newest.at:%Y-%m-%d %H:%M:%S} counts")
            )
    return standing


def _objection(
    transcript: ReviewDecision | None,
    decision: ReviewDecision | None,
    caption: Caption | None,
    policy: Policy,
    threshold: float,
) -> tuple[str, str]:
    """Why a clip is left out ("" where it is not), and why its caption's decision does not count ("" where it does)."""
    # What is wrong with a clip stays wrong when its caption or its lines change.
    if decision and isinstance(decision.answer, CaptionAnswer) and decision.answer.verdict != "keep":
        reasons = ", ".join(decision.answer.reasons)
        what = "dropped" if decision.answer.verdict == "drop" else "second look asked for"
        return f"{what} by {decision.by}" + (f": {reasons}" if reasons else ""), ""
    if why := _flagged(transcript):
        return why, f"its clip is left out: {why}"
    if caption is None:
        return "it has no caption", "its clip has no caption any more"
    stale = ""
    if decision:
        stale = _stale(decision, caption)
        if not stale:
            return (f"skipped by {decision.by}" if decision.answer is None else ""), ""
    why = f"the review by {decision.by} is outdated" if decision else "not reviewed"
    if policy == "machine-above":
        if caption.score > threshold:
            return "", stale
        why += f", and its caption scores {caption.score:.2f}, not above {threshold:.2f}"
    return why, stale


def _stale(decision: ReviewDecision, caption: Caption) -> str:
    """ "" where the machine's caption is still what the reviewer saw (or already what they wrote), else a reason."""
    answer = decision.answer
    if isinstance(answer, CaptionAnswer) and plain(caption.text) not in (plain(answer.seen), plain(answer.text)):
        return "the machine's caption is not the one that the reviewer saw any more"
    return ""


def _flagged(decision: ReviewDecision | None) -> str:
    """Why a clip is no use, by the flags that the reviewer of its lines set; "" if none says so."""
    if decision is None or not isinstance(decision.answer, TranscriptAnswer):
        return ""
    flags, answer = decision.answer.flags, decision.answer
    if UNUSABLE_AUDIO in flags:
        return f"unusable audio, says {decision.by}"
    if SECOND_LOOK in flags:
        return f"second look asked for by {decision.by}"
    adds = not {line.id for line in answer.lines} <= {line.id for line in answer.seen}
    if MISSING_LINE in flags and not adds:
        return f"a line is missing from its transcript, says {decision.by}"
    return ""


def _alike(one: Span, other: Span) -> float:
    shared = one.overlap(other)
    return shared / (one.seconds + other.seconds - shared)


def _age(decision: ReviewDecision) -> tuple[object, ...]:
    return decision.at, decision.key, decision.by


def _skipped(decision: ReviewDecision) -> bool:
    return decision.skipped or decision.answer is None
