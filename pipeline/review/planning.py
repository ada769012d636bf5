"""What a push will do to one project: which tasks are new, changed, to be asked once more, moved or put away."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.engine.store import Store
from pipeline.review import interface, known, reading
from pipeline.review.client import Client
from pipeline.review.queries import Listed, Project, Settings
from pipeline.review.shown import DOUBLE, GONE, Kind, ReviewTask
from pipeline.schemas.captions import ReviewDecision

Known = Collection[tuple[object, ...]]
"""The decisions that the wanted tasks were made with, as `name` names each."""


@dataclass(slots=True)
class Plan:
    """What a push will do. `listed` are all tasks that are there; there is no `project` before the first push.

    `changed` and `moved` (which only get another place in the queue) map the ids of tasks to what they become, `away`
    to the reason why they are archived. `again` are tasks (as `Client.details` gives them) that are archived with their
    answers, each with the one that asks anew. `unchecked` are those that are not known to fit the labeling config.
    """

    kind: Kind
    tasks: Sequence[ReviewTask]
    project: Project | None = None
    settings: Settings | None = None
    listed: list[Listed] = field(default_factory=list)
    missing: list[ReviewTask] = field(default_factory=list)
    changed: dict[int, ReviewTask] = field(default_factory=dict)
    moved: dict[int, ReviewTask] = field(default_factory=dict)
    again: list[tuple[dict[str, Any], ReviewTask]] = field(default_factory=list)
    away: dict[int, str] = field(default_factory=dict)
    unchecked: Sequence[ReviewTask] = ()

    @property
    def writes(self) -> bool:
        return bool(self.missing or self.changed or self.moved or self.again or self.away)


def plan(
    client: Client,
    store: Store,
    show: str,
    kind: Kind,
    project: Project | None,
    tasks: Sequence[ReviewTask],
    decided: Known,
    concerns: Callable[[str], bool],
) -> Plan:
    """Compare what stands with the `tasks` that should, and write nothing. Tasks of episodes that do not `concern` the
    push stay as they are.
    """
    made = Plan(kind, tasks, project)
    if project is None:
        made.missing = list({task.key: task for task in tasks}.values())
        made.unchecked = tasks
        return made
    made.settings = client.settings(project)
    remembered = known.listing(store, show, kind, project)
    sure = remembered is not None and client.confirms(project, remembered)
    made.listed = remembered if remembered is not None and sure else list(client.listing(project))
    standing, made.away = by_key(made.listed)
    wanted = {task.key: task for task in tasks}
    made.missing = [task for key, task in wanted.items() if key not in standing]
    there = {key: each for key, each in standing.items() if key in wanted}
    made.again = _asked_anew(client, kind, project, there, wanted, decided)
    anew = {task["id"] for task, _ in made.again}
    for key, each in there.items():
        if each.id in anew:
            continue
        if each.rev != wanted[key].rev or each.archived or not each.predictions:
            made.changed[each.id] = wanted[key]
        elif each.score not in (None, wanted[key].score) and wanted[key].waits:
            made.moved[each.id] = wanted[key]
    for key, each in standing.items():
        if key not in wanted and concerns(each.episode) and (not each.archived or each.in_queue):
            made.away[each.id] = GONE
    # What stands on the server fitted when it left; its revision says that it is the same.
    new = [*made.missing, *made.changed.values(), *(task for _, task in made.again)]
    made.unchecked = new if made.settings.config == interface.config(kind) else tasks
    return made


def by_key(listed: Iterable[Listed]) -> tuple[dict[str, Listed], dict[int, str]]:
    """The task that stands for each key, and of others with the same key those that still are in the queue, each with
    the reason why it goes.

    An import may be repeated by somebody else, and a request that seemed to fail may have arrived. The task that
    people worked on stands, else the one not archived, else the oldest; never one that another has replaced.
    """
    standing: dict[str, Listed] = {}
    away: dict[int, str] = {}
    for task in listed:
        if task.replaced and task.in_queue:
            away[task.id] = task.archived
        if not task.key or task.replaced:
            continue
        other = standing.setdefault(task.key, task)
        if other is not task:
            first, second = sorted((other, task), key=lambda t: (not (t.annotations + t.skips), bool(t.archived), t.id))
            standing[task.key] = first
            away[second.id] = DOUBLE
    return standing, away


def name(decision: ReviewDecision) -> tuple[object, ...]:
    return decision.key, decision.by, decision.at


def _asked_anew(
    client: Client,
    kind: Kind,
    project: Project,
    there: Mapping[str, Listed],
    wanted: Mapping[str, ReviewTask],
    decided: Known,
) -> list[tuple[dict[str, Any], ReviewTask]]:
    """The answered tasks whose questions must be asked once more.

    Label Studio never serves a task again to a person who has answered it, whatever becomes of the task, and to nobody
    while it counts as labelled. So a new one asks, and the old one keeps its answers out of the queue.
    """
    asked = {each.id: wanted[key] for key, each in there.items() if wanted[key].again}
    people = client.people() if asked else {}
    found = []
    for task in client.details(project, list(asked)):
        read = reading.read(task, kind, project, people)
        answers = [decision for decision in read.decisions if not decision.skipped]
        if _is_open(asked[task["id"]], answers, task, decided):
            found.append((task, asked[task["id"]]))
    return found


def _is_open(wanted: ReviewTask, answers: Sequence[ReviewDecision], task: Mapping[str, Any], decided: Known) -> bool:
    """Whether a task was answered, though not to what it asks now."""
    if all(annotation["was_cancelled"] for annotation in task["annotations"]):
        return False  # It waits in the queue.
    # An answer that was not pulled yet may settle it: the next push knows.
    if any(name(decision) not in decided for decision in answers):
        return False
    shown = [decision.raw.shown.get("again", ()) for decision in answers if decision.raw]
    return not any(set(wanted.shown.again) <= set(each) for each in shown)
