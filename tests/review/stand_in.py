"""A Label Studio in memory, as far as push, pull and restore can tell.

It does what `test_whatever_happens.py` has seen the real server do with the same requests, and nothing else.
"""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from pipeline.review import interface
from pipeline.review.errors import LabelStudioError
from pipeline.review.queries import Draft, Listed, Project, Settings
from pipeline.review.replay import Work
from pipeline.review.shown import KINDS, MODEL_VERSION, Kind, ReviewTask

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class StandIn:
    """Has the methods of `Client` that push, pull and restore use, and those of a reviewer's browser.

    What comes in and goes out is copied, as a connection would.
    """

    def __init__(self, url: str = "memory:", email: str = "reviewer@example.com") -> None:
        self.url = url
        self._email = email
        self._projects: dict[tuple[str, Kind], int] = {}
        self._tasks: dict[int, dict[int, dict[str, Any]]] = {}
        self._ids = count(1)

    def whoami(self) -> str:
        return self._email

    def people(self) -> dict[int, str]:
        return {1: self._email}

    def disarm_keys(self) -> None: ...

    # Projects

    def find_project(self, show: str, kind: Kind) -> Project | None:
        id_ = self._projects.get((show, kind))
        return None if id_ is None else Project(id_, f"{self.url}/projects/{id_}/data")

    def need_project(self, show: str, kind: Kind) -> Project:
        found = self.find_project(show, kind)
        if found is None:
            raise LabelStudioError(f"{self.url} has no {kind} project of {show!r}")
        return found

    def projects_of(self, show: str) -> dict[Kind, Project]:
        return {kind: found for kind in KINDS if (found := self.find_project(show, kind))}

    def make_project(self, show: str, kind: Kind) -> Project:
        id_ = self._projects[show, kind] = next(self._ids)
        self._tasks[id_] = {}
        return Project(id_, f"{self.url}/projects/{id_}/data", new=True)

    def settings(self, project: Project) -> Settings:
        kind = next(kind for (_, kind), id_ in self._projects.items() if id_ == project.id)
        return Settings(interface.config(kind), shows_predictions=True, model_version=MODEL_VERSION)

    def mend_project(self, project: Project, standing: Settings, kind: Kind) -> None: ...

    def serve(self, project: Project, folder: str) -> None: ...

    def open_newest(self, project: Project, standing: Settings) -> None: ...

    # Tasks

    def listing(self, project: Project) -> Iterator[Listed]:
        for task in self._tasks[project.id].values():
            data = task["data"]
            yield Listed(
                id=task["id"],
                key=data["key"],
                rev=data["rev"],
                episode=data["episode"],
                archived=data.get("archived", ""),
                in_queue=not task["is_labeled"],
                score=task["predictions"][0]["score"],
                predictions=len(task["predictions"]),
                annotations=sum(not annotation["was_cancelled"] for annotation in task["annotations"]),
                skips=sum(annotation["was_cancelled"] for annotation in task["annotations"]),
            )

    def confirms(self, project: Project, listed: Sequence[Listed]) -> bool:
        now = {task.id: task for task in self.listing(project)}

        def same(one: Listed) -> bool:
            there = now.get(one.id)
            if there is None or bool(there.archived) != bool(one.archived):
                return False
            return not there.in_queue if one.archived else bool(there.rev == one.rev and there.predictions)

        return len(now) == len(listed) and all(map(same, listed))

    def answered(self, project: Project) -> dict[int, str]:
        return {id_: task["updated_at"] for id_, task in self._tasks[project.id].items() if task["annotations"]}

    def details(self, project: Project, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        for id_ in sorted(ids):
            task = _copy(self._tasks[project.id][id_])
            yield {**task, "drafts": [{"result": task["drafts"]}] if task["drafts"] else []}

    def drafts(self, project: Project) -> list[Draft]:
        return [Draft(id_, 1, _copy(task["drafts"])) for id_, task in self._tasks[project.id].items() if task["drafts"]]

    def create(self, project: Project, tasks: Sequence[ReviewTask], work: Mapping[str, Work]) -> list[int]:
        made = []
        for task in tasks:
            remembered = {"rev": task.rev, "shown": task.shown.model_dump(mode="json")}
            plain = {"data": task.data, "meta": {"shown": [remembered]}, "annotations": []}
            its = _copy(work[task.key].on(plain) if task.key in work else plain)
            standing = {
                **its,
                "id": next(self._ids),
                "predictions": [self._prediction(task)],
                "drafts": [],
                "annotations": [],
                "is_labeled": False,
            }
            self._tasks[project.id][standing["id"]] = standing
            for annotation in its["annotations"]:
                self._annotate(standing, annotation)
            self._touch(standing)
            made.append(standing["id"])
        return made

    def replace(self, standing: Mapping[str, Any], task: ReviewTask, meta: Mapping[str, Any]) -> None:
        ours = self._find(standing["id"])
        back = "archived" in ours["data"]
        ours |= {"data": _copy(task.data), "meta": _copy(meta), "predictions": [self._prediction(task)]}
        if back:
            ours["is_labeled"] = any(not annotation["was_cancelled"] for annotation in ours["annotations"])
        self._touch(ours)

    def rescore(self, standing: Mapping[str, Any], score: float) -> None:
        ours = self._find(standing["id"])
        ours["predictions"][0]["score"] = score
        self._touch(ours)

    def archive(self, standing: Mapping[str, Any], why: str) -> None:
        ours = self._find(standing["id"])
        ours["data"] |= {"archived": why}
        ours["is_labeled"] = True
        self._touch(ours)

    def put_back(self, standing: Mapping[str, Any], work: Work) -> None:
        ours = self._find(standing["id"])
        ours["meta"] = _copy(work.remembered(ours["meta"]))
        for annotation in work.annotations:
            self._annotate(ours, _copy(annotation))

    # A reviewer's browser, and a careless one

    def submit(
        self, task: Mapping[str, Any], result: Sequence[dict[str, Any]], seconds: float, *, skip: bool = False
    ) -> None:
        given = {"result": [] if skip else result, "lead_time": seconds, "was_cancelled": skip, "completed_by": 1}
        self._annotate(self._find(task["id"]), _copy(given))

    def leave_draft(self, task: Mapping[str, Any], result: Sequence[dict[str, Any]]) -> None:
        self._find(task["id"])["drafts"] = _copy(result)

    def delete_project(self, show: str, kind: Kind) -> None:
        del self._tasks[self._projects.pop((show, kind))]

    def _annotate(self, task: dict[str, Any], annotation: Mapping[str, Any]) -> None:
        self._touch(task)
        own = {"id": next(self._ids), "task": task["id"], "updated_at": task["updated_at"]}
        task["annotations"].append({**annotation, **own})
        task["is_labeled"] = task["is_labeled"] or not annotation["was_cancelled"]

    def _prediction(self, task: ReviewTask) -> dict[str, Any]:
        return _copy(
            {"id": next(self._ids), "model_version": MODEL_VERSION, "score": task.score, "result": task.result}
        )

    def _find(self, id_: int) -> dict[str, Any]:
        return next(tasks[id_] for tasks in self._tasks.values() if id_ in tasks)

    def _touch(self, task: dict[str, Any]) -> None:
        task["updated_at"] = (NOON + timedelta(seconds=next(self._ids))).isoformat()


def _copy(value: Any) -> Any:
    """What JSON makes of it, and nothing that two sides would share."""
    return copy.deepcopy(value) if isinstance(value, (str, int, float, bool)) else json.loads(json.dumps(value))
