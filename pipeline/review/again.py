"""What reviewers once answered to tasks that must be asked again, so that the new task can show it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pipeline.review import panels
from pipeline.review.accounts import clip_at
from pipeline.review.carry import SURE_ENOUGH
from pipeline.review.merge import Machine, Policy, stand
from pipeline.review.shown import ReviewTask, task
from pipeline.review.verdicts import kind_of
from pipeline.schemas.captions import ReviewDecision
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.story import Bible


@dataclass(frozen=True, slots=True)
class Earlier:
    """An answer that no longer fits: who gave it and when, what it said, and what has changed since, in words."""

    by: str
    at: datetime
    said: str
    why: str

    @property
    def name(self) -> str:
        return f"{self.by} {self.at.isoformat()}"


def earlier(
    machine: Machine,
    bible: Bible,
    decisions: Sequence[ReviewDecision],
    sure_enough: float = SURE_ENOUGH,
    policy: Policy = "reviewed-only",
    log: Sequence[BatchEdit] = (),
) -> dict[str, tuple[Earlier, ...]]:
    """The earlier answers to show with each task that is queued again, by the task's key, in order of time.

    `decisions` and the batch edits of `log` may be those of the whole show; only those about the machine's episode
    count.
    """
    scenes = machine.scenes
    ours = [decision for decision in decisions if decision.episode == scenes.episode]
    if not ours:
        return {}
    found: dict[str, list[Earlier]] = {}
    for part in stand(machine, bible, ours, sure_enough, policy, log).parts:
        # What was skipped is in the queue too, but it has no answer that could be shown.
        clip = clip_at(part.where, scenes.clips) if part.state == "queued again" and part.answer else None
        if clip is not None:
            key = f"{scenes.episode}/{clip.id}" + ("#caption" if kind_of(part.decision) == "caption" else "")
            said = Earlier(part.decision.by, part.decision.at, part.answer, part.why)
            found.setdefault(key, []).append(said)
    return {
        key: tuple(sorted(dict.fromkeys(each), key=lambda one: (one.at, one.by, one.said)))
        for key, each in sorted(found.items())
    }


def asking_again(fresh: ReviewTask, answers: Sequence[Earlier]) -> ReviewTask:
    """A task that shows what was answered before, above all else; the task itself where nothing was."""
    if not answers:
        return fresh
    field = "context" if fresh.kind == "transcripts" else "why_html"
    told = panels.before([f"{each.by}, {each.at:%Y-%m-%d}: {each.said}. Asked again: {each.why}." for each in answers])
    data = {name: value for name, value in fresh.data.items() if name != "rev"}
    data |= {field: told + data[field], "why": f"asked again · {data['why']}"}
    result = [item for item in fresh.result if item["from_name"] != "rev"]
    shown = fresh.shown.model_copy(update={"again": tuple(sorted({each.name for each in answers}))})
    return task(fresh.kind, data, result, fresh.score, shown)
