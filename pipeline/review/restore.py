"""A deleted project, or deleted tasks, made again from a snapshot, with the answers people gave."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.engine.store import Store
from pipeline.review import interface, reading, replay, sync
from pipeline.review.client import Client
from pipeline.review.served import Served
from pipeline.review.shown import GONE, KINDS, Kind, ReviewTask, Shown
from pipeline.review.tasks import Material
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.story import Bible


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `there` decisions were in Label Studio still, or the same person has answered anew.

    `lost` says which cannot be put back: they were pulled before snapshots kept annotations whole.
    """

    restored: int
    there: int
    lost: tuple[str, ...]


def restore(
    client: Client,
    store: Store,
    served: Served,
    show: str,
    snapshot: ReviewSnapshot,
    materials: Sequence[Material],
    bible: Bible,
    *,
    episodes: Iterable[str],
    log: Callable[[str], None] = lambda _: None,
) -> Restored:
    """Push, and put every decision of `snapshot` that is gone back on its task; a second call finds nothing to do.

    A task that the show has no more comes back as archived. Raises what a push raises.
    """
    there: dict[tuple[str, str], list[ReviewDecision]] = {}
    standing: set[str] = set()
    people = client.people()
    for kind, project in client.projects_of(show).items():
        standing |= {task.key for task in client.listing(project)}
        for read in reading.readings(client, show, kind, project, people, store).values():
            for decision in read.decisions:
                there.setdefault((decision.key, decision.by), []).append(decision)
    gone = [d for d in snapshot.decisions if all(d.at > other.at for other in there.get((d.key, d.by), ()))]
    able = [decision for decision in gone if decision.raw is not None]
    users = {email: id_ for id_, email in people.items()}
    me = users[client.whoami()]
    by_key: dict[str, list[ReviewDecision]] = {}
    for decision in able:
        by_key.setdefault(decision.key, []).append(decision)
    work = {key: replay.work_of(decisions, users, me) for key, decisions in by_key.items()}
    sync.push(client, store, served, show, materials, bible, episodes=episodes, work=work, log=log)
    for kind in KINDS:
        ours = {key: each for key, each in work.items() if _kind(by_key[key][0]) == kind}
        _put_back(client, show, kind, ours, by_key, standing)
    # What came back may be what is asked again, and then its tasks are answered now and must be asked anew.
    sync.push(client, store, served, show, materials, bible, episodes=episodes, log=log)
    lost = tuple(f"{d.key}, answered by {d.by} on {d.at:%Y-%m-%d}" for d in gone if d.raw is None)
    return Restored(restored=len(able), there=len(snapshot.decisions) - len(gone), lost=lost)


def _put_back(
    client: Client,
    show: str,
    kind: Kind,
    work: dict[str, replay.Work],
    decisions: dict[str, list[ReviewDecision]],
    standing: set[str],
) -> None:
    """Bring work to tasks that stood before the push, which brought the others theirs, and to those of no clip."""
    project = client.need_project(show, kind)
    listed = list(client.listing(project))
    # Where other tasks have taken its place, what was answered then belongs to those that were answered.
    now = {task.key: task.id for task in sorted(listed, key=lambda task: (task.replaced, -task.id)) if task.key}
    keys = {now[key]: key for key in work if key in standing and key in now}
    for task in client.details(project, list(keys)):
        client.put_back(task, work[keys[task["id"]]])
    without_clip = [_remnant(kind, decisions[key]) for key in work if key not in now]
    if without_clip:
        ids = client.create(project, without_clip, work)
        for task in client.details(project, ids):
            client.archive(task, GONE)


def _remnant(kind: Kind, decisions: list[ReviewDecision]) -> ReviewTask:
    """A task that only holds the answers to it: what it showed went with its clip."""
    newest = max(decisions, key=lambda decision: decision.at)
    assert newest.raw is not None
    data = {name: [] if name in interface.lists(kind) else "" for name in interface.fields(interface.config(kind))}
    named = {"key": newest.key, "episode": newest.episode, "clip_id": newest.clip, "rev": newest.revision}
    title = f"{newest.episode} · {newest.clip} · gone"
    data |= {**named, "title": title, "archived": GONE}
    return ReviewTask(kind, newest.key, data, [], 0.0, Shown.model_validate(newest.raw.shown))


def _kind(decision: ReviewDecision) -> Kind:
    return "captions" if decision.key.endswith("#caption") else "transcripts"
