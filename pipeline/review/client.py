"""Everything that Dailies asks a Label Studio, here or elsewhere, and what its refusals mean."""

import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import httpx

from pipeline.review import interface
from pipeline.review.errors import LabelStudioError
from pipeline.review.replay import Work
from pipeline.review.shown import MODEL_VERSION, Kind, ReviewTask

if TYPE_CHECKING:
    from label_studio_sdk.core.request_options import RequestOptions

LIST_PAGE = 1000
DETAIL_PAGE = 200
CONFIRM_BATCH = 1000
TIMEOUT_SECONDS = 300.0  # an import of 500 tasks takes a second or two, and ten times that on a busy laptop

# The SDK repeats what failed. A task imported twice is a duplicate, so what creates is asked once; push finds out.
ONCE: "RequestOptions" = {"max_retries": 0}


@dataclass(frozen=True, slots=True)
class Project:
    id: int
    url: str
    new: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """A task as the server has it, as far as a push must know. `key` is empty where somebody else made it."""

    id: int
    key: str
    rev: str
    episode: str
    archived: bool
    in_queue: bool
    predictions: int
    annotations: int
    skips: int


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


class Client:
    """A session with one server. Use it in a `with`. Raises LabelStudioError for all that the server does wrong."""

    def __init__(self, url: str, token: str, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """`token`: a legacy token, or a personal access token (the SDK tells them apart and renews the second)."""
        from label_studio_sdk import LabelStudio

        self.url = url.rstrip("/")
        # A proxy of the environment would be asked for 127.0.0.1 too.
        self._http = httpx.Client(timeout=timeout, follow_redirects=True, trust_env="127.0.0.1" not in url)
        self._sdk = LabelStudio(  # type: ignore[no-untyped-call]
            base_url=self.url, api_key=token, timeout=timeout, httpx_client=self._http
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def whoami(self) -> str:
        """The e-mail of the token's owner."""
        with self._asking("who the token belongs to"):
            return str(self._sdk.users.whoami().email)

    def people(self) -> dict[int, str]:
        """E-mails by user id."""
        with self._asking("who works here"):
            return {user.id: str(user.email) for user in self._sdk.users.list() if user.id is not None}

    def invitation(self) -> str:
        """The token with which somebody may sign up."""
        with self._asking("for an invitation"):
            return str(_body(self._request("api/invite", method="GET"))["token"])

    def disarm_keys(self) -> None:
        """Switch off the keys that delete work for the token's owner, and leave their other keys as they set them."""
        with self._asking("for the reviewer's keys"):
            keys = dict(self._sdk.users.get_hotkeys().custom_hotkeys or {})
            wanted = keys | {name: {"key": key, "active": False} for name, key in interface.DISARMED.items()}
            if wanted != keys:
                self._sdk.users.update_hotkeys(custom_hotkeys=wanted)

    # Projects

    def find_project(self, show: str, kind: Kind) -> Project | None:
        """The show's project, by the mark in its description: people may rename it."""
        mark = _mark(show, kind)
        with self._asking("for its projects"):
            listed: Iterable[Any] = self._sdk.projects.list(include="id,description", page_size=100)
            found = [project.id for project in listed if mark in (project.description or "")]
        if len(found) > 1:
            raise LabelStudioError(
                f"projects {', '.join(map(str, found))} of {self.url} all bear the mark {mark}: take it out of the"
                " description of all but one (a duplicated project takes it along)"
            )
        return self._project(found[0]) if found else None

    def need_project(self, show: str, kind: Kind) -> Project:
        """The show's project. Raises LabelStudioError where there is none."""
        found = self.find_project(show, kind)
        if found is None:
            raise LabelStudioError(
                f"{self.url} has no {kind} project of {show!r}: it was never pushed, or somebody deleted it;"
                " `dailies push` makes it anew, `dailies review restore` with its answers (decisions pulled before are"
                " safe in the show's store)"
            )
        return found

    def ensure_project(self, show: str, kind: Kind) -> Project:
        """Find the show's project or make it, and see to it that its labeling config is ours."""
        xml = interface.config(kind)
        found = self.find_project(show, kind)
        if found is None:
            with self._asking(f"for a new {kind} project"):
                made = self._sdk.projects.create(
                    title=f"{show} · {kind}"[:50],
                    description=f"Made and kept up to date by Dailies. {_mark(show, kind)}",
                    label_config=xml,
                    expert_instruction=interface.instruction(kind),
                    show_collab_predictions=True,
                    sampling="Uncertainty sampling",
                    skip_queue="REQUEUE_FOR_ME",
                    request_options=ONCE,
                )
                assert made.id is not None
                self._sdk.views.create(project=made.id, data=interface.VIEW)
            return self._project(made.id, new=True)
        with self._asking(f"for project {found.id}"):
            standing = self._sdk.projects.get(found.id)
        changes: dict[str, Any] = {}
        if (standing.label_config or "").strip() != xml:
            changes["label_config"] = xml
        if not standing.show_collab_predictions:
            changes["show_collab_predictions"] = True
        if changes:
            remedy = "; existing answers use what the new config lacks: put the control or choice back into it"
            with self._asking(f"to take the new labeling config of project {found.id}", remedy):
                self._sdk.projects.update(found.id, **changes)
        return found

    def has_config(self, project: Project, kind: Kind) -> bool:
        """Whether the project's labeling config is ours, just as it is now."""
        with self._asking(f"for project {project.id}"):
            standing = self._sdk.projects.get(project.id).label_config or ""
        return standing.strip() == interface.config(kind)

    def serve(self, project: Project, folder: str) -> None:
        """Let the server hand out the files under `folder` (its own path) to this project's reviewers."""
        remedy = "; the folder must exist on the server, below its LOCAL_FILES_DOCUMENT_ROOT"
        with self._asking(f"to serve {folder}", remedy):
            storages = self._sdk.import_storage.local
            if not any(storage.path == folder for storage in storages.list(project=project.id)):
                # The record alone grants the files. A sync would make tasks of them; the filter matches none.
                storages.create(project=project.id, path=folder, title="clips", use_blob_urls=True, regex_filter="$^")

    def open_newest(self, project: Project) -> None:
        """See to it that the queue and the editor go by our predictions, whatever else was imported."""
        with self._asking(f"which predictions project {project.id} opens"):
            if self._sdk.projects.get(project.id).model_version != MODEL_VERSION:
                self._sdk.projects.update(project.id, model_version=MODEL_VERSION)

    # Tasks

    def listing(self, project: Project) -> Iterator[Listed]:
        """Every task of a project, in the order of ids."""
        include = "id,data,is_labeled,total_predictions,total_annotations,cancelled_annotations"
        for task in self._pages(project, LIST_PAGE, fields="task_only", include=include):
            data = task["data"]
            yield Listed(
                id=task["id"],
                key=str(data.get("key", "")),
                rev=str(data.get("rev", "")),
                episode=str(data.get("episode", "")),
                archived=bool(data.get("archived")),
                in_queue=not task["is_labeled"],
                predictions=task["total_predictions"],
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
        here = [_filter("data.archived", "empty", "true"), _filter("total_predictions", "greater", 0, "Number")]
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
            return 0 if response.status_code == httpx.codes.NOT_FOUND else int(_body(response)["total"])

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
            found = _body(self._request(f"api/projects/{project.id}/", method="GET"))
        return Counters(
            tasks=found["task_number"],
            done=found["num_tasks_with_annotations"],
            skips=found["skipped_annotations_number"],
        )

    def archived_unanswered(self, project: Project) -> int:
        """How many tasks are out of the queue though nobody answered them."""
        empty = _filter("data.archived", "empty", "false")
        return self._count(project, [empty, _filter("total_annotations", "equal", 0, "Number")])

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
                tasks = _body(self._request(f"api/projects/{project.id}/export", method="GET", params=params))
            found += [Draft(task["id"], draft["user"], draft["result"]) for task in tasks for draft in task["drafts"]]
        return found

    def create(self, project: Project, tasks: Sequence[ReviewTask], work: Mapping[str, Work]) -> list[int]:
        """Import tasks with their predictions, and the `work` on them by key, in one request; their ids, in order."""
        request = [_import(task, work.get(task.key)) for task in tasks]
        with self._asking(f"to take {len(tasks)} tasks", "; the next push finds out which of them arrived"):
            # Written out here: the SDK would look at each value of each task on its own, which takes as long as the
            # server does.
            response = self._request(
                f"api/projects/{project.id}/import",
                method="POST",
                params={"return_task_ids": True},
                content=json.dumps(request).encode(),
                headers={"Content-Type": "application/json"},
                request_options=ONCE,
            )
            ids: list[int] = _body(response)["task_ids"]
            return ids

    def replace(self, standing: dict[str, Any], task: ReviewTask, meta: dict[str, Any]) -> None:
        """Bring a task (as `details` gave it) to a new revision; annotations and drafts stay as they are.

        The prediction goes first: `data.rev` says that all is done, so what is cut off between is done again.
        """
        ours = sorted(p["id"] for p in standing["predictions"] if p["model_version"] == MODEL_VERSION)
        # Whether it is done is Label Studio's own to say, but for a task that comes back from the archive.
        back: dict[str, Any] = {}
        if standing["data"].get("archived"):
            answered = any(not annotation["was_cancelled"] for annotation in standing["annotations"])
            back = {"overlap": 1, "is_labeled": answered}
        with self._asking(f"to update {task.key}", "; the next push does it again"):
            if ours:
                self._sdk.predictions.update(ours[0], result=task.result, score=task.score)
            else:
                self._sdk.predictions.create(task=standing["id"], **_prediction(task), request_options=ONCE)
            self._sdk.tasks.update(str(standing["id"]), data=task.data, meta=meta, **back)

    def archive(self, standing: dict[str, Any], why: str) -> None:
        """Take a task out of the queue for good; it stays, with all work on it, and can come back."""
        data = standing["data"] | {"archived": why}
        with self._asking(f"to archive {data['key']}", "; the next push does it again"):
            self._sdk.tasks.update(str(standing["id"]), data=data, overlap=0, is_labeled=True)

    def put_back(self, standing: dict[str, Any], work: Work) -> None:
        """Bring work that was lost back to a task; who did it goes first, so that nothing counts as somebody else's."""
        with self._asking(f"to put answers back on task {standing['id']}", "; restoring again does what is left"):
            self._sdk.tasks.update(str(standing["id"]), meta=work.remembered(standing.get("meta") or {}))
            for annotation in work.annotations:
                self._sdk.annotations.create(standing["id"], **annotation, request_options=ONCE)

    # A reviewer's own requests

    def next_task(self, project: Project) -> dict[str, Any] | None:
        """What the browser would be given next; None when the queue is empty."""
        with self._asking("for the next task"):
            response = self._request(f"api/projects/{project.id}/next", method="GET")
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            found: dict[str, Any] = _body(response)
            return found

    def submit(
        self, task: Mapping[str, Any], result: Sequence[dict[str, Any]], seconds: float, *, skip: bool = False
    ) -> None:
        """Send an annotation as the Submit button does, or an empty one as the Skip button does."""
        with self._asking(f"to take the answer to task {task['id']}"):
            self._sdk.annotations.create(
                task["id"],
                result=[] if skip else result,
                lead_time=seconds,
                parent_prediction=our_prediction(task)["id"],
                was_cancelled=skip,
                ground_truth=False,
                request_options=ONCE,
            )

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
                found = _body(response)
            yield from found["tasks"]
            seen += len(found["tasks"])
            if seen >= found["total"]:
                return

    def _request(self, path: str, **options: Any) -> httpx.Response:
        """What the SDK has no method for, or a slow one; its HTTP client brings address, token and its renewal."""
        return self._sdk._client_wrapper.httpx_client.request(path, **options)

    def _project(self, id_: int, *, new: bool = False) -> Project:
        return Project(id_, f"{self.url}/projects/{id_}/data", new)

    @contextmanager
    def _asking(self, what: str, remedy: str = "") -> Iterator[None]:
        """Put into words what went wrong while asking the server `what`."""
        from label_studio_sdk.core.api_error import ApiError

        try:
            yield
        except httpx.TimeoutException as error:
            raise LabelStudioError(f"{self.url} did not answer in time, asked {what}{remedy}") from error
        except httpx.HTTPStatusError as error:
            raise LabelStudioError(
                self._refusal(error.response.status_code, error.response.text, what, remedy)
            ) from error
        except httpx.HTTPError as error:
            raise LabelStudioError(
                f"no Label Studio answers at {self.url} ({error}): start it with `dailies up`, or set label_studio_url"
            ) from error
        except ApiError as error:
            raise LabelStudioError(self._refusal(error.status_code or 0, error.body, what, remedy)) from error

    def _refusal(self, status: int, body: object, what: str, remedy: str) -> str:
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return (
                f"{self.url} refuses the token ({status}): take a new one from its page Account & Settings and set"
                " DAILIES_LABEL_STUDIO_TOKEN (a legacy token works only where the organization allows them)"
            )
        if status == httpx.codes.NOT_FOUND:
            return f"{self.url} does not have what was asked {what}: somebody deleted it meanwhile; push again"
        said = body.get("validation_errors") or body.get("detail") if isinstance(body, dict) else body
        return f"{self.url} refused, asked {what} ({status}: {str(said)[:600]}){remedy}"


def _body(response: httpx.Response) -> Any:
    """The JSON of an answer. Raises httpx.HTTPStatusError where it is a refusal."""
    response.raise_for_status()
    return response.json()


def _filter(name: str, operator: str, value: Any, kind: str = "String") -> dict[str, Any]:
    return {"filter": f"filter:tasks:{name}", "operator": operator, "type": kind, "value": value}


def _mark(show: str, kind: Kind) -> str:
    return f"[dailies:{show}:{kind}]"


def our_prediction(task: Mapping[str, Any]) -> dict[str, Any]:
    """The prediction of a task that the editor opens. Raises LabelStudioError where somebody deleted it."""
    ours = [prediction for prediction in task["predictions"] if prediction["model_version"] == MODEL_VERSION]
    if not ours:
        raise LabelStudioError(f"task {task['id']} has lost its prediction: push again")
    found: dict[str, Any] = min(ours, key=lambda prediction: prediction["id"])
    return found


def _prediction(task: ReviewTask) -> dict[str, Any]:
    return {"model_version": MODEL_VERSION, "score": task.score, "result": task.result}


def _import(task: ReviewTask, work: Work | None) -> dict[str, Any]:
    made = {"data": task.data, "meta": {"shown": [_remembered(task)]}, "predictions": [_prediction(task)]}
    return work.on(made) if work else made


def _remembered(task: ReviewTask) -> dict[str, Any]:
    return {"rev": task.rev, "shown": task.shown.model_dump(mode="json")}
