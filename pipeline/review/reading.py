"""What the answers in Label Studio say; what was read once is not asked for again."""

from collections.abc import Mapping
from typing import Any

from pipeline.engine.store import Store
from pipeline.review import answers, known, replay
from pipeline.review.client import Client
from pipeline.review.queries import Project
from pipeline.review.shown import Kind


def readings(
    client: Client, show: str, kind: Kind, project: Project, people: Mapping[int, str], store: Store | None
) -> dict[int, known.Read]:
    """What the answers to each task of a project say, by task id; the `store` remembers them."""
    stamps = client.answered(project)
    before = known.readings(store, show, kind, project, people) if store else {}
    found = {id_: before[id_] for id_, stamp in stamps.items() if id_ in before and before[id_].stamp == stamp}
    fresh = [id_ for id_ in stamps if id_ not in found]
    for task in client.details(project, fresh):
        found[task["id"]] = read(task, kind, project, people, stamps[task["id"]])
    if store and (fresh or len(found) != len(before)):
        known.remember_readings(store, show, kind, project, people, found)
    return found


def read(
    task: Mapping[str, Any], kind: Kind, project: Project, people: Mapping[int, str], stamp: str = ""
) -> known.Read:
    """What the answers to one task (as `Client.details` gave it) say."""
    found = known.Read(stamp)
    meta = task["meta"] or {}
    for annotation in replay.as_they_were(task["annotations"], meta):
        by = annotation.get("by") or people.get(annotation["completed_by"], f"user {annotation['completed_by']}")
        try:
            found.decisions.append(answers.decision(kind, task["data"], meta, annotation, by))
        except ValueError as error:
            found.unreadable.append(f"{project.url}?task={task['id']}: {error}")
    return found
