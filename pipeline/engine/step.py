"""What a step is: a named, versioned function from records to one record."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict

from pipeline.engine.records import Record
from pipeline.engine.work import Workspace

Per = Literal["episode", "show"]
Device = Literal["cpu", "cuda"]


class StepConfig(BaseModel):
    """Base of a step's settings. Every field enters the fingerprint; paths and hosts go in Settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def runs_on(self, device: Device) -> Device:
        """Where a step with these settings runs; `device` is what it says of itself."""
        return device


@dataclass(frozen=True, slots=True)
class Source:
    """A record that people or the outside world supply: an episode, a snapshot of review decisions."""

    name: str
    output: type[Record]
    per: Per = "episode"


@dataclass(frozen=True, slots=True)
class Need:
    """One input of a step.

    `project` is set where the step reads only a part of what the producer makes: the part's content, not the
    whole record's, then decides whether the step runs again. `by_episode` says that it also takes the id of the
    episode that the step is run for, so that each episode reads its own part of what is made once for the show.
    """

    producer: str
    hint: Any
    project: Callable[..., Record] | None = None
    by_episode: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """`partial`: made once for the show, of those episodes that can be had; one that failed, or was never begun, stops
    no other.
    """

    name: str
    version: int
    per: Per
    device: Device
    needs: Mapping[str, Need]
    config: type[StepConfig]
    output: type[Record]
    function: Callable[..., Record]
    partial: bool = False

    def __call__(self, config: StepConfig, work: Workspace, **upstream: Any) -> Record:
        return self.function(config, work, **upstream)


def step(
    *, version: int, per: Per = "episode", device: Device = "cpu", partial: bool = False
) -> Callable[[Callable[..., Record]], Step]:
    """Make a Step of `run(config, work, *, step1_scenes: Scenes, ...) -> Transcript`.

    The file's name is the step's name (underscores for dashes), the keyword-only parameters are what it needs,
    and the annotations are its config and output, so nothing is said twice. A parameter whose type has a
    `project(cls, upstream)` class method asks for that part of the upstream record only; with
    `project(cls, upstream, episode)`, for the part of the episode that the step is run for. A `partial` step of the
    show takes the episodes that can be had. Raise `version` whenever the same inputs would now give a different output
    and no file of the step's code shows it.
    """

    def wrap(function: Callable[..., Record]) -> Step:
        hints = get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
        return Step(
            name=dag_name(function.__module__.rpartition(".")[2]),
            version=version,
            per=per,
            device=device,
            needs={p.name: _need(p.name, hints[p.name]) for p in parameters if p.kind is p.KEYWORD_ONLY},
            config=hints["config"],
            output=hints["return"],
            function=function,
            partial=partial,
        )

    return wrap


def _need(parameter: str, hint: Any) -> Need:
    """With the `project` of the record, or of the records in a `dict[str, ...]` that gathers episodes."""
    project = getattr(get_args(hint)[1] if get_args(hint) else hint, "project", None)
    by_episode = project is not None and "episode" in inspect.signature(project).parameters
    return Need(dag_name(parameter), hint, project, by_episode)


def dag_name(python_name: str) -> str:
    """`step2_transcript_base` -> `step2-transcript-base`."""
    return python_name.replace("_", "-")


def check(sources: tuple[Source, ...], steps: tuple[Step, ...]) -> None:
    """Raise TypeError unless each step needs only what stands above it, by its true type."""
    above: dict[str, Source | Step] = {source.name: source for source in sources}
    for step in steps:
        for need in step.needs.values():
            if need.producer not in above:
                raise TypeError(f"{step.name} needs {need.producer!r}, which does not stand above it")
            producer = above[need.producer]
            gathers = step.per == "show" and producer.per == "episode"
            if gathers != bool(get_args(need.hint)):
                raise TypeError(
                    f"{step.name} takes {need.producer} as {need.hint}, but it is made once a {producer.per}"
                )
            given: Any = get_args(need.hint)[1] if gathers else need.hint
            if need.project is not None:
                hints = get_type_hints(need.project)
                (given,) = (hint for name, hint in hints.items() if name not in ("return", "episode"))
            if need.by_episode and (step.per, producer.per) != ("episode", "show"):
                raise TypeError(f"{step.name} is made once a {step.per}: it has no part of {need.producer} by episode")
            if given != producer.output:
                raise TypeError(f"{step.name} takes {need.producer} as {given}, but it is {producer.output}")
        if step.name in above:
            raise TypeError(f"two steps are called {step.name!r}")
        above[step.name] = step
