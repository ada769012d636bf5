"""The verbs that the CLI and the panel share: what stands, bring it up to date, push to reviewers, pull their work."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pipeline import catalogue, dag, forecast, gpus, host_watch, jobs, sites
from pipeline.engine import explain, upkeep
from pipeline.engine.explain import UnitStatus
from pipeline.engine.plan import Node
from pipeline.engine.run import Report, Sites, update
from pipeline.forecast import Forecast
from pipeline.jobs import SHOWN, Job
from pipeline.review.errors import LabelStudioError
from pipeline.reviewing import (
    Desk,
    Link,
    add_person,
    desk_without_asking,
    invitation,
    label_studio,
    pull,
    push,
    restore,
    review_desk,
    task_links,
    unsent,
)
from pipeline.show import Show, open_show

__all__ = [
    "MENDABLE",
    "SHOWN",
    "Adopted",
    "Desk",
    "Forecast",
    "Job",
    "Link",
    "Show",
    "UnitStatus",
    "add_person",
    "adopt",
    "desk_without_asking",
    "gc",
    "invitation",
    "label_studio",
    "open_show",
    "outlook",
    "pull",
    "push",
    "restore",
    "review_desk",
    "run",
    "status",
    "task_links",
    "unsent",
    "verify",
    "why",
]

MENDABLE = (ValueError, LabelStudioError)
"""What people can put right, with the remedy in its message."""


def status(show: Show) -> list[UnitStatus]:
    """The state of every step of every episode, in the DAG's order."""
    return explain.survey(show.plan())


def outlook(show: Show) -> tuple[list[UnitStatus], Forecast]:
    """The same, and what is left: time, with how far it may be off, and money."""
    found = forecast.outlook(show)
    return found.units, found.left()


def run(
    show: Show,
    targets: Sequence[str] | None = None,
    episodes: Sequence[str] | None = None,
    *,
    where: Sites | None = None,
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
    sites.refuse_unusable(show, {step: what.device(step) for step, _ in nodes})
    runs = runs or new_run_folder(show)
    forecast.keep(show, what, nodes, runs)
    price = show.settings.gpu_price_per_hour
    hosts = {name: {"gpus": host.gpus, "price_per_hour": host.price_per_hour} for name, host in show.file.hosts.items()}
    told = {"gpu": gpus.name(), "gpu_price": "" if price is None else str(price), "hosts": hosts}
    host_watch.begin(show, by=jobs.asked()["by"])

    def go(where: Sites) -> Report:
        return update(
            what,
            nodes,
            where,
            registry=dag.__name__,
            cache=show.settings.cache,
            runs=runs,
            services=show.services,
            limits={} if limit is None else dict.fromkeys(targets or what.steps, limit),
            asked={**jobs.asked(), **told},
        )

    if where is not None:
        return go(where)
    with sites.sites(show) as places:
        return go(places)


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


# Work that goes on when the panel is closed.


def start(show: Show, verb: str, *, by: str) -> Job:
    """Start `push`, `pull`, `run`, `prepare` or `label-studio` in a process of its own; one that runs is the answer."""
    return jobs.start(show.state, show.folder, verb, by=by)


def stop(show: Show, job_id: str, *, by: str) -> None:
    """End a job and all that it started."""
    jobs.stop(show.state, job_id, by=by)


def latest_jobs(show: Show) -> dict[str, Job]:
    """The newest job of each verb that was ever started, launches aside."""
    return jobs.latest(show.state)
