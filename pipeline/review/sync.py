"""Push tasks to Label Studio without ever doing anything twice; pull what people decided, and lose nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline.engine.store import Store
from pipeline.review import answers, interface, known, planning, replay
from pipeline.review.client import Client
from pipeline.review.planning import Plan
from pipeline.review.queries import Listed, Project
from pipeline.review.reading import readings
from pipeline.review.served import Served
from pipeline.review.shown import ANSWERED, KINDS, Kind, ReviewTask
from pipeline.review.tasks import Material, tasks_of, unreviewed_of
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.story import Bible

IMPORT_BATCH = 500  # Label Studio's own batch size; SQLite takes about 500 tasks a second.

# Revisions a task remembers beside those that annotations and drafts name: a reviewer may have a task open while it
# changes, and then answers what was shown before.
RECENT = 5

# Label Studio answers a few requests at once; more only wait in its database.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did to one project. `unchanged` tasks cost nothing; `archived` and `revived` are out and back in.

    `moved` only got another place in the queue; `again` were answered, and new tasks ask their questions once more.
    """

    kind: Kind
    project: Project
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    archived: int = 0
    revived: int = 0
    moved: int = 0
    again: int = 0

    @property
    def writes(self) -> int:
        return self.created + self.updated + self.archived + self.revived + self.moved + self.again


@dataclass(frozen=True, slots=True)
class Pulled:
    """All decisions, and the annotations that cannot be read, each with the reason: they stay in Label Studio.

    `drafts` counts the tasks in which a person has work that was not sent yet, by e-mail; it is no decision before.
    `newest` is the server's stamp on the task of each project that it touched last of those that are read here.
    """

    snapshot: ReviewSnapshot
    unreadable: tuple[str, ...]
    drafts: Mapping[str, int] = field(default_factory=dict)
    newest: Mapping[Kind, str] = field(default_factory=dict)


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
    unreviewed = unreviewed_of(materials)
    for material in materials:
        tasks = tasks_of(material, bible, served.url, unreviewed)
        wanted["transcripts"] += tasks.transcripts
        wanted["captions"] += tasks.captions
        for reason in tasks.left_out:
            log(f"{material.episode}: not shown to reviewers: {reason}")
    ready = {material.episode for material in materials}
    known_episodes = ready if episodes is None else ready | set(episodes)

    def concerns(episode: str) -> bool:
        return episode in ready or (episodes is not None and episode not in known_episodes)

    decided = {planning.name(decision) for material in materials for decision in material.decisions}
    with store.lock("review-push"):
        projects = client.projects_of(show)
        plans = [
            planning.plan(client, store, show, kind, projects.get(kind), wanted[kind], decided, concerns)
            for kind in KINDS
        ]
        for plan in plans:
            for task in plan.unchecked:
                interface.check(task)
        client.disarm_keys()
        return tuple(_carry_out(client, store, served, show, plan, work or {}, log) for plan in plans)


def _carry_out(
    client: Client,
    store: Store,
    served: Served,
    show: str,
    plan: Plan,
    work: Mapping[str, replay.Work],
    log: Callable[[str], None],
) -> Pushed:
    kind = plan.kind
    project = plan.project or client.make_project(show, kind)
    if plan.settings:
        client.mend_project(project, plan.settings, kind)
    client.serve(project, served.folder)
    now = {task.id: task for task in plan.listed}
    if plan.writes:
        known.forget_listing(store, show, kind)
    drafted = {draft.task: draft.result for draft in client.drafts(project)} if plan.changed else {}

    def bring(task: dict[str, Any]) -> None:
        new = plan.changed[task["id"]]
        client.replace(task, new, _meta(task, new, drafted.get(task["id"], ())))

    def put_away(task: dict[str, Any], why: str) -> None:
        client.archive(task, why)
        now[task["id"]] = replace(now[task["id"]], archived=why, in_queue=False)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        # What was answered goes before what asks again comes, so that never two tasks of one key are in the queue.
        list(pool.map(lambda task: put_away(task, ANSWERED), [task for task, _ in plan.again]))
        new = [*plan.missing, *(task for _, task in plan.again)]
        for start in range(0, len(new), IMPORT_BATCH):
            batch = new[start : start + IMPORT_BATCH]
            for id_, made in zip(client.create(project, batch, work), batch, strict=True):
                now[id_] = _listed(id_, made)
            log(f"{kind}: {min(start + IMPORT_BATCH, len(new))} of {len(new)} new tasks are there")
        list(pool.map(bring, client.details(project, list(plan.changed))))
        moved = client.details(project, list(plan.moved))
        list(pool.map(lambda task: client.rescore(task, plan.moved[task["id"]].score), moved))
        away = client.details(project, list(plan.away))
        list(pool.map(lambda task: put_away(task, plan.away[task["id"]]), away))
    revived = sum(bool(now[id_].archived) for id_ in plan.changed)
    now |= {id_: _listed(id_, task) for id_, task in plan.changed.items()}
    now |= {id_: replace(now[id_], score=task.score) for id_, task in plan.moved.items()}
    if now:  # Label Studio refuses the name of predictions that it does not have.
        client.open_newest(project, plan.settings or client.settings(project))
    known.remember_listing(store, show, kind, project, sorted(now.values(), key=lambda task: task.id))
    return Pushed(
        kind=kind,
        project=project,
        created=len(plan.missing),
        updated=len(plan.changed) - revived,
        unchanged=len({task.key for task in plan.tasks}) - len(new) - len(plan.changed) - len(plan.moved),
        archived=len(plan.away),
        revived=revived,
        moved=len(plan.moved),
        again=len(plan.again),
    )


def _listed(id_: int, task: ReviewTask) -> Listed:
    """A task as it stands just after it was written."""
    return Listed(
        id=id_,
        key=task.key,
        rev=task.rev,
        episode=task.data["episode"],
        archived="",
        in_queue=True,
        score=task.score,
        predictions=1,
        annotations=0,
        skips=0,
    )


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
    newest: dict[Kind, str] = {}
    projects = client.projects_of(show)
    for kind in KINDS:
        project = projects.get(kind) or client.need_project(show, kind)
        read = readings(client, show, kind, project, people, store)
        decisions += [decision for task in read.values() for decision in task.decisions]
        unreadable += [problem for task in read.values() for problem in task.unreadable]
        newest[kind] = max((task.touched for task in read.values()), default="")
        drafts.update(draft.by for draft in client.drafts(project))
    decisions.sort(key=lambda decision: (decision.key, decision.at, decision.by, decision.model_dump_json()))
    snapshot = ReviewSnapshot(decisions=tuple(decisions))
    return Pulled(snapshot, tuple(sorted(unreadable)), dict(sorted(drafts.items())), newest)
