"""What must run, and why: arithmetic over digests."""

import base64
import dataclasses
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pipeline.engine import code, fingerprint
from pipeline.engine.fingerprint import Digest
from pipeline.engine.step import Device, Need, Per, Source, Step, StepConfig
from pipeline.engine.store import Store

SHOW = "show"
"""The unit of what is made once for the whole show."""

Node = tuple[str, str]
"""A step or source by name, and its unit: an episode's id, or SHOW."""

Recipe = dict[str, Any]
"""Everything that may change a step's output, and nothing else."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a step is stale: `part` is "version", "code.<file>", "config.<field>" or "inputs.<producer>[.<episode>]"."""

    part: str
    was: Any
    now: Any


@dataclass(slots=True)
class Plan:
    """The show's steps, its sources' content, and which outputs are known so far.

    `given_up` are nodes that cannot be had for now: steps that gather what there is do without their episodes.
    """

    show: str
    sources: Mapping[str, Source]
    steps: Mapping[str, Step]
    configs: Mapping[str, StepConfig]
    episodes: Sequence[str]
    store: Store
    outputs: dict[Node, Digest]
    given_up: set[Node] = field(default_factory=set)
    _codes: dict[str, dict[str, Digest]] = field(default_factory=dict)
    _parts: dict[tuple[Any, ...], Digest] = field(default_factory=dict)

    def nodes(self, targets: Sequence[str] | None = None, episodes: Sequence[str] | None = None) -> list[Node]:
        """All jobs that `targets` (default: all steps) ask for, in an order in which they could run.

        `episodes` narrows the episode-level targets. What a show-level step needs is not narrowed, but where it gathers
        what there is: such a step takes the other episodes only if they were begun before.
        """
        wanted: set[Node] = set()
        for name in targets if targets is not None else self.steps:
            units = episodes if episodes is not None else self.episodes
            wanted |= {(name, unit) for unit in (units if self.steps[name].per == "episode" else [SHOW])}
        for name in reversed(list(self.steps)):
            for node in [(name, unit) for unit in self.units(self.steps[name].per) if (name, unit) in wanted]:
                needs = [need for need in self.needs(node) if need[0] in self.steps]
                if self.steps[name].partial and episodes is not None:
                    needs = [need for need in needs if need[1] in (SHOW, *episodes) or self.store.head(*need)]
                wanted |= set(needs)
        return [
            (name, unit) for name in self.steps for unit in self.units(self.steps[name].per) if (name, unit) in wanted
        ]

    def units(self, per: Per) -> Sequence[str]:
        return self.episodes if per == "episode" else [SHOW]

    def needs(self, node: Node) -> list[Node]:
        """The nodes whose outputs this one reads, sources among them."""
        step = self.steps[node[0]]
        return [(need.producer, unit) for need in step.needs.values() for unit in self._read_units(step, need, node[1])]

    def could_need(self, node: Node) -> list[Node]:
        """The same, with the episodes that a step does without because they cannot be had."""
        without = dataclasses.replace(self, given_up=set())
        return without.needs(node)

    def lacks_all_episodes(self, step: str) -> bool:
        """Whether a step that gathers what there is has nothing to gather."""
        return self.steps[step].partial and not self._episodes_of(self.steps[step])

    def recipe(self, node: Node) -> Recipe | None:
        """What decides this node's output; None while an input is not made yet."""
        step, needs = self.steps[node[0]], self.needs(node)
        if any(need not in self.outputs for need in needs) or self.lacks_all_episodes(step.name):
            return None
        inputs: dict[str, Any] = {}
        for need in step.needs.values():
            read = {
                unit: self._part(need, (need.producer, unit), node[1]) for unit in self._read_units(step, need, node[1])
            }
            inputs[need.producer] = read if self._gathers(step, need) else next(iter(read.values()))
        return {
            "step": step.name,
            "version": step.version,
            "code": self.code(step),
            "config": self.configs[step.name].model_dump(mode="json"),
            "inputs": inputs,
        }

    def device(self, step: str) -> Device:
        """Where a step runs with its settings."""
        return self.configs[step].runs_on(self.steps[step].device)

    def code(self, step: Step) -> dict[str, Digest]:
        if step.name not in self._codes:
            self._codes[step.name] = code.digests(sys.modules[step.function.__module__])
        return self._codes[step.name]

    def _gathers(self, step: Step, need: Need) -> bool:
        return step.per == "show" and self._producer(need).per == "episode"

    def _producer(self, need: Need) -> Source | Step:
        return self.sources.get(need.producer) or self.steps[need.producer]

    def _read_units(self, step: Step, need: Need, unit: str) -> Sequence[str]:
        if self._producer(need).per == "show":
            return [SHOW]
        return [unit] if step.per == "episode" else self._episodes_of(step)

    def _episodes_of(self, step: Step) -> Sequence[str]:
        """The episodes that a step of the show gathers: all, or those of which it can have all that it reads."""
        if not step.partial:
            return self.episodes
        names = [need.producer for need in step.needs.values()]
        return [each for each in self.episodes if not any((name, each) in self.given_up for name in names)]

    def _part(self, need: Need, producer: Node, reader: str) -> Digest:
        """The digest of what the step, run for `reader`, reads of the producer's output: all, or a projection."""
        whole = self.outputs[producer]
        if need.project is None:
            return whole
        kind = record_type(need)
        episode = (reader,) if need.by_episode else ()
        if (kind, whole, *episode) not in self._parts:
            record = self.store.get(whole, self._producer(need).output)
            # The whole show's record is read once for all episodes, not once for each.
            for part in [(each,) for each in self.episodes] if need.by_episode else [()]:
                self._parts[kind, whole, *part] = self.store.put(need.project(record, *part))
        return self._parts[kind, whole, *episode]


def record_type(need: Need) -> Any:
    """The record a step is given for a need; of `dict[str, Scenes]` it is Scenes."""
    return get_args(need.hint)[1] if get_args(need.hint) else need.hint


def key(recipe: Recipe) -> Digest:
    return fingerprint.of_value("run", recipe)


def run_name(show: str, node: Node, recipe: Recipe) -> str:
    """`<hash>-<show>[-<episode>]-<step>-<version>`; the hash is 160 bits of the key in base 32."""
    short = base64.b32encode(bytes.fromhex(key(recipe))[:20]).decode().lower()
    unit = [] if node[1] == SHOW else [node[1]]
    return "-".join([short, show, *unit, node[0], str(recipe["version"])])


def code_identity(recipe: Recipe) -> Digest:
    """What names a step's code in its memo: its files and its version."""
    return fingerprint.of_value("code", [recipe["version"], recipe["code"]])


def causes(before: Recipe, after: Recipe) -> list[Cause]:
    """The parts at which two recipes differ."""
    found: list[Cause] = []
    for part in ("version", "code", "config", "inputs"):
        found += _differences(part, before.get(part), after.get(part))
    return found


def _differences(path: str, was: Any, now: Any) -> Iterator[Cause]:
    if isinstance(was, Mapping) and isinstance(now, Mapping):
        for name in sorted(was.keys() | now.keys()):
            yield from _differences(f"{path}.{name}", was.get(name), now.get(name))
    elif (before := _by_name(was)) is not None and (after := _by_name(now)) is not None:
        for name in dict.fromkeys((*before, *after)):
            yield from _differences(f"{path}[{name}]", before.get(name), after.get(name))
        if before.keys() == after.keys() and list(before) != list(after):
            yield Cause(path, list(before), list(after))
    elif isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        for index, (one, other) in enumerate(zip(was, now, strict=True)):
            yield from _differences(f"{path}[{index}]", one, other)
    elif was != now:
        yield Cause(path, was, now)


def _by_name(values: Any) -> dict[str, Any] | None:
    """A list's objects by what tells them apart; None, where something has no such name or two have the same."""
    if isinstance(values, list):
        for key in ("id", "key", "name"):
            named = {str(each[key]): each for each in values if isinstance(each, Mapping) and key in each}
            if len(named) == len(values):
                return named
    return None


def differences(was: Any, now: Any) -> list[Cause]:
    """The leaves at which two JSON values differ; of lists of named objects, also those that are new, gone or moved."""
    return list(_differences("", was, now))
