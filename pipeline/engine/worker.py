"""Runs jobs of one step in a process of its own: `python -m pipeline.engine.worker`.

Jobs come as JSON lines on stdin, answers go as JSON lines to stdout; what a step prints goes to the job's log. A model
that a job loaded stays for the next job. When stdin closes while a job runs, whoever wanted the answer is gone, and the
worker ends with everything it started.
"""

import importlib
import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.engine import code, plan
from pipeline.engine.events import Events, Reader
from pipeline.engine.fingerprint import Digest
from pipeline.engine.memo import LimitedError, Spreading
from pipeline.engine.mirror import Fetcher
from pipeline.engine.records import Record
from pipeline.engine.spread import Member
from pipeline.engine.step import Step
from pipeline.engine.store import Run, Store
from pipeline.engine.transport import FULL
from pipeline.engine.work import Models, Services, StoppedError, Stopping, Workspace


class Job(BaseModel):
    """All that a worker needs, as plain values: names and digests travel, code and models stay home.

    `registry` is the module that holds STEPS; `memo_code` names the code in the memo, which an adoption keeps stable;
    `host` is where it runs, "" here.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    registry: str
    show: str
    step: str
    unit: str
    name: str
    recipe: dict[str, Any]
    memo_code: Digest
    store: Path
    cache: Path
    events: Path | None = None
    log: Path | None = None
    services: Services = Services()
    limit: int | None = None
    requests: Path | None = None
    mirror: tuple[str, Path | None] | None = None
    host: str = ""


class Sample(BaseModel):
    """The first items of a step that was not made whole: files with one record each, of `total` items in all."""

    items: tuple[Path, ...]
    total: int


class Answer(BaseModel):
    """What became of a job: its run (`made` is false where it stood already), why it failed, or the sample that was
    asked for instead of a run. `refused`: its place took no job, so that another place may be asked.
    """

    run: Run | None = None
    made: bool = False
    error: str | None = None
    sample: Sample | None = None
    refused: bool = False


def execute(
    job: Job,
    steps: dict[str, Step],
    models: Models,
    stopping: Stopping | None = None,
    spread: Spreading | None = None,
) -> Answer:
    """Return the recorded run of this recipe, or make it; of two processes asked at once, one makes it."""
    store = _store(job)
    step = steps[job.step]
    with store.lock(f"run-{job.name}"):
        if found := store.find_run(job.name):
            return Answer(run=store.set_head(found))
        started = time.monotonic()
        with store.scratch() as scratch:
            output, work = call(job, step, store, scratch, models, stopping or Stopping(), spread)
            assert isinstance(output, step.output), f"{job.step} returned {type(output)}, not {step.output}"
            run = Run(
                name=job.name,
                step=job.step,
                unit=job.unit,
                key=plan.key(job.recipe),
                recipe=job.recipe,
                output=store.put(output),
                seconds=round(time.monotonic() - started, 3),
                finished=round(time.time(), 3),
                memo=tuple(work.memo_used()),
            )
            return Answer(run=store.save_run(run, output), made=True)


def call(
    job: Job, step: Step, store: Store, scratch: Path, models: Models, stopping: Stopping, spread: Spreading | None
) -> tuple[Record, Workspace]:
    """Run a job's step on what its recipe names. Raises ValueError where the code here is not the recipe's."""
    now = code.digests(sys.modules[step.function.__module__])
    if now != job.recipe["code"]:
        raise ValueError(f"the code of {job.step} changed while it was waiting to run: run again")
    inputs = job.recipe["inputs"]
    upstream = {name: load(store, need, inputs[need.producer]) for name, need in step.needs.items()}
    job.cache.mkdir(parents=True, exist_ok=True)
    work = Workspace(
        store,
        scratch,
        job.cache,
        job.step,
        job.memo_code,
        Events(job.events, (("step", job.step), ("unit", job.unit))),
        models,
        services=job.services,
        limit=job.limit,
        stopping=stopping,
        requests=None if job.requests is None else Reader.at_end(job.requests),
        spread=spread,
    )
    return step(step.config.model_validate(job.recipe["config"]), work, **upstream), work


def follow(job: Job, member: Member) -> None:
    """Run a job's step for a member of its spread, which leaves no trace but the items that it makes."""
    quiet = job.model_copy(update={"events": None, "log": None, "requests": None})
    steps = {step.name: step for step in importlib.import_module(job.registry).STEPS}
    store = _store(job)
    with store.scratch() as scratch:
        member.follow(lambda: call(quiet, steps[job.step], store, scratch, Models(), Stopping(), member))


def _store(job: Job) -> Store:
    store = Store(job.store)
    if job.mirror:
        store.fetch = Fetcher(store, *job.mirror)
    return store


def attempt(job: Job, models: Models, stopping: Stopping | None = None, spread: Spreading | None = None) -> Answer:
    """`execute`, with a failure kept for `status` and its traceback in the log, instead of raised."""
    try:
        steps = {step.name: step for step in importlib.import_module(job.registry).STEPS}
        return execute(job, steps, models, stopping, spread)
    except LimitedError as limited:
        return Answer(sample=Sample(items=limited.paths, total=limited.total))
    except StoppedError as stopped:
        message = str(stopped) or "stopped as was asked; run again to go on"
        # Whoever asked for the run may be gone by now, and then nobody else tells.
        Events(job.events).emit("job stopped", step=job.step, unit=job.unit, message=message)
        return Answer(error=message)
    except Exception as error:
        traceback.print_exc()
        message = explain(error, job.store, job.host)
        record_failure(job, message)
        return Answer(error=message)


def explain(error: BaseException, store: Path, host: str = "") -> str:
    """One line for people: what is wrong and, where it is known, what to do."""
    if isinstance(error, OSError) and error.errno in FULL:
        if host:
            return (
                f"the disk of host {host} is full ({store}): free some space there (what is finished is in the mirror"
                " too) and run again; finished items are kept"
            )
        return f"the disk of {store} is full: free some space (`dailies store gc`) and run again; finished work is kept"
    lines = (str(error).strip() or "no message").splitlines()
    if isinstance(error, ValidationError) or not isinstance(error, ValueError):
        return f"{type(error).__name__}: {lines[0]}"
    return "; ".join(lines)  # A file that people wrote may have several faults, each with its line.


def record_failure(job: Job, message: str) -> None:
    """Keep a failure for `status`. Where even that cannot be written (a full disk), the answer alone tells it."""
    store = Store(job.store)
    failure = {
        "key": plan.key(job.recipe),
        "message": message,
        "when": time.time(),
        "log": str(job.log or ""),
    }
    try:
        store.replace(store.failure_path(job.step, job.unit), json.dumps(failure).encode())
    except OSError:
        traceback.print_exc()


def load(store: Store, need: Any, digests: Any) -> Any:
    """A need's record, or its records by episode."""
    kind = plan.record_type(need)
    if isinstance(digests, str):
        return store.get(Digest(digests), kind)
    return {episode: store.get(Digest(digest), kind) for episode, digest in digests.items()}


def main() -> None:
    if os.getpgrp() != os.getpid():
        os.setpgrp()  # What this worker starts must end with it, and nobody else.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # What anybody prints must not look like an answer.
    jobs: queue.Queue[str | None] = queue.Queue()
    idle = threading.Event()
    stopping = Stopping()

    def end(*_: object) -> None:
        """The job's time is over: at once, or for one that wants to keep what it has, soon."""
        if idle.is_set() or not stopping.is_graceful:
            os.killpg(os.getpid(), signal.SIGKILL)
        stopping.asked.set()
        patience = threading.Timer(Stopping.GRACE_SECONDS, os.killpg, (os.getpid(), signal.SIGKILL))
        patience.daemon = True
        patience.start()

    def listen() -> None:
        for line in sys.stdin:
            jobs.put(line)
        if not idle.is_set() or not jobs.empty():
            end()
        jobs.put(None)

    signal.signal(signal.SIGTERM, end)

    idle.set()
    threading.Thread(target=listen, daemon=True).start()
    models = Models()
    while (line := jobs.get()) is not None:
        idle.clear()
        job = Job.model_validate_json(line)
        if job.log is not None:
            with job.log.open("a") as log:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
        answer = attempt(job, models, stopping)
        idle.set()
        stopping.is_graceful = False
        try:
            answers.write(answer.model_dump_json() + "\n")
            answers.flush()
        except BrokenPipeError:  # Whoever wanted it is gone; what the job kept is in the store.
            os._exit(1)
        if stopping.asked.is_set():  # Told to end: what comes after this job is not for this worker.
            break
    models.close()


if __name__ == "__main__":
    main()
