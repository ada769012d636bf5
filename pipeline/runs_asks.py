"""What people may ask of a run: keep a checkpoint now, make samples now, end, go on. Nothing is ever overwritten."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from pipeline import jobs, launching, runs
from pipeline.engine import explain
from pipeline.engine.events import Events
from pipeline.engine.plan import SHOW, Node, Plan, Recipe
from pipeline.engine.run import REQUESTS
from pipeline.engine.step import StepConfig
from pipeline.runs import Run
from pipeline.runs_told import Job
from pipeline.schemas.training import Checkpoint
from pipeline.show import Show

Ask = Literal["save", "sample"]


def ask(show: Show, run_id: str, job: str, what: Ask, *, by: str) -> None:
    """Ask a training that runs for something; it looks after each step. Raises ValueError where none runs."""
    found = _known(show, run_id)
    wanted = found.told.jobs.get(job)
    if found.state != "running" or found.is_ending or wanted is None or wanted.state != "running":
        raise ValueError(f"{run_id} is not training any more: it keeps and samples nothing now")
    Events(show.state / "runs" / run_id / REQUESTS).emit("asked", step=wanted.step, unit=wanted.unit, ask=what, by=by)


def cancel(show: Show, run_id: str, *, by: str) -> None:
    """End a run; its trainings keep a checkpoint first. Raises ValueError where it does not run, or runs elsewhere."""
    found = _known(show, run_id)
    if found.state != "running":
        raise ValueError(f"{run_id} does not run any more")
    if found.is_ending:
        return
    if found.started is not None and found.started.state == "running":
        jobs.stop(show.state, found.started.id, by=by)
    elif runs.is_here(found.told):
        # The number and the time of its start name a process; psutil looks at both before it sends anything.
        psutil.Process(found.told.pid).terminate()
    else:
        raise ValueError(f"it runs on {found.told.host}, out of reach from here: end it there")


@dataclass(frozen=True, slots=True)
class Resumption:
    """What would happen if a training were run again. `changed` are the reasons why its sequence would not go on, in
    words: it would begin anew then. `waits` must be made first. `lost` are checkpoints that cannot be read any more.
    """

    job: Job
    of: int
    checkpoint: Checkpoint | None
    has_optimizer: bool
    tensors: int
    changed: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    is_known: bool = True

    @property
    def goes_on(self) -> bool:
        return self.checkpoint is not None and not self.changed and not self.waits and self.is_known


def resumption(show: Show, run: Run, job: Job) -> Resumption:
    """What running a training again would do, by the show as it is now and the files as they lie in the store."""
    what = show.plan()
    explain.survey(what)
    node = (job.step, job.unit)
    then, now = runs.recipe(show, run.id, *node), what.recipe(node)
    config = what.configs[job.step].model_dump(mode="json")
    of = int(config.get("steps") or (job.training.of if job.training else 0))
    checkpoint, tensors, lost = _newest(show, run, job, of)
    return Resumption(
        job=job,
        of=of,
        checkpoint=checkpoint,
        has_optimizer=checkpoint is not None,
        tensors=tensors,
        changed=_changed(what, node, then, now) if then and now else (),
        waits=() if now else tuple(_named(need) for need in what.needs(node) if need not in what.outputs),
        lost=lost,
        is_known=then is not None,
    )


def resume(show: Show, run_id: str, *, by: str) -> jobs.Job:
    """Run again what a run was to make: fresh results stand, kept items are taken, trainings go on where they can.

    Raises ValueError where it still runs, or another run of the same does.
    """
    found = _known(show, run_id)
    if found.state == "running":
        raise ValueError("it still runs: there is nothing to go on with yet")
    request = _again(found)
    if (going := launching.running(show, request)) is not None:
        raise ValueError(f"the same runs already, since {going.at:%H:%M}, by {going.by}: look at that one")
    return launching.launch(show, request, by=by)


def _again(run: Run) -> launching.Request:
    """What a run was launched for; of one from elsewhere, what is left of it."""
    about = run.started.about if run.started else {}
    if "steps" in about:
        return launching.Request(tuple(about["steps"]), tuple(about.get("episodes", ())))
    left = [job for job in run.told.jobs.values() if run.state_of(job) not in ("done", "fresh")]
    units = [job.unit for job in left if job.unit != SHOW]
    return launching.Request(tuple(dict.fromkeys(job.step for job in left)), tuple(dict.fromkeys(units)))


def _known(show: Show, run_id: str) -> Run:
    found = runs.find(show, run_id)
    if found is None:
        raise ValueError(f"there is no run {run_id!r}")
    return found


def _changed(what: Plan, node: Node, then: Recipe, now: Recipe) -> tuple[str, ...]:
    """Why the sequence would not be the same any more, in words; settings that only watch are none."""
    config = what.configs[node[0]]
    same = {**then["config"], **{name: now["config"].get(name) for name in _observing(config)}}
    return tuple(explain.sentences(what, node, {**then, "config": same}, now))


def _observing(config: StepConfig) -> set[str]:
    """The settings on which no step of a training depends, by its own word."""
    decides = getattr(config, "decides", None)
    return set(type(config).model_fields) - set(decides()) if decides else set()


def _newest(show: Show, run: Run, job: Job, upto: int) -> tuple[Checkpoint | None, int, tuple[str, ...]]:
    """The newest checkpoint that can be read, the number of its tensors, and those that cannot."""
    kept = runs.whole(show, run, job).checkpoints if job.training else []
    lost: list[str] = []
    for each in sorted(kept, key=lambda one: -one.checkpoint.step):
        checkpoint = each.checkpoint
        if upto and checkpoint.step > upto:
            continue
        try:
            tensors = len(header(show.store.path_of(checkpoint.weights)))
            if not zipfile.is_zipfile(show.store.path_of(checkpoint.state)):
                raise ValueError(f"{checkpoint.state.name} is damaged")
            return checkpoint, tensors, tuple(lost)
        except (KeyError, ValueError, OSError) as error:
            lost.append(f"step {checkpoint.step}: {error.args[0] if error.args else error}")
    return None, 0, tuple(lost)


def header(path: Path) -> Mapping[str, Any]:
    """The tensors that a safetensors file says it has, by name; no tensor is read. Raises ValueError for another file.

    Its first eight bytes are the length of the JSON that follows (github.com/huggingface/safetensors).
    """
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= path.stat().st_size - 8:
            raise ValueError(f"{path.name} is no safetensors file: `dailies store verify --repair`")
        found: dict[str, Any] = json.loads(stream.read(length))
    return {name: value for name, value in found.items() if name != "__metadata__"}


def _named(node: Node) -> str:
    return node[0] if node[1] == SHOW else f"{node[0]} of {node[1]}"
