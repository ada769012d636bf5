"""The verbs that the CLI and the panel share: what stands, bring it up to date, push to reviewers, pull their work."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipeline import catalogue, dag, jobs
from pipeline.engine import explain, upkeep
from pipeline.engine.explain import UnitStatus
from pipeline.engine.plan import SHOW, Node, Plan
from pipeline.engine.run import Executor, LocalExecutor, Report, update
from pipeline.engine.step import Device
from pipeline.jobs import Job
from pipeline.review.errors import LabelStudioError
from pipeline.show import Show, open_show

if TYPE_CHECKING:
    from pipeline.review.client import Client
    from pipeline.review.people import Person
    from pipeline.review.restore import Restored
    from pipeline.review.sync import Pulled, Pushed
    from pipeline.review.tasks import Material
    from pipeline.schemas.story import Bible

__all__ = [
    "MENDABLE",
    "Adopted",
    "Job",
    "Show",
    "UnitStatus",
    "adopt",
    "gc",
    "open_show",
    "run",
    "status",
    "verify",
    "why",
]

SHOWN = "step2-caption"
"""When this step is up to date, reviewers have all that they are shown."""

MENDABLE = (ValueError, LabelStudioError)
"""What people can put right, with the remedy in its message."""

GLANCE_SECONDS = 10.0  # a page does not wait longer for Label Studio to say how it is


def status(show: Show) -> list[UnitStatus]:
    """The state of every step of every episode, in the DAG's order."""
    return explain.survey(show.plan())


def run(
    show: Show,
    targets: Sequence[str] | None = None,
    episodes: Sequence[str] | None = None,
    *,
    executor: Executor | None = None,
    runs: Path | None = None,
    limit: int | None = None,
) -> Report:
    """Bring `targets` (default: every step) and all they need up to date; `runs` is where events and logs go.

    With a `limit`, of each target only so many items are made, to look at (`Report.sampled`). They are kept for the
    whole run, and no output is made of a part. What the targets need is made whole.

    Raises ValueError for a step or an episode that does not exist, or a model that cannot be pinned, before anything
    runs.
    """
    what = show.plan()
    _known(targets or (), list(what.steps), "step")
    _known(episodes or (), what.episodes, "episode")
    nodes = what.nodes(targets, episodes)
    what.configs = catalogue.pinned(show, {step for step, _ in nodes})
    runs = runs or new_run_folder(show)
    slots: dict[Device, int] = {"cpu": show.settings.cpu_slots, "cuda": show.settings.cuda_slots}

    def go(executor: Executor) -> Report:
        return update(
            what,
            nodes,
            executor,
            registry=dag.__name__,
            cache=show.settings.cache,
            slots=slots,
            runs=runs,
            services=show.services,
            limits={} if limit is None else dict.fromkeys(targets or what.steps, limit),
        )

    if executor is not None:
        return go(executor)
    with LocalExecutor() as local:
        return go(local)


def new_run_folder(show: Show) -> Path:
    """Where one run's events and logs go; names sort by time."""
    stamp = datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    return show.state / "runs" / f"{stamp}-{uuid.uuid4().hex[:6]}"


def why(show: Show, step: str, unit: str | None = None) -> list[UnitStatus]:
    """The units of one step that are not fresh, with their causes."""
    found = status(show)
    _known([step], list(dict.fromkeys(each.step for each in found)), "step")
    units = [each for each in found if each.step == step and unit in (None, each.unit)]
    if not units:
        _known([unit or ""], [each.unit for each in found if each.step == step], "unit")
    return units


@dataclass(frozen=True, slots=True)
class Adopted:
    """What `adopt` did with one unit: `note` says why it was left, empty where it was adopted."""

    node: Node
    note: str


def adopt(show: Show, step: str, *, by: str, reason: str) -> list[Adopted]:
    """Say that what stands for `step` is right though its code or settings changed; what follows it stays too."""
    what = show.plan()
    _known([step], list(what.steps), "step")
    explain.survey(what)
    done: list[Adopted] = []
    for node in [(step, unit) for unit in what.units(what.steps[step].per)]:
        if node in what.outputs:
            done.append(Adopted(node, "is fresh already"))
            continue
        try:
            upkeep.adopt(what, node, by=by, why=reason)
            done.append(Adopted(node, ""))
        except ValueError as error:
            done.append(Adopted(node, str(error)))
    return done


def verify(show: Show, *, repair: bool = False) -> list[upkeep.Damage]:
    return upkeep.verify(show.store, repair=repair)


def gc(show: Show, *, dry: bool = False, grace_days: float = 7) -> upkeep.Freed:
    return upkeep.gc(show.store, roots=show.kept(), grace_seconds=grace_days * 86_400, dry=dry)


def _known(names: Sequence[str], known: Sequence[str], kind: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"there is no {kind} {name!r}; there are {', '.join(known)}")


@contextmanager
def label_studio(show: Show, *, patience: float | None = None) -> Iterator["Client"]:
    """A session with the show's Label Studio: the one in its settings, or the one that `dailies up` started.

    `patience`: seconds to wait for an answer, where the usual ones are too many; that nobody answers is told at once
    then. Raises ValueError where there is no such server yet.
    """
    from pipeline.review.client import Client
    from pipeline.review.connection import knock
    from pipeline.review.login import saved_login

    settings = show.settings
    if settings.label_studio_url:
        if settings.label_studio_token is None:
            raise ValueError("label_studio_url is set, but no token: set DAILIES_LABEL_STUDIO_TOKEN")
        url, token = settings.label_studio_url, settings.label_studio_token.get_secret_value()
    else:
        login = saved_login(show.label_studio_data)
        if login is None:
            raise ValueError("Label Studio was never started here: run `dailies up` first, or set label_studio_url")
        url, token = f"http://{settings.reachable_host}:{settings.label_studio_port}", login.token
    if patience is not None:
        knock(url, patience=patience)
    with Client(url, token, **{} if patience is None else {"timeout": patience}) as client:
        yield client


def push(show: Show, *, log: Callable[[str], None] = lambda _: None) -> "tuple[Pushed, ...]":
    """Give the reviewers every episode whose captions are up to date. Raises ValueError where there is none."""
    from pipeline.review import sync
    from pipeline.review.served import Served

    what, materials, bible = _reviewable(show, log)
    served = Served(show.store, show.media)
    with label_studio(show) as client:
        return sync.push(client, show.store, served, show.file.name, materials, bible, episodes=what.episodes, log=log)


def _reviewable(show: Show, log: Callable[[str], None]) -> "tuple[Plan, list[Material], Bible]":
    from pipeline.review import fixes, reverts
    from pipeline.review.tasks import Material
    from pipeline.schemas.captions import ReviewSnapshot
    from pipeline.schemas.story import Bible
    from pipeline.steps import step2_reviewed

    what = show.plan()
    explain.survey(what)
    outputs = {step.name: step.output for step in dag.STEPS}

    def record(step: str, unit: str) -> Any:
        return show.store.get(what.outputs[step, unit], outputs[step])

    ready = [episode for episode in what.episodes if ("step2-caption", episode) in what.outputs]
    for episode in what.episodes:
        if episode not in ready:
            log(f"{episode}: its captions are not up to date, so its tasks stay as they are")
    if not ready:
        raise ValueError("no episode's captions are up to date: `dailies run step2-caption` first")
    steps = ("step1-scenes", "step2-transcript-disambiguate", "step2-shot-reference", "step2-scene-context")
    snapshot = show.latest_snapshot()
    # What no longer fits of them is shown with the tasks that ask again.
    decided = show.store.get(snapshot, ReviewSnapshot).decisions if snapshot else ()
    made = [Material(*(record(step, episode) for step in (*steps, "step2-caption"))) for episode in ready]
    bible: Bible = record("step2-bible", SHOW)
    config = show.configs()["step2-reviewed"]
    assert isinstance(config, step2_reviewed.Config)
    edits, names = show.edits(), {character.id: character.short for character in bible.characters}
    transcripts = {material.episode: material.transcript for material in made}
    voices = fixes.voices_of(record("step2-voices", SHOW) if ("step2-voices", SHOW) in what.outputs else None)
    suggested = fixes.by_episode(fixes.suggestions(transcripts, decided, edits, voices, names))
    materials = [
        replace(
            material,
            transcript=reverts.reopened(material.transcript, edits),
            decisions=decided,
            check_share=show.file.review.check_share,
            suggested=suggested.get(material.episode, ()),
            log=edits,
            policy=config.policy,
            sure_enough=config.sure_enough,
            voices=voices,
        )
        for material in made
    ]
    return what, materials, bible


def pull(show: Show, *, log: Callable[[str], None] = lambda _: None) -> "tuple[Pulled, bool]":
    """Take a snapshot of all that people decided; whether anything is new since the last one.

    Answers of the last snapshot that are no longer in Label Studio are told to `log`: somebody deleted them.
    """
    from pipeline.review import sync
    from pipeline.schemas.captions import ReviewSnapshot

    with label_studio(show) as client:
        pulled = sync.pull(client, show.file.name, show.store)
    last = show.latest_snapshot()
    before = show.store.get(last, ReviewSnapshot).decisions if last else ()
    gone = {(d.key, d.by) for d in before} - {(d.key, d.by) for d in pulled.snapshot.decisions}
    if gone:
        number = list(show.numbered_snapshots())[-1]
        log(
            f"{len(gone)} answers of the last pull were deleted in Label Studio: `dailies review restore --snapshot"
            f" {number}` brings them back"
        )
    return pulled, show.keep_snapshot(pulled.snapshot)


def restore(show: Show, snapshot: str | None = None, *, log: Callable[[str], None] = lambda _: None) -> "Restored":
    """Push, and bring back the answers that somebody deleted in Label Studio, from the newest snapshot or a named one.

    Raises ValueError where there is no such snapshot, or where the newest has fewer decisions than an earlier one: it
    was pulled after they were deleted, so somebody must say which is meant.
    """
    from pipeline.review.restore import restore as put_back
    from pipeline.review.served import Served
    from pipeline.schemas.captions import ReviewSnapshot

    digests = show.numbered_snapshots()
    if not digests:
        raise ValueError("nothing was ever pulled here, so there is no snapshot to restore from")
    if snapshot is not None:
        _known([snapshot], list(digests), "snapshot")
    found = {number: show.store.get(digest, ReviewSnapshot) for number, digest in digests.items()}
    newest, fullest = list(found)[-1], max(found, key=lambda number: len(found[number].decisions))
    if snapshot is None and len(found[newest].decisions) < len(found[fullest].decisions):
        raise ValueError(
            f"the newest snapshot ({newest}) has {len(found[newest].decisions)} decisions, but {fullest} has"
            f" {len(found[fullest].decisions)}: say which one with --snapshot"
        )
    what, materials, bible = _reviewable(show, log)
    with label_studio(show) as client:
        return put_back(
            client,
            show.store,
            Served(show.store, show.media),
            show.file.name,
            found[snapshot or newest],
            materials,
            bible,
            episodes=what.episodes,
            log=log,
        )


def add_person(show: Show, email: str) -> "Person":
    """Make a login for a reviewer."""
    from pipeline.review import people

    with label_studio(show) as client:
        return people.add_person(client, email)


@dataclass(frozen=True, slots=True)
class Link:
    """A project in Label Studio, and how many of its tasks people have answered."""

    title: str
    url: str
    done: int
    total: int

    @property
    def next_task(self) -> str:
        """Opens the queue at the task that it serves next."""
        return f"{self.url}?labeling=1"

    def task(self, id_: int) -> str:
        return f"{self.url}?task={id_}"


@dataclass(frozen=True, slots=True)
class Desk:
    """Where reviewers work, as it stands now. `problem` says what is wrong and what to do, where something is.

    "never started": there is no Label Studio of this show yet. "down": it does not answer, or does not let us in.
    "empty": it works, and nothing was pushed to it. `ours`: it is the one that `dailies up` starts.
    """

    state: Literal["never started", "down", "empty", "ready"]
    url: str
    ours: bool
    links: tuple[Link, ...] = ()
    problem: str = ""

    @property
    def login(self) -> str:
        return f"{self.url}/user/login/"


def review_desk(show: Show) -> Desk:
    """How the show's Label Studio stands; what goes wrong there is in the answer."""
    from pipeline.review import progress
    from pipeline.review.shown import KINDS

    settings = show.settings
    ours = settings.label_studio_url is None
    url = (settings.label_studio_url or f"http://{settings.reachable_host}:{settings.label_studio_port}").rstrip("/")
    try:
        with label_studio(show, patience=GLANCE_SECONDS) as client:
            if len(client.projects_of(show.file.name)) < len(KINDS):
                return Desk("empty", url, ours)
            found = progress.glance(client, show.file.name)
    except ValueError as error:
        return Desk("never started" if ours else "down", url, ours, problem=str(error))
    except LabelStudioError as error:
        return Desk("down", url, ours, problem=str(error))
    links = [Link(kind.capitalize(), project.url, done, total) for kind, project, done, total in found]
    return Desk("ready", url, ours, tuple(links))


def review_links(show: Show) -> list[Link]:
    """The review projects; none before the first push, or while the show's Label Studio does not run."""
    return list(review_desk(show).links)


def task_links(show: Show) -> dict[str, str]:
    """Where each task opens in Label Studio, by its key, as the last push left them."""
    from pipeline.review import known
    from pipeline.review.shown import KINDS

    return {key: url for kind in KINDS for key, url in known.addresses(show.store, show.file.name, kind).items()}


def unsent(show: Show) -> dict[str, int]:
    """How many tasks each person has begun and not sent, by e-mail, as Label Studio says now."""
    with label_studio(show, patience=GLANCE_SECONDS) as client:
        projects = client.projects_of(show.file.name).values()
        drafts = Counter(draft.by for project in projects for draft in client.drafts(project))
    return dict(sorted(drafts.items()))


def invitation(show: Show) -> str:
    """The link by which anybody who has it can make a login of their own."""
    with label_studio(show) as client:
        return f"{client.url}/user/signup/?token={client.invitation()}"


# Work that goes on when the panel is closed.


def start(show: Show, verb: str, *, by: str) -> Job:
    """Start `push`, `pull`, `run` or `label-studio` in a process of its own; one that runs is the answer."""
    return jobs.start(show.state, show.folder, verb, by=by)


def stop(show: Show, job_id: str, *, by: str) -> None:
    """End a job and all that it started."""
    jobs.stop(show.state, job_id, by=by)


def latest_jobs(show: Show) -> dict[str, Job]:
    """The newest job of each verb that was ever started."""
    return jobs.latest(show.state)
