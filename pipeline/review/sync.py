"""Push tasks to Label Studio without ever doing anything twice; pull what people decided, and lose nothing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.engine.store import Store
from pipeline.review import answers, interface
from pipeline.review.client import Client, Listed, Project
from pipeline.review.served import Served
from pipeline.review.shown import Kind, ReviewTask
from pipeline.review.tasks import Material, tasks_of
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.story import Bible

KINDS: tuple[Kind, ...] = ("transcripts", "captions")

IMPORT_BATCH = 500  # Label Studio's own batch size; SQLite takes about 500 tasks a second.

# Revisions a task remembers beside those that annotations and drafts name: a reviewer may have a task open while it
# changes, and then answers what was shown before.
RECENT = 5


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did to one project. `unchanged` tasks cost nothing; `archived` and `revived` are out and back in."""

    kind: Kind
    project: Project
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    archived: int = 0
    revived: int = 0

    @property
    def writes(self) -> int:
        return self.created + self.updated + self.archived + self.revived


@dataclass(frozen=True, slots=True)
class Pulled:
    """All decisions, and the annotations that cannot be read, each with the reason: they stay in Label Studio."""

    snapshot: ReviewSnapshot
    unreadable: tuple[str, ...]


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


def push(
    client: Client,
    store: Store,
    served: Served,
    show: str,
    materials: Sequence[Material],
    bible: Bible,
    *,
    episodes: Iterable[str] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[Pushed, ...]:
    """Make Label Studio's two projects of `show` hold just the tasks of `materials` (one for each episode).

    `episodes` are all that the show has: tasks of others are archived. Left out, only episodes among `materials` are
    touched. An episode that the show has but that is not among `materials` (not ready yet) keeps its tasks as they are.
    Every task is checked against its labeling config before the first one leaves. Raises ValueError where one does
    not fit, LabelStudioError where the server does not do its part; a second push then does what is left.
    """
    wanted: dict[Kind, list[ReviewTask]] = {kind: [] for kind in KINDS}
    for material in materials:
        tasks = tasks_of(material, bible, served.url)
        wanted["transcripts"] += tasks.transcripts
        wanted["captions"] += tasks.captions
        for reason in tasks.left_out:
            log(f"{material.episode}: not shown to reviewers: {reason}")
    for kind in KINDS:
        for task in wanted[kind]:
            interface.check(task)
    ready = {material.episode for material in materials}
    known = ready if episodes is None else ready | set(episodes)

    def concerns(episode: str) -> bool:
        return episode in ready or (episodes is not None and episode not in known)

    with store.lock("review-push"):
        client.disarm_keys()
        return tuple(_push(client, served, show, kind, wanted[kind], concerns, log) for kind in KINDS)


def _push(
    client: Client,
    served: Served,
    show: str,
    kind: Kind,
    tasks: Sequence[ReviewTask],
    concerns: Callable[[str], bool],
    log: Callable[[str], None],
) -> Pushed:
    project = client.ensure_project(show, kind)
    client.serve(project, served.folder)
    standing, doubles = _by_key(client.listing(project))
    wanted = {task.key: task for task in tasks}
    missing = [task for key, task in wanted.items() if key not in standing]
    for start in range(0, len(missing), IMPORT_BATCH):
        client.create(project, missing[start : start + IMPORT_BATCH])
        log(f"{kind}: {min(start + IMPORT_BATCH, len(missing))} of {len(missing)} new tasks are there")
    changed = {
        there.id: wanted[key]
        for key, there in standing.items()
        if key in wanted and (there.rev != wanted[key].rev or there.archived or not there.predictions)
    }
    gone = [
        there.id
        for key, there in standing.items()
        if key not in wanted and concerns(there.episode) and (not there.archived or there.in_queue)
    ]
    for task in client.details(project, list(changed)):
        new = changed[task["id"]]
        client.replace(task, new, _meta(task, new))
    for task in client.details(project, gone):
        client.archive(task, "its clip is gone")
    for task in client.details(project, doubles):
        client.archive(task, "another task has the same key")
    if wanted or standing:  # Label Studio refuses the name of predictions that it does not have.
        client.open_newest(project)
    revived = sum(standing[task.key].archived for task in changed.values())
    return Pushed(
        kind=kind,
        project=project,
        created=len(missing),
        updated=len(changed) - revived,
        unchanged=len(wanted) - len(missing) - len(changed),
        archived=len(gone) + len(doubles),
        revived=revived,
    )


def _by_key(listed: Iterable[Listed]) -> tuple[dict[str, Listed], list[int]]:
    """The task that stands for each key, and the ids of others with the same key that still are in the queue.

    An import may be repeated by somebody else, and a request that seemed to fail may have arrived. The task that
    people worked on stands, else the one not archived, else the oldest.
    """
    standing: dict[str, Listed] = {}
    doubles: list[Listed] = []
    for task in listed:
        if not task.key:
            continue
        other = standing.setdefault(task.key, task)
        if other is not task:
            first, second = sorted((other, task), key=lambda t: (not (t.annotations + t.skips), t.archived, t.id))
            standing[task.key] = first
            doubles.append(second)
    return standing, [task.id for task in doubles if not task.archived or task.in_queue]


def _meta(standing: Mapping[str, Any], task: ReviewTask) -> dict[str, Any]:
    """What the task shall remember: the new revision, those that somebody's work names, and the latest others."""
    meta = dict(standing.get("meta") or {})
    older = [entry for entry in meta.get("shown", ()) if entry["rev"] != task.rev]
    named = {answers.revision_of(work) for work in (*standing["annotations"], *standing["drafts"])}
    recent = {entry["rev"] for entry in older[-RECENT:]}
    kept = [entry for entry in older if entry["rev"] in named | recent]
    return meta | {"shown": [*kept, {"rev": task.rev, "shown": task.shown.model_dump(mode="json")}]}


def pull(client: Client, show: str) -> Pulled:
    """Every annotation of both projects as a decision, skipped ones too, in the order of (key, at, by).

    The same annotations always give the same snapshot, byte for byte.
    """
    people = client.people()
    decisions: list[ReviewDecision] = []
    unreadable: list[str] = []
    for kind in KINDS:
        project = client.need_project(show, kind)
        ids = [task.id for task in client.listing(project) if task.annotations or task.skips]
        for task in client.details(project, ids):
            for annotation in task["annotations"]:
                by = people.get(annotation["completed_by"], f"user {annotation['completed_by']}")
                try:
                    decisions.append(answers.decision(kind, task["data"], task["meta"] or {}, annotation, by))
                except ValueError as error:
                    unreadable.append(f"{project.url}?task={task['id']}: {error}")
    decisions.sort(key=lambda decision: (decision.key, decision.at, decision.by, decision.model_dump_json()))
    return Pulled(ReviewSnapshot(decisions=tuple(decisions)), tuple(sorted(unreadable)))


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
                drafts=client.drafts(project),
                archived=len(listed) - len(live),
            )
        )
    return tuple(found)
