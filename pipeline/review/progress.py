"""How far people are with the tasks."""

from dataclasses import dataclass

from pipeline.review.client import Client
from pipeline.review.queries import Project
from pipeline.review.shown import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Progress:
    """How far people are with one project. `left` is what the queue still holds, skipped tasks among it."""

    kind: Kind
    project: Project
    tasks: int
    done: int
    skipped: int
    drafts: int
    archived: int

    @property
    def left(self) -> int:
        return self.tasks - self.done


def progress(client: Client, show: str) -> tuple[Progress, ...]:
    """How far people are; one for each project. Raises LabelStudioError where nothing was pushed yet."""
    found = []
    for kind in KINDS:
        project = client.need_project(show, kind)
        listed = [task for task in client.listing(project) if task.key]
        live = [task for task in listed if not task.archived]
        found.append(
            Progress(
                kind=kind,
                project=project,
                tasks=len(live),
                done=sum(task.annotations > 0 for task in live),
                skipped=sum(task.skips > 0 and not task.annotations for task in live),
                drafts=len({draft.task for draft in client.drafts(project)}),
                archived=len(listed) - len(live),
            )
        )
    return tuple(found)


def glance(client: Client, show: str) -> list[tuple[Kind, Project, int, int]]:
    """Each project with its answered and its reviewable tasks, from what the server counts anyway.

    Cheap enough for every few seconds. Tasks that were archived after somebody answered them count as done.
    """
    found: list[tuple[Kind, Project, int, int]] = []
    for kind in KINDS:
        project = client.need_project(show, kind)
        counters = client.counters(project)
        found.append((kind, project, counters.done, counters.tasks - client.archived_unanswered(project)))
    return found
