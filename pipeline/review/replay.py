"""Work put back into Label Studio: annotations as they were, and who made them when, which it cannot be told. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.engine import fingerprint
from pipeline.schemas.captions import ReviewDecision


@dataclass(slots=True)
class Work:
    """What people did to one task: its annotations, the revisions they answer, and a record of each.

    Label Studio gives every annotation the present time, and the token's owner where it does not know the person. A
    record in the task's `meta` says who and when it was, for as long as the annotation stays as it was put back.
    """

    annotations: list[dict[str, Any]] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)

    def on(self, made: Mapping[str, Any]) -> dict[str, Any]:
        """A task for import, with this work on it."""
        return {**made, "annotations": self.annotations, "meta": self.remembered(made["meta"])}

    def remembered(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """The meta of a task that gets this work; what it remembers already goes before."""
        shown = [*meta.get("shown", ())]
        known = {entry["rev"] for entry in shown}
        older = [entry for entry in self.shown if entry["rev"] not in known]
        # The latest revision stands last.
        return {**meta, "shown": [*older, *shown], "restored": [*meta.get("restored", ()), *self.records]}


def work_of(decisions: Sequence[ReviewDecision], users: Mapping[str, int], me: int) -> Work:
    """The work of these decisions on one task; all have `raw`. `me` stands in for those whom `users` lacks."""
    work = Work()
    revisions = {}
    for decision in sorted(decisions, key=lambda decision: (decision.at, decision.by)):
        raw = decision.raw
        assert raw is not None
        user = users.get(decision.by, me)
        result = list(raw.result)
        work.annotations.append(
            {
                "result": result,
                "was_cancelled": decision.skipped,
                "lead_time": decision.seconds,
                "completed_by": user,
                "ground_truth": False,
            }
        )
        work.records.append(
            {
                "by": decision.by,
                "at": decision.at.isoformat(),
                "rev": decision.revision,
                "user": user,
                "answer": _digest(result, skipped=decision.skipped),
            }
        )
        revisions[decision.revision] = {"rev": decision.revision, "shown": raw.shown}
    work.shown = list(revisions.values())
    return work


def as_they_were(annotations: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The annotations of a task, those that were put back with their own `by`, `updated_at` and `rev`.

    One that somebody has changed since is theirs and of today.
    """
    records = list(meta.get("restored", ()))
    for annotation in sorted(annotations, key=lambda annotation: annotation["id"]):
        answer = _digest(annotation["result"] or [], skipped=annotation["was_cancelled"])
        mine = next((r for r in records if (r["user"], r["answer"]) == (annotation["completed_by"], answer)), None)
        if mine is None:
            yield {**annotation}
        else:
            records.remove(mine)
            yield {**annotation, "by": mine["by"], "updated_at": mine["at"], "rev": mine["rev"]}


def _digest(result: Sequence[Mapping[str, Any]], *, skipped: bool) -> str:
    return fingerprint.of_value("annotation", {"result": list(result), "skipped": skipped})[:16]
