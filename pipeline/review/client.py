"""Everything that Dailies asks a Label Studio, here or elsewhere."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx

from pipeline.review import interface
from pipeline.review.connection import json_of
from pipeline.review.errors import LabelStudioError
from pipeline.review.queries import Project, Queries, Settings
from pipeline.review.replay import Work
from pipeline.review.shown import KINDS, MODEL_VERSION, Kind, ReviewTask

if TYPE_CHECKING:
    from label_studio_sdk.core.request_options import RequestOptions

# The SDK repeats what failed. A task imported twice is a duplicate, so what creates is asked once; push finds out.
ONCE: "RequestOptions" = {"max_retries": 0}


class Client(Queries):
    """A session with one server. Use it in a `with`. Raises LabelStudioError for all that the server does wrong."""

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
            return str(json_of(self._request("api/invite", method="GET"))["token"])

    def disarm_keys(self) -> None:
        """Switch off the keys that delete work for the token's owner, and leave their other keys as they set them."""
        with self._asking("for the reviewer's keys"):
            keys = dict(self._sdk.users.get_hotkeys().custom_hotkeys or {})
            wanted = keys | {name: {"key": key, "active": False} for name, key in interface.DISARMED.items()}
            if wanted != keys:
                self._sdk.users.update_hotkeys(custom_hotkeys=wanted)

    # Projects

    def projects_of(self, show: str) -> dict[Kind, Project]:
        """The show's projects, by the marks in their descriptions: people may rename them."""
        listed = list(self._all("api/projects/", "for its projects", include="id,description"))
        found: dict[Kind, Project] = {}
        for kind in KINDS:
            mark = _mark(show, kind)
            ids = [project["id"] for project in listed if mark in (project["description"] or "")]
            if len(ids) > 1:
                raise LabelStudioError(
                    f"projects {', '.join(map(str, ids))} of {self.url} all bear the mark {mark}: take it out of the"
                    " description of all but one (a duplicated project takes it along)"
                )
            if ids:
                found[kind] = self._project(ids[0])
        return found

    def find_project(self, show: str, kind: Kind) -> Project | None:
        return self.projects_of(show).get(kind)

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

    def make_project(self, show: str, kind: Kind) -> Project:
        with self._asking(f"for a new {kind} project"):
            made = self._sdk.projects.create(
                title=f"{show} · {kind}"[:50],
                description=f"Made and kept up to date by Dailies. {_mark(show, kind)}",
                label_config=interface.config(kind),
                expert_instruction=interface.instruction(kind),
                show_collab_predictions=True,
                sampling="Uncertainty sampling",
                skip_queue="REQUEUE_FOR_ME",
                request_options=ONCE,
            )
            assert made.id is not None
            self._sdk.views.create(project=made.id, data=interface.VIEW)
        return self._project(made.id, new=True)

    def mend_project(self, project: Project, standing: Settings, kind: Kind) -> None:
        """See to it that a project's labeling config is ours and that reviewers are shown our predictions."""
        changes: dict[str, Any] = {}
        if standing.config != interface.config(kind):
            changes["label_config"] = interface.config(kind)
        if not standing.shows_predictions:
            changes["show_collab_predictions"] = True
        if changes:
            remedy = "; existing answers use what the new config lacks: put the control or choice back into it"
            with self._asking(f"to take the new labeling config of project {project.id}", remedy):
                self._sdk.projects.update(project.id, **changes)

    def serve(self, project: Project, folder: str) -> None:
        """Let the server hand out the files under `folder` (its own path) to this project's reviewers."""
        remedy = "; the folder must exist on the server, below its LOCAL_FILES_DOCUMENT_ROOT"
        with self._asking(f"to serve {folder}", remedy):
            storages = self._sdk.import_storage.local
            if not any(storage.path == folder for storage in storages.list(project=project.id)):
                # The record alone grants the files. A sync would make tasks of them; the filter matches none.
                storages.create(project=project.id, path=folder, title="clips", use_blob_urls=True, regex_filter="$^")

    def open_newest(self, project: Project, standing: Settings) -> None:
        """See to it that the queue and the editor go by our predictions, whatever else was imported."""
        if standing.model_version != MODEL_VERSION:
            with self._asking(f"to open our predictions in project {project.id}"):
                self._sdk.projects.update(project.id, model_version=MODEL_VERSION)

    # Tasks

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
            ids: list[int] = json_of(response)["task_ids"]
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

    def rescore(self, standing: dict[str, Any], score: float) -> None:
        """Give a task (as `details` gave it) another place in the queue."""
        with self._asking(f"to move task {standing['id']} in the queue", "; the next push does it again"):
            self._sdk.predictions.update(our_prediction(standing)["id"], score=score)

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
            found: dict[str, Any] = json_of(response)
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

    def _project(self, id_: int, *, new: bool = False) -> Project:
        return Project(id_, f"{self.url}/projects/{id_}/data", new)


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
