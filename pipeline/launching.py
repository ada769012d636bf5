"""Launch any step with its settings: what would run and why, what show.toml would say, and one job that does it.

Settings that somebody gives in the panel are saved where the show keeps its settings, so that the command line and the
next person see the same. Nothing is saved, and nothing starts, before it was shown.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from functools import cached_property
from typing import Any

from pipeline import changes, dag, jobs
from pipeline.changes import Change
from pipeline.engine import fingerprint
from pipeline.engine.explain import UnitStatus
from pipeline.forecast import Forecast, Outlook
from pipeline.jobs import Job
from pipeline.review import glossary_lines
from pipeline.schemas import located
from pipeline.show import Show
from pipeline.show_file import ShowFile

VERB, FILE = "launch", "show.toml"

Path_ = tuple[str, ...]
"""Where a setting of a step stands: ("speed", "compile")."""

UNSET = object()
"""A setting whose line is taken out of show.toml: its default holds."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Something that people launch: a name, what it does in a sentence, and the steps that it is."""

    name: str
    what: str
    steps: tuple[str, ...]


_OFFERS = (
    Offer("Package", "Reviewed clips become both trainers' datasets.", ("step3-ltx2-data", "step3-wan21-package")),
    Offer("Preprocess", "Clips become latents, captions become embeddings.", ("step4-ltx2-preprocess",)),
    Offer("Train LTX-2", "A LoRA of picture and sound, for LTX\u20112.", ("step5-ltx2-train",)),
    Offer("Train Wan2.1", "A LoRA of moving pictures, for Wan2.1.", ("step5-wan21-train",)),
)


def offers() -> list[Offer]:
    """The big choices, of those steps that this release has."""
    names = {step.name for step in dag.STEPS}
    found = [replace(each, steps=tuple(step for step in each.steps if step in names)) for each in _OFFERS]
    return [each for each in found if each.steps]


def sentence(step: str) -> str:
    """What a step makes, in the words of its file."""
    (found,) = (each for each in dag.STEPS if each.name == step)
    return (sys.modules[found.function.__module__].__doc__ or "").splitlines()[0].partition(": ")[2].rstrip(":")


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be launched: `steps` and all they need, for `episodes` (empty: all)."""

    steps: tuple[str, ...]
    episodes: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """The same for the same request, in whatever order it was put together."""
        return fingerprint.of_value("launch", [sorted(set(self.steps)), sorted(set(self.episodes))])[:16]

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*self.steps, *(word for episode in self.episodes for word in ("--episode", episode)))

    @property
    def command(self) -> str:
        return " ".join(("dailies run", *self.arguments))


@dataclass(frozen=True)
class Preview:
    """What a launch would do. `to_make` are the units that would run, with the reason of each; `cost` is theirs.

    `text` is what show.toml would say, `diff` how that differs from now, `change` what the new settings make stale;
    None where they are as they were. `running` is the same launch, where it goes on already.
    """

    request: Request
    to_make: tuple[UnitStatus, ...]
    fresh: int
    cost: Forecast
    text: str
    diff: str
    change: Change | None
    running: Job | None
    after: Outlook

    @cached_property
    def steps(self) -> list[str]:
        return list(dict.fromkeys(unit.step for unit in self.to_make))

    @property
    def devices(self) -> set[str]:
        return {unit.device for unit in self.to_make}


def file_text(show: Show) -> str:
    """show.toml as it is now, to the byte."""
    return (show.folder / FILE).read_bytes().decode("utf-8")


def preview(now: Outlook, request: Request, text: str, new: str) -> Preview:
    """What would happen if show.toml, now `text`, said `new` and `request` was launched.

    Raises ValueError where `new` is not right, or the request names what the show does not have.
    """
    _checked(now.show, request)
    change = None
    after = now
    if new != text:
        change = changes.change(now, with_text(now.show, new))
        after = change.after
    nodes = set(after.plan.nodes(request.steps, request.episodes or None))
    units = [each for each in after.units if (each.step, each.unit) in nodes]
    left = tuple(each for each in units if each.state != "fresh")
    return Preview(
        request=request,
        to_make=left,
        fresh=len(units) - len(left),
        cost=after.left([(each.step, each.unit) for each in left]),
        text=new,
        diff="".join(unified_diff(text.splitlines(True), new.splitlines(True), FILE, FILE, n=2)),
        change=change,
        running=running(now.show, request),
        after=after,
    )


def with_text(show: Show, text: str) -> Show:
    """The show as it would be if show.toml said `text`. Raises ValueError naming all that is wrong with it."""
    return replace(show, file=located.parse(text, ShowFile, FILE))


def launch(show: Show, request: Request, *, by: str, text: str | None = None, seen: str | None = None) -> Job:
    """Save the settings, if `text` has new ones, and start the run in a process of its own. What runs is the answer.

    `seen` is what show.toml said when `text` was made of it. Raises ValueError where somebody changed it meanwhile, or
    where the same launch goes on with other settings.
    """
    _checked(show, request)
    with show.store.lock("show-toml"):
        wanted = show if text is None else with_text(show, text)
        going = running(show, request)
        if going is not None and going.about.get("settings") != _settings(wanted, request):
            raise ValueError(
                f"it runs already, with other settings, since {going.at:%H:%M} by {going.by}: cancel it first, or wait"
            )
        if text is not None and (now := file_text(show)) != text:
            if now != seen:
                raise ValueError(f"{FILE} was changed by somebody else meanwhile: look at the changes again")
            glossary_lines.rewrite(show.folder / FILE, text)
        about = {"steps": request.steps, "episodes": request.episodes, "settings": _settings(wanted, request)}
        return jobs.start(show.state, show.folder, VERB, by=by, more=request.arguments, key=request.key, about=about)


def running(show: Show, request: Request) -> Job | None:
    """This very launch, where it goes on."""
    found = jobs.newest(show.state, f"{VERB}.{request.key}")
    return found if found and found.state == "running" else None


def recent(show: Show, most: int = 4) -> list[Job]:
    """The launches that run, and then the newest that ended."""
    found = [job for job in jobs.history(show.state) if job.verb == VERB]
    return sorted(found, key=lambda job: job.state != "running")[:most]


def called(job: Job) -> str:
    """A launch by the name of its choice, or by its steps."""
    steps = tuple(job.about.get("steps", ()))
    name = next((each.name for each in offers() if each.steps == steps), ", ".join(steps) or "Everything")
    episodes = job.about.get("episodes", ())
    return name + (f" · {', '.join(episodes)}" if episodes else "")


def _checked(show: Show, request: Request) -> None:
    for kind, names, known in (
        ("step", request.steps, [step.name for step in dag.STEPS]),
        ("episode", request.episodes, list(show.episodes())),
    ):
        for name in names:
            if name not in known:
                raise ValueError(f"there is no {kind} {name!r}; there are {', '.join(known)}")


def _settings(show: Show, request: Request) -> str:
    """A name for the settings of all steps that a request may run."""
    wanted = set(request.steps or [step.name for step in dag.STEPS])
    for step in reversed(dag.STEPS):
        if step.name in wanted:
            wanted |= {need.producer for need in step.needs.values()}
    found = {name: config.model_dump(mode="json") for name, config in show.written().items() if name in wanted}
    return fingerprint.of_value("settings", found)[:16]


# Settings in show.toml


def with_values(text: str, step: str, values: Mapping[Path_, Any]) -> str:
    """show.toml with these settings of a step; comments and layout are kept, and all else stays as it is."""
    import tomlkit

    if not values:
        return text
    document: Any = tomlkit.parse(text)
    steps = document.get("steps")
    if steps is not None and step in steps:
        for path, value in values.items():
            _put(steps[step], path, value)
        return tomlkit.dumps(document)
    table: Any = tomlkit.table()
    for path, value in values.items():
        _put(table, path, value)
    if not table:
        return text
    # Behind all else, as a header of its own: tomlkit would put it among the tables of other steps.
    alone = tomlkit.document()
    alone.add("steps", tomlkit.table(is_super_table=True))
    alone["steps"].add(step, table)
    return f"{text.rstrip()}\n\n{tomlkit.dumps(alone)}"


def _put(table: Any, path: Path_, value: Any) -> None:
    import tomlkit

    first, *rest = path
    if rest:
        if first not in table:
            if value is UNSET:
                return
            table[first] = tomlkit.inline_table()
        _put(table[first], tuple(rest), value)
        if not table[first]:
            del table[first]
    elif value is UNSET:
        table.pop(first, None)
    elif isinstance(value, list):
        array = tomlkit.array()
        for each in value:
            array.append(each)
        table[first] = array.multiline(len(value) > 1)
    elif isinstance(value, str) and "\n" in value:
        table[first] = tomlkit.string(value, multiline=True)
    else:
        table[first] = value
