"""Every run of a show, from the events that it left: what the panel's Runs page reads.

All truth is in the events: the panel may be closed, restarted or be killed at any moment.
"""

import json
import platform
import time
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import psutil

from pipeline import jobs, runs_kept
from pipeline.engine.events import Reader
from pipeline.engine.plan import Recipe
from pipeline.engine.run import REQUESTS, recipe_path
from pipeline.runs_told import Job, Told, Training
from pipeline.show import Show

State = Literal["running", "done", "failed", "stopped", "died"]

_NEAR = 50  # of the newest runs, among which that of a job that runs is looked for
_SILENT_SECONDS = 900.0  # a run of another machine that is not heard of for so long is not waited for
_BOOT_SECONDS = 2.0  # a process begins so much before it tells that it did


@dataclass(frozen=True, slots=True)
class Run:
    """A run and what is known of its process. `is_ending`: it was asked to end and keeps what it has.

    `words` are why it is in that state, where there is more to say. `started` is the job that it was started as.
    """

    told: Told
    state: State
    is_ending: bool = False
    words: str = ""
    started: jobs.Job | None = None

    @property
    def id(self) -> str:
        return self.told.id

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.told.began).astimezone()

    @property
    def by(self) -> str:
        return self.told.by

    @property
    def seconds(self) -> float:
        """So far, or in all."""
        end = time.time() if self.state == "running" else self.told.ended or self.told.at
        return max(0.0, end - self.told.began)

    @property
    def trainings(self) -> list[Job]:
        return [job for job in self.told.jobs.values() if job.training is not None]

    def state_of(self, job: Job) -> str:
        """A job ends with its run, also where nobody was left to say so."""
        return self.state if job.state == "running" and self.state != "running" else job.state


def ids(show: Show) -> list[str]:
    """All runs, the newest first: names begin with the time."""
    return runs_kept.ids(show.state)


def find(show: Show, run_id: str) -> Run | None:
    """One run; None where there is none of this name. Names come from outside: only a folder's is one."""
    return read(show, run_id) if run_id in ids(show) else None


def read(show: Show, run_id: str) -> Run:
    """A run as it stands now."""
    told = runs_kept.told(show.state, run_id)
    return _with_state(show, told, _started(show.state, told.job))


def listed(show: Show, most: int, skip: int = 0) -> tuple[list[Run], int]:
    """`most` runs from the newest but `skip`, and how many there are."""
    names = ids(show)
    return [read(show, name) for name in names[skip : skip + most]], len(names)


def stillborn(show: Show, most: int = 12) -> list[jobs.Job]:
    """Newest jobs that should have made a run and ended before there was one: a launch must not vanish."""
    known = {runs_kept.told(show.state, name).job for name in ids(show)[: 4 * most]}
    found = [job for job in jobs.history(show.state, most) if jobs.VERBS.get(job.verb, ("",))[0] == "run"]
    return [job for job in found if job.id not in known and job.state in ("failed", "died")]


def earlier(show: Show, run: Run, job: Job) -> list[tuple[Run, Training]]:
    """The runs that a training goes on from, the newest first, each with what it did before the next took over."""
    found: list[tuple[Run, Training]] = []
    step = job.training.resumed if job.training else None
    if not step:
        return found
    for name in ids(show):
        if name >= run.id:
            continue
        before = read(show, name)
        other = before.told.jobs.get(f"{job.step}/{job.unit}")
        training = other.training if other else None
        if training is None or step not in {kept.checkpoint.step for kept in training.checkpoints}:
            continue
        found.append((before, training))
        if not (step := training.resumed):
            break
    return found


def whole(show: Show, run: Run, job: Job) -> Training:
    """A training with all that earlier runs did for it: its curve, losses, samples and checkpoints in one."""
    assert job.training is not None
    made = job.training
    for _, before in earlier(show, run, job):
        made = joined(before, made)
    return made


def joined(before: Training, after: Training) -> Training:
    """What a training did up to the checkpoint that the next went on from, and what that did. Pure."""
    step = after.resumed or 0
    curve = after.curve.model_copy(
        update={"points": [*(each for each in before.curve.points if each.step <= step), *after.curve.points]}
    )
    new = {each.step for each in after.holdout}
    samples = {(each.step, each.prompt) for each in after.samples}
    kept = {each.checkpoint.step for each in after.checkpoints}
    return after.model_copy(
        update={
            "curve": curve,
            "resumed": before.resumed,
            "planned": after.planned or before.planned,
            "holdout": [*(each for each in before.holdout if each.step <= step and each.step not in new),
                        *after.holdout],
            "samples": [*(each for each in before.samples
                          if each.step <= step and (each.step, each.prompt) not in samples), *after.samples],
            "checkpoints": [*(each for each in before.checkpoints
                              if each.checkpoint.step <= step and each.checkpoint.step not in kept),
                            *after.checkpoints],
        }
    )  # fmt: skip


def of_job(show: Show, job_id: str) -> Run | None:
    """The run that a job made; None before it did."""
    near = ids(show)[:_NEAR]
    return next((read(show, name) for name in near if runs_kept.told(show.state, name).job == job_id), None)


def recipe(show: Show, run_id: str, step: str, unit: str) -> Recipe | None:
    """What a job was to make, also of one that never finished; None for a run of before this was kept."""
    path = recipe_path(show.state / "runs" / run_id, (step, unit))
    try:
        found: Recipe = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return found


def log_tail(show: Show, run_id: str, job: Job, most: int = 200) -> list[str]:
    """The last lines of what a job printed."""
    path = show.state / "runs" / run_id / f"{job.step}-{job.unit}.log"
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - (most << 9)))
            text = stream.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    # A progress bar writes over its line again and again; only what stood there last is told.
    return [line.rstrip().rpartition("\r")[2] for line in text.split("\n")[-most - 1 :] if line.strip()]


def requests(show: Show, run_id: str) -> list[dict[str, Any]]:
    """What people asked of a run while it ran."""
    return list(Reader(show.state / "runs" / run_id / REQUESTS).poll())


# Is it alive?


def _started(state: Path, job_id: str) -> jobs.Job | None:
    if not job_id:
        return None
    over = _over(state)
    if job_id not in over:
        found = jobs.find(state, job_id)
        if found is None or found.state == "running":
            return found
        over[job_id] = found
    return over[job_id]


@lru_cache(maxsize=8)
def _over(state: Path) -> dict[str, jobs.Job]:
    """The jobs that ended: they do not change any more."""
    return {}


def _with_state(show: Show, told: Told, started: jobs.Job | None) -> Run:
    ending = told.stopped or (started is not None and bool(started.stopped_by))
    if is_alive(told) if told.ended is None else ending and _is_keeping(told, started):
        return Run(told, "running", ending, "", started)
    if ending:
        return Run(told, "stopped", False, "", started)
    failed = [job for job in told.jobs.values() if job.state == "failed"]
    if told.ended is None:
        return Run(told, "died", False, _last_words(show, told, started), started)
    halted = [job for job in told.jobs.values() if job.state == "stopped"]
    if failed:
        return Run(told, "failed", False, failed[0].words, started)
    return Run(told, "stopped" if halted else "done", False, halted[0].words if halted else "", started)


def is_here(told: Told) -> bool:
    """Whether a run's process would be one of this machine's."""
    return not told.host or told.host == platform.node()


def is_alive(told: Told) -> bool:
    """Whether the process that told its start still runs. A number that another process got since is not it."""
    if not is_here(told):
        return time.time() - told.at < _SILENT_SECONDS
    try:
        process = psutil.Process(told.pid)
        return process.create_time() <= told.began + _BOOT_SECONDS and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return False
    except psutil.AccessDenied:  # Somebody else's: it is there, more is not to be known.
        return True


def _is_keeping(told: Told, started: jobs.Job | None) -> bool:
    """Whether the process of a run that told its end goes on: it waits for its workers, which keep a checkpoint."""
    return (started is not None and started.state == "running") or (is_here(told) and is_alive(told))


def _last_words(show: Show, told: Told, started: jobs.Job | None) -> str:
    """What was heard last, of whoever spoke last."""
    said = [line for job in told.jobs.values() for line in job.lines]
    words = [max(said)[1]] if said else []
    words += started.lines[-3:] if started else []
    for job in told.jobs.values():
        if job.state == "running":
            words += log_tail(show, told.id, job, 3)
    return "\n".join(words)
