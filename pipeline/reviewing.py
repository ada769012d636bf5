"""The show's Label Studio as the CLI and the panel use it: push to reviewers, pull their work, see how it stands."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pipeline import dag
from pipeline.engine import explain
from pipeline.engine.plan import SHOW, Plan
from pipeline.review.errors import LabelStudioError
from pipeline.show import Show

if TYPE_CHECKING:
    from pipeline.review.client import Client
    from pipeline.review.people import Person
    from pipeline.review.restore import Restored
    from pipeline.review.sync import Pulled, Pushed
    from pipeline.review.tasks import Material
    from pipeline.schemas.story import Bible

_NEVER = "Label Studio was never started here: run `dailies up` first, or set label_studio_url"
GLANCE_SECONDS = 10.0  # a page does not wait longer for Label Studio to say how it is


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
            raise ValueError(_NEVER)
        url, token = _address(show), login.token
    if patience is not None:
        knock(url, patience=patience)
    with Client(url, token, **{} if patience is None else {"timeout": patience}) as client:
        yield client


def _address(show: Show) -> str:
    """Where the Label Studio that `dailies up` started listens: the demo takes the next free port, whatever is set."""
    from pipeline.review.login import address

    settings = show.settings
    return address(show.label_studio_data) or f"http://{settings.reachable_host}:{settings.label_studio_port}"


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
    from pipeline.review import known, sync
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
    is_new = show.keep_snapshot(pulled.snapshot)
    known.remember_newest(show.store, show.file.name, pulled.newest)
    return pulled, is_new


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
    if snapshot is not None and snapshot not in digests:
        raise ValueError(f"there is no snapshot {snapshot!r}; there are {', '.join(digests)}")
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

    "asked": it has not answered yet. "never started": there is no Label Studio of this show yet. "down": it does not
    answer, or does not let us in. "empty": it works, and nothing was pushed to it. `ours`: it is the one that
    `dailies up` starts. `new` is how many answered tasks are newer than the last pull, None where nobody can tell.
    """

    state: Literal["asked", "never started", "down", "empty", "ready"]
    url: str
    ours: bool
    links: tuple[Link, ...] = ()
    problem: str = ""
    new: int | None = None

    @property
    def login(self) -> str:
        return f"{self.url}/user/login/"


def review_desk(show: Show) -> Desk:
    """How the show's Label Studio stands; what goes wrong there is in the answer."""
    from pipeline.review import known, progress
    from pipeline.review.shown import KINDS

    if there := desk_without_asking(show):
        return there
    ours, url = _whose(show)
    try:
        with label_studio(show, patience=GLANCE_SECONDS) as client:
            if len(client.projects_of(show.file.name)) < len(KINDS):
                return Desk("empty", url, ours)
            found = progress.glance(client, show.file.name)
            pulled = known.newest(show.store, show.file.name)
            new = None if pulled is None else sum(client.newer(each, pulled.get(kind, "")) for kind, each, *_ in found)
    except (ValueError, LabelStudioError) as error:
        return Desk("down", url, ours, problem=str(error))
    links = [Link(kind.capitalize(), project.url, done, total) for kind, project, done, total in found]
    return Desk("ready", url, ours, tuple(links), new=new)


def desk_without_asking(show: Show) -> Desk | None:
    """How it stands where no server needs to be asked for that: one of our own that was never started; else None."""
    from pipeline.review.login import saved_login

    ours, url = _whose(show)
    if not ours or saved_login(show.label_studio_data):
        return None
    return Desk("never started", url, ours, problem=_NEVER)


def _whose(show: Show) -> tuple[bool, str]:
    """Whether the show's Label Studio is the one that `dailies up` starts, and its address."""
    elsewhere = show.settings.label_studio_url
    return elsewhere is None, (elsewhere or _address(show)).rstrip("/")


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
