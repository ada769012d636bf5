"""Push tasks to Label Studio without ever doing anything twice; pull what people decided, and lose nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.engine.store import Store
from pipeline.review import answers, interface, known, replay
from pipeline.review.client import Client
from pipeline.review.queries import Listed, Project
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

# Label Studio answers a few requests at once; more only wait in its database.
AT_ONCE = 4


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
    """All decisions, and the annotations that cannot be read, each with the reason: they stay in Label Studio.

    `drafts` counts the tasks in which a person has work that was not sent yet, by e-mail; it is no decision before.
    """

    snapshot: ReviewSnapshot
    unreadable: tuple[str, ...]
    drafts: Mapping[str, int] = field(default_factory=dict)


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
    work: Mapping[str, replay.Work] | None = None,
    log: Callable[[str], None] = lambda _: None,
) -> tuple[Pushed, ...]:
    """Make Label Studio's two projects of `show` hold just the tasks of `materials` (one for each episode).

    `episodes` are all that the show has: tasks of others are archived. Left out, only episodes among `materials` are
    touched. An episode that the show has but that is not among `materials` (not ready yet) keeps its tasks as they are.
    `work` is what new tasks bring along, by key, where they are made again with the answers they had.

    Every task that leaves is checked against its labeling config before the first one does. Raises ValueError where
    one does not fit, LabelStudioError where the server does not do its part; a second push then does what is left.
    """
    wanted: dict[Kind, list[ReviewTask]] = {kind: [] for kind in KINDS}
    for material in materials:
        tasks = tasks_of(material, bible, served.url)
        wanted["transcripts"] += tasks.transcripts
        wanted["captions"] += tasks.captions
        for reason in tasks.left_out:
            log(f"{material.episode}: not shown to reviewers: {reason}")
    ready = {material.episode for material in materials}
    known_episodes = ready if episodes is None else ready | set(episodes)

    def concerns(episode: str) -> bool:
        return episode in ready or (episodes is not None and episode not in known_episodes)

    with store.lock("review-push"):
        plans = [_plan(client, store, show, kind, wanted[kind], concerns) for kind in KINDS]
        for plan in plans:
            for task in plan.unchecked:
                interface.check(task)
        client.disarm_keys()
        return tuple(_carry_out(client, store, served, show, plan, work or {}, log) for plan in plans)


@dataclass(slots=True)
class _Plan:
    """What a push will do. `listed` are all tasks that are there; `changed` and `revived` map ids to what they become.

    `unchecked` are the tasks that are not known to fit the labeling config.
    """

    kind: Kind
    tasks: Sequence[ReviewTask]
    listed: list[Listed]
    missing: list[ReviewTask]
    changed: dict[int, ReviewTask]
    gone: list[int]
    doubles: list[int]
    unchecked: Sequence[ReviewTask]


def _plan(
    client: Client, store: Store, show: str, kind: Kind, tasks: Sequence[ReviewTask], concerns: Callable[[str], bool]
) -> _Plan:
    project = client.find_project(show, kind)
    listed: list[Listed] = []
    if project is not None:
        remembered = known.listing(store, show, kind, project)
        sure = remembered is not None and client.confirms(project, remembered)
        listed = remembered if remembered is not None and sure else list(client.listing(project))
    standing, doubles = _by_key(listed)
    wanted = {task.key: task for task in tasks}
    missing = [task for key, task in wanted.items() if key not in standing]
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
    # What stands on the server fitted when it left; its revision says that it is the same.
    same_config = project is not None and client.has_config(project, kind)
    unchecked = [*missing, *changed.values()] if same_config else tasks
    return _Plan(kind, tasks, listed, missing, changed, gone, doubles, unchecked)


def _carry_out(
    client: Client,
    store: Store,
    served: Served,
    show: str,
    plan: _Plan,
    work: Mapping[str, replay.Work],
    log: Callable[[str], None],
) -> Pushed:
    kind = plan.kind
    project = client.ensure_project(show, kind)
    client.serve(project, served.folder)
    now = {task.id: task for task in plan.listed}
    if plan.missing or plan.changed or plan.gone or plan.doubles:
        known.forget_listing(store, show, kind)
    for start in range(0, len(plan.missing), IMPORT_BATCH):
        batch = plan.missing[start : start + IMPORT_BATCH]
        for id_, task in zip(client.create(project, batch, work), batch, strict=True):
            now[id_] = _listed(id_, task)
        log(f"{kind}: {min(start + IMPORT_BATCH, len(plan.missing))} of {len(plan.missing)} new tasks are there")
    drafted = {draft.task: draft.result for draft in client.drafts(project)} if plan.changed else {}

    def bring(task: dict[str, Any]) -> None:
        new = plan.changed[task["id"]]
        client.replace(task, new, _meta(task, new, drafted.get(task["id"], ())))

    def put_away(task: dict[str, Any], why: str) -> None:
        client.archive(task, why)
        now[task["id"]] = replace(now[task["id"]], archived=True, in_queue=False)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(bring, client.details(project, list(plan.changed))))
        list(pool.map(lambda task: put_away(task, "its clip is gone"), client.details(project, plan.gone)))
        doubles = client.details(project, plan.doubles)
        list(pool.map(lambda task: put_away(task, "another task has the same key"), doubles))
    revived = sum(now[id_].archived for id_ in plan.changed)
    now |= {id_: _listed(id_, task) for id_, task in plan.changed.items()}
    if now:  # Label Studio refuses the name of predictions that it does not have.
        client.open_newest(project)
    known.remember_listing(store, show, kind, project, sorted(now.values(), key=lambda task: task.id))
    return Pushed(
        kind=kind,
        project=project,
        created=len(plan.missing),
        updated=len(plan.changed) - revived,
        unchanged=len({task.key for task in plan.tasks}) - len(plan.missing) - len(plan.changed),
        archived=len(plan.gone) + len(plan.doubles),
        revived=revived,
    )


def _listed(id_: int, task: ReviewTask) -> Listed:
    """A task as it stands just after it was written."""
    return Listed(
        id=id_,
        key=task.key,
        rev=task.rev,
        episode=task.data["episode"],
        archived=False,
        in_queue=True,
        predictions=1,
        annotations=0,
        skips=0,
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


def _meta(standing: Mapping[str, Any], task: ReviewTask, drafts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the task shall remember: the new revision, those that somebody's work names, and the latest others.

    `drafts` is work of anybody that was not sent; a task's own list of drafts has only those of who asks.
    """
    meta = dict(standing.get("meta") or {})
    older = [entry for entry in meta.get("shown", ()) if entry["rev"] != task.rev]
    named = {answers.revision_of(done) for done in (*standing["annotations"], {"result": drafts})}
    named |= {record["rev"] for record in meta.get("restored", ())}
    recent = {entry["rev"] for entry in older[-RECENT:]}
    kept = [entry for entry in older if entry["rev"] in named | recent]
    return meta | {"shown": [*kept, {"rev": task.rev, "shown": task.shown.model_dump(mode="json")}]}


def pull(client: Client, show: str, store: Store | None = None) -> Pulled:
    """Every annotation of both projects as a decision, skipped ones too, in the order of (key, at, by).

    The same annotations always give the same snapshot, byte for byte. With a store, only what changed since the last
    pull is asked for; what is remembered of the others is theirs as long as the server's stamp on them is.
    """
    people = client.people()
    decisions: list[ReviewDecision] = []
    unreadable: list[str] = []
    drafts: Counter[str] = Counter()
    for kind in KINDS:
        project = client.need_project(show, kind)
        read = readings(client, show, kind, project, people, store)
        decisions += [decision for task in read.values() for decision in task.decisions]
        unreadable += [problem for task in read.values() for problem in task.unreadable]
        drafts.update(draft.by for draft in client.drafts(project))
    decisions.sort(key=lambda decision: (decision.key, decision.at, decision.by, decision.model_dump_json()))
    return Pulled(ReviewSnapshot(decisions=tuple(decisions)), tuple(sorted(unreadable)), dict(sorted(drafts.items())))


def readings(
    client: Client, show: str, kind: Kind, project: Project, people: Mapping[int, str], store: Store | None
) -> dict[int, known.Read]:
    """What the answers to each task of a project say, by task id; the `store` remembers them."""
    stamps = client.answered(project)
    before = known.readings(store, show, kind, project, people) if store else {}
    read = {id_: before[id_] for id_, stamp in stamps.items() if id_ in before and before[id_].stamp == stamp}
    fresh = [id_ for id_ in stamps if id_ not in read]
    for task in client.details(project, fresh):
        read[task["id"]] = _read(task, kind, project, people, stamps[task["id"]])
    if store and (fresh or len(read) != len(before)):
        known.remember_readings(store, show, kind, project, people, read)
    return read


def _read(task: Mapping[str, Any], kind: Kind, project: Project, people: Mapping[int, str], stamp: str) -> known.Read:
    read = known.Read(stamp)
    meta = task["meta"] or {}
    for annotation in replay.as_they_were(task["annotations"], meta):
        by = annotation.get("by") or people.get(annotation["completed_by"], f"user {annotation['completed_by']}")
        try:
            read.decisions.append(answers.decision(kind, task["data"], meta, annotation, by))
        except ValueError as error:
            read.unreadable.append(f"{project.url}?task={task['id']}: {error}")
    return read


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
