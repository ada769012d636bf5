"""The account of every decision ever made: what became of each of its parts, and so of the whole. Pure."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.schemas.captions import DecisionAccount, ReviewDecision
from pipeline.schemas.timeline import Clip, Span

State = Literal["applied", "carried", "queued again", "superseded", "waiting"]

_GRAVEST_FIRST: tuple[State, ...] = ("queued again", "waiting", "carried", "applied", "superseded")


@dataclass(frozen=True, slots=True)
class Part:
    """What became of a part of a decision: a line, an answer, a flag, a verdict.

    `where` it lies in the episode; `sureness` as pipeline/review/carry.py measures it, None where nothing was carried.
    `answer` is what the reviewer had said, in words. `winner` is the newer decision that took its place.
    """

    decision: ReviewDecision
    state: State
    where: Span
    sureness: float | None = None
    why: str = ""
    answer: str = ""
    winner: ReviewDecision | None = None


def age(decision: ReviewDecision) -> tuple[object, ...]:
    """Sorts decisions, the oldest first."""
    return decision.at, decision.key, decision.by


def signed(decision: ReviewDecision, why: str) -> str:
    """One line for people about a decision, or a part of one, that is not applied."""
    return f"{named(decision)}: {why}"


def named(decision: ReviewDecision) -> str:
    return f"{decision.key} by {decision.by} at {decision.at:%Y-%m-%d %H:%M:%S}"


def placed(parts: Sequence[Part], clips: Sequence[Clip]) -> list[Part]:
    """What is to be asked again but lies in no clip has no task to be asked in: it waits."""
    return [
        part
        if part.state != "queued again" or clip_at(part.where, clips)
        else replace(part, state="waiting", sureness=None, why=f"{part.why}; no clip lies there now")
        for part in parts
    ]


def clip_at(where: Span, clips: Sequence[Clip]) -> Clip | None:
    """The clip that holds the middle of `where`. `clips` stand in the order of their starts and do not overlap."""
    before = bisect_right(clips, where.middle, key=lambda clip: clip.span.start)
    return clips[before - 1] if before and clips[before - 1].span.holds(where.middle) else None


def accounts(decisions: Sequence[ReviewDecision], parts: Sequence[Part]) -> tuple[DecisionAccount, ...]:
    """One account for each decision, in their order. Raises AssertionError where a decision has no part."""
    # By identity: two equal decisions are still two.
    found: dict[int, list[Part]] = {id(decision): [] for decision in decisions}
    for part in parts:
        found[id(part.decision)].append(part)
    made = tuple(_account(decision, found[id(decision)]) for decision in decisions)
    assert len(made) == len(decisions)
    return made


def _account(decision: ReviewDecision, parts: Sequence[Part]) -> DecisionAccount:
    assert parts, f"nothing is told of {named(decision)}"
    state = min((part.state for part in parts), key=_GRAVEST_FIRST.index)
    measured = [part.sureness for part in parts if part.sureness is not None and part.state != "superseded"]
    winners = sorted({named(part.winner) for part in parts if part.winner})
    return DecisionAccount(
        key=decision.key,
        episode=decision.episode,
        by=decision.by,
        at=decision.at,
        state=state,
        sureness=min(measured, default=None),
        superseded_by=tuple(winners),
        why="; ".join(dict.fromkeys(part.why for part in parts if part.why)),
    )


def outdated(parts: Sequence[Part]) -> list[str]:
    """In words: which decisions, or parts of them, do not count, and why."""
    return sorted({signed(part.decision, part.why) for part in parts if part.state not in ("applied", "carried")})
