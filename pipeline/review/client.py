"""Everything that Dailies asks a Label Studio, here or elsewhere, and what its refusals mean."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from pipeline.review import interface
from pipeline.review.errors import LabelStudioError
from pipeline.review.shown import MODEL_VERSION, Kind, ReviewTask

if TYPE_CHECKING:
    from label_studio_sdk.core.request_options import RequestOptions

LIST_PAGE = 1000
DETAIL_PAGE = 200
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
                " `dailies push` makes it anew (decisions pulled before are safe in the show's store)"
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

    def drafts(self, project: Project) -> int:
        """How many tasks have work that was not sent yet."""
        item = {"filter": "filter:tasks:draft_exists", "operator": "equal", "type": "Boolean", "value": True}
        query = {"filters": {"conjunction": "and", "items": [item]}}
        return sum(
            1 for _ in self._pages(project, LIST_PAGE, fields="task_only", include="id", query=json.dumps(query))
        )

    def create(self, project: Project, tasks: Sequence[ReviewTask]) -> None:
        """Import tasks with their predictions in one request."""
        request: list[Any] = [
            {"data": task.data, "meta": {"shown": [_remembered(task)]}, "predictions": [_prediction(task)]}
            for task in tasks
        ]
        with self._asking(f"to take {len(tasks)} tasks", "; the next push finds out which of them arrived"):
            self._sdk.projects.import_tasks(project.id, request=request, request_options=ONCE)

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

    # A reviewer's own requests

    def next_task(self, project: Project) -> dict[str, Any] | None:
        """What the browser would be given next; None when the queue is empty."""
        # The SDK has no method for it; its HTTP client brings the address, the token and its renewal.
        with self._asking("for the next task"):
            response = self._sdk._client_wrapper.httpx_client.request(f"api/projects/{project.id}/next", method="GET")
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            response.raise_for_status()
            found: dict[str, Any] = response.json()
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
        with self._asking(f"for the tasks of project {project.id}"):
            pages: Any = self._sdk.tasks.list(project=project.id, page_size=size, **query)
            missing = pages.response.total or 0
            for task in pages:
                missing -= 1
                yield task.dict()
        # The SDK takes "not found" for the end of the pages, also where the project was deleted between two of them.
        if missing > 0:
            raise LabelStudioError(f"{missing} tasks of project {project.id} went away while they were read: try again")

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


def _remembered(task: ReviewTask) -> dict[str, Any]:
    return {"rev": task.rev, "shown": task.shown.model_dump(mode="json")}
