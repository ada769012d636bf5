"""The models that a show's steps name: pinned before they run, listed, and moved to a newer commit on purpose."""

from collections.abc import Collection
from dataclasses import dataclass

from pipeline import pins
from pipeline.engine import explain
from pipeline.engine.plan import Node
from pipeline.engine.step import StepConfig
from pipeline.models import hub
from pipeline.show import Show


def pinned(show: Show, steps: Collection[str], ask: pins.Ask | None = None) -> dict[str, StepConfig]:
    """The settings of all steps, with the models of `steps` pinned in models.lock; what is pinned stays."""
    before = pins.read(show.folder)
    wanted = [each for step, config in show.written().items() if step in steps for each in pins.named(config)]
    after = pins.completed(wanted, before, ask or hub.commit_of)
    if after != before:
        pins.write(show.folder, after)
    return show.configs()


@dataclass(frozen=True, slots=True)
class Model:
    """A model that a step's settings name; `revision` is None where nothing is pinned (yet)."""

    step: str
    model: str
    source: str
    revision: str | None


def models(show: Show) -> list[Model]:
    """All models that the steps name, and what they are pinned to."""
    found = [(step, each.weights) for step, config in show.configs().items() for each in pins.named(config)]
    return [Model(step, weights.model, weights.source(), weights.revision) for step, weights in found]


@dataclass(frozen=True, slots=True)
class Moved:
    """What `update_model` did: `stale` were fresh and are not any more."""

    was: str | None
    now: str
    stale: tuple[Node, ...]


def update_model(show: Show, name: str, ask: pins.Ask | None = None) -> Moved:
    """Pin a model to what it is now on the hub. `name` is as the settings, or the hub, have it.

    Raises ValueError where no step names such a model, or the hub does not answer.
    """
    keys = {
        each: named.key
        for config in show.written().values()
        for named in pins.named(config)
        if named.key
        for each in (named.weights.model, named.key)
    }
    if name not in keys:
        there = ", ".join(dict.fromkeys(keys)) or "none"
        raise ValueError(f"no step names a model {name!r} that models.lock pins; there are {there}")
    key = keys[name]
    repository, _, branch = key.partition("@")
    locked = pins.read(show.folder)
    now = (ask or hub.newest)(repository, branch or "main")
    before = _fresh(show)
    pins.write(show.folder, {**locked, key: now})
    after = _fresh(show)
    return Moved(locked.get(key), now, tuple(sorted(before - after)))


def _fresh(show: Show) -> set[Node]:
    return {(each.step, each.unit) for each in explain.survey(show.plan()) if each.state == "fresh"}
