"""What Dailies reads of the tasks in a Label Studio; nothing here writes."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import httpx

from pipeline.review.connection import Connection, json_of
from pipeline.review.errors import LabelStudioError
from pipeline.review.shown import ANSWERED, DOUBLE

LIST_PAGE = 1000
DETAIL_PAGE = 200
CONFIRM_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    url: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project is set to, as far as a push must know. `model_version` names the predictions that it opens."""

    config: str
    shows_predictions: bool
    model_version: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as the server has it, as far as a push must know. `key` is empty where somebody else made it.

    `archived` says why it is, "" if it is not. `score` is None where it cannot be told which prediction has it.
    """

    id: int
    key: str
    rev: str
    episode: str
    archived: str
    in_queue: bool
    score: float | None
    predictions: int
    annotations: int
    skips: int

    @property
    def replaced(self) -> bool:
        """Whether another task has taken its place for good."""
        return self.archived in (DOUBLE, ANSWERED)


@dataclass(frozen=True, slots=True)
class Draft:
    """Work of a person (their e-mail) on a task that was not sent yet."""

    task: int
    by: str
    result: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Counters:
    """What the server itself counts. Archived tasks are among `tasks` and `done`; `done` are those with an answer."""

    tasks: int
    done: int
    skips: int


class Queries(Connection):
    """Questions about the tasks of a project."""

    def settings(self, project: Project) -> Settings:
        with self._asking(f"for project {project.id}"):
            found = json_of(self._request(f"api/projects/{project.id}/", method="GET"))
        # Label Studio strips the config too.
        config = (found["label_config"] or "").strip()
        return Settings(config, bool(found["show_collab_predictions"]), found["model_version"] or "")

    def listing(self, project: Project) -> Iterator[Listed]:
        """Every task of a project, in the order of ids."""
        include = "id,data,is_labeled,predictions_score,total_predictions,total_annotations,cancelled_annotations"
        for task in self._pages(project, LIST_PAGE, fields="all", include=include):
            data, score = task["data"], task["predictions_score"]
            yield Listed(
                id=task["id"],
                key=str(data.get("key", "")),
                rev=str(data.get("rev", "")),
                episode=str(data.get("episode", "")),
                archived=str(data.get("archived", "")),
                in_queue=not task["is_labeled"],
                # The mean of all predictions.
                score=score if task["total_predictions"] == 1 else None,
                # The server's own count goes wrong: once it has deleted any project, it stops counting what is deleted
                # until it is started anew (Django remembers that nobody listens, which is so while projects go).
                predictions=0 if score is None else task["total_predictions"],
                annotations=task["total_annotations"],
                skips=task["cancelled_annotations"],
            )

    def confirms(self, project: Project, listed: Sequence[Listed]) -> bool:
        """Whether the server, asked now, still holds just these tasks at just these revisions, each with a prediction.

        It counts in its database, which takes a hundredth of the time of a listing. No task can stand for another:
        each batch names its ids and its revisions, and the batches are others each time.
        """
        live = [task for task in listed if not task.archived]
        archived = [task.id for task in listed if task.archived]
        if self._count(project) != len(listed) or any(not task.predictions for task in live):
            return False
        random.shuffle(live)
        here = [
            _filter("data.archived", "empty", "true"),
            _filter("predictions_score", "greater_or_equal", 0, "Number"),
        ]
        for start in range(0, len(live), CONFIRM_BATCH):
            batch = live[start : start + CONFIRM_BATCH]
            revisions = _filter("data.rev", "in_list", [task.rev for task in batch])
            if self._count(project, [revisions, *here], [task.id for task in batch]) != len(batch):
                return False
        out = [_filter("data.archived", "empty", "false"), _filter("is_labeled", "equal", True, "Boolean")]
        return all(
            self._count(project, out, some) == len(some)
            for some in (archived[start : start + CONFIRM_BATCH] for start in range(0, len(archived), CONFIRM_BATCH))
        )

    def _count(self, project: Project, filters: Sequence[dict[str, Any]] = (), ids: Sequence[int] | None = None) -> int:
        """How many tasks pass all filters; the query goes in the body, for it is longer than addresses may be."""
        query: dict[str, Any] = {"filters": {"conjunction": "and", "items": list(filters)}} if filters else {}
        if ids is not None:
            query["selectedItems"] = {"all": False, "included": list(ids)}
        params = {"project": project.id, "page_size": 1, "include": "id"}
        with self._asking(f"to count tasks of project {project.id}"):
            response = self._request("api/tasks/", method="GET", params=params, json=query)
            # A page of nothing is "not found" in Label Studio's words.
            return 0 if response.status_code == httpx.codes.NOT_FOUND else int(json_of(response)["total"])

    def answered(self, project: Project) -> dict[int, str]:
        """The tasks that somebody answered or skipped; what each is mapped to changes when anything of it does."""
        some = [_filter(name, "greater", 0, "Number") for name in ("total_annotations", "cancelled_annotations")]
        query = json.dumps({"filters": {"conjunction": "or", "items": some}})
        include = "id,updated_at,total_annotations,cancelled_annotations"
        return {
            task["id"]: f"{task['updated_at']} {task['total_annotations']} {task['cancelled_annotations']}"
            for task in self._pages(project, LIST_PAGE, fields="task_only", include=include, query=query)
        }

    def counters(self, project: Project) -> Counters:
        """What the server counts anyway: cheap enough to ask for every few seconds."""
        with self._asking(f"for the counters of project {project.id}"):
            found = json_of(self._request(f"api/projects/{project.id}/", method="GET"))
        return Counters(
            tasks=found["task_number"],
            done=found["num_tasks_with_annotations"],
            skips=found["skipped_annotations_number"],
        )

    def archived_unanswered(self, project: Project) -> int:
        """How many tasks are out of the queue though nobody answered them."""
        empty = _filter("data.archived", "empty", "false")
        return self._count(project, [empty, _filter("total_annotations", "equal", 0, "Number")])

    def newer(self, project: Project, since: str) -> int:
        """How many tasks that somebody answered or skipped the server has touched after `since`, one of its stamps."""
        after = [_filter("updated_at", "greater", since, "Datetime")] if since else []
        answered = _filter("total_annotations", "greater", 0, "Number")
        skipped = [
            _filter("total_annotations", "equal", 0, "Number"),
            _filter("cancelled_annotations", "greater", 0, "Number"),
        ]
        return self._count(project, [*after, answered]) + self._count(project, [*after, *skipped])

    def details(self, project: Project, ids: Sequence[int]) -> Iterator[dict[str, Any]]:
        """The tasks of these ids whole, with annotations, drafts, predictions and meta."""
        for start in range(0, len(ids), DETAIL_PAGE):
            wanted = list(ids[start : start + DETAIL_PAGE])
            chosen = {"selectedItems": {"all": False, "included": wanted}}
            found = list(self._pages(project, DETAIL_PAGE, fields="all", query=json.dumps(chosen)))
            if len(found) < len(wanted):
                raise LabelStudioError(
                    f"somebody deleted tasks of project {project.id} while they were read: try again"
                )
            yield from found

    def drafts(self, project: Project) -> list[Draft]:
        """Everybody's work that was not sent yet."""
        item = _filter("draft_exists", "equal", True, "Boolean")
        query = json.dumps({"filters": {"conjunction": "and", "items": [item]}})
        ids = [task["id"] for task in self._pages(project, LIST_PAGE, fields="task_only", include="id", query=query)]
        found = []
        for start in range(0, len(ids), DETAIL_PAGE):
            # Only an export tells the drafts of others.
            params = {"download_all_tasks": True, "ids[]": ids[start : start + DETAIL_PAGE]}
            with self._asking(f"for the drafts of project {project.id}"):
                tasks = json_of(self._request(f"api/projects/{project.id}/export", method="GET", params=params))
            found += [Draft(task["id"], draft["user"], draft["result"]) for task in tasks for draft in task["drafts"]]
        return found

    def _pages(self, project: Project, size: int, **query: Any) -> Iterator[dict[str, Any]]:
        """The tasks of a query, page after page. Links in their data stay as they are, which saves most of the time."""
        seen = 0
        for page in count(1):
            params = {"project": project.id, "page": page, "page_size": size, "resolve_uri": False, **query}
            with self._asking(f"for the tasks of project {project.id}"):
                response = self._request("api/tasks/", method="GET", params=params)
                if response.status_code == httpx.codes.NOT_FOUND and page > 1:
                    # There is no such page where tasks were deleted meanwhile, or the project was.
                    raise LabelStudioError(f"tasks of project {project.id} went away while they were read: try again")
                found = json_of(response)
            yield from found["tasks"]
            seen += len(found["tasks"])
            if seen >= found["total"]:
                return


def _filter(name: str, operator: str, value: Any, kind: str = "String") -> dict[str, Any]:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}
