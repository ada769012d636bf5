"""The host's half of a job: `python -m pipeline.engine.remote JOB MIRROR FOLDER GPUS HOST`, started there by
Ray.

The job is a text in the mirror; what it reads comes from the mirror, what it makes goes there. The host has a store of
its own in FOLDER, so that a job that died goes on at its item. Events and the answer are lines on stdout that begin
with MARK and a letter; whatever else stands there is the job's log.
"""

import importlib
import json
import os
import platform
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.engine import code, fingerprint, upkeep, worker
from pipeline.engine.cluster import ClusterError, over_cluster
from pipeline.engine.events import Events
from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror import Mirror
from pipeline.engine.records import files_of
from pipeline.engine.step import Step
from pipeline.engine.store import Store
from pipeline.engine.transport import MirrorError
from pipeline.engine.work import Models, Stopping
from pipeline.engine.worker import Answer, Job, Sample

MARK = "\x1edailies "
EVENT, ITEM, ANSWER = "e", "i", "a"
MODEL_SERVER_KEY = "DAILIES_MODEL_SERVER_KEY"
RAYS_OWN_SECONDS = 3
"""Between Ray's two words to a job that is to stop, where nobody said otherwise (Ray 2.60)."""
_LOOK_SECONDS = 0.5
_ASK_SECONDS = 5.0  # every look at a mirror over ssh costs a connection


def job_text(name: str) -> str:
    """Where in the mirror a job lies."""
    return f"state/job-{name}.json"


def asks_text(name: str, asker: str) -> str:
    """Where in the mirror lies what people asked of a running job through one of the runs that wait for it."""
    return f"state/asks-{name}.{asker}.jsonl"


def asks_there(mirror: Mirror, name: str) -> dict[str, int]:
    """What lies in the mirror of all that was asked of a job, with its bytes."""
    there = mirror.transport.sizes(["state"])
    return {text: size for text, size in there.items() if text.startswith(f"state/asks-{name}.")}


def told(kind: str, content: str) -> str:
    """One line for the other half."""
    return f"{MARK}{kind}{content}\n"


def refuse_other_code(step: Step, recipe: Mapping[str, Any]) -> None:
    """Raise ValueError unless the code here is that which the recipe asks for, so that the run has the same key."""
    here = code.digests(sys.modules[step.function.__module__])
    wanted = recipe["code"]
    if here != wanted:
        differing = sorted(name for name in here.keys() | wanted.keys() if here.get(name) != wanted.get(name))
        raise ValueError(
            f"host has version {_version(here)} of {step.name}, you have {_version(wanted)} ({', '.join(differing[:3])}"
            f" {'differs' if len(differing) == 1 else 'differ'}; Python {platform.python_version()} there): nothing was"
            " run; send the package anew with `dailies run`, or remove the other one from the host's Python"
        )


def _version(digests: Mapping[str, str]) -> str:
    return fingerprint.of_value("version", dict(digests))[:8]


def bring(job: Job, step: Step, mirror: Mirror) -> None:
    """Have the records that a job reads; their files stay in the mirror until the step opens them."""
    inputs = job.recipe["inputs"]
    mirror.fetch(_flat(inputs))
    for need in step.needs.values():
        records = worker.load(mirror.store, need, inputs[need.producer])
        mirror.store.await_objects({file.digest: file.size_bytes for file in files_of(records)})


def _flat(inputs: Mapping[str, Any]) -> Iterator[Digest]:
    for value in inputs.values():
        yield from (Digest(each) for each in ([value] if isinstance(value, str) else value.values()))


def run(job: Job, mirror: Mirror, stopping: Stopping, gpus: int = 1) -> Answer:
    """Make the run, or take the one that is here, and send it to the mirror. With several `gpus`, items go to all that
    are free; a job that asks for `gpus` itself, a training, has them already.
    """
    try:
        step = {step.name: step for step in importlib.import_module(job.registry).STEPS}[job.step]
        refuse_other_code(step, job.recipe)
        bring(job, step, mirror)
        models = Models()
        try:
            if gpus > 1 and "gpus" not in job.recipe["config"]:
                with over_cluster(partial(worker.follow, job), gpus - 1) as spread:
                    answer = worker.attempt(job, models, stopping, spread)
            else:
                answer = worker.attempt(job, models, stopping)
        finally:
            models.close()
        if answer.run is not None:
            mirror.push([answer.run])
    except (MirrorError, ClusterError) as error:
        return Answer(error=f"on host {job.host}: {error}")
    except Exception as error:  # Whoever waits for the answer must get one, with its cause.
        traceback.print_exc()
        return Answer(error=worker.explain(error, job.store, job.host))
    return answer


@contextmanager
def _telling(events: Path, write: Any) -> Iterator[None]:
    """Pass on what is told in `events`, as it is told, and all of it by the end.

    It is a file, not a pipe: whoever tells never waits for a reader, and what outlives the job is not stuck.
    """
    done = threading.Event()

    def follow() -> None:
        offset, is_last = 0, False
        while not is_last:
            is_last = done.wait(_LOOK_SECONDS)
            if events.exists():
                with events.open("rb") as stream:
                    stream.seek(offset)
                    for line in stream:
                        if line.endswith(b"\n"):
                            offset += len(line)
                            write(told(EVENT, line.decode().rstrip("\n")))

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextmanager
def _hearing(job: Job, name: str, mirror: Mirror, stopping: Stopping) -> Iterator[None]:
    """Bring what people ask of a job that listens: one that keeps its state is a training, others are not asked."""
    done = threading.Event()
    heard: dict[str, int] = {}  # bytes

    def hear() -> None:
        assert job.requests is not None
        for text, size in sorted(asks_there(mirror, name).items()):
            if size > heard.get(text, 0):
                asked = mirror.read(text).encode()
                with job.requests.open("ab") as stream:
                    stream.write(asked[heard.get(text, 0) :])
                heard[text] = len(asked)

    def follow() -> None:
        is_warned = False
        while not done.wait(_ASK_SECONDS):
            if stopping.is_graceful:
                if not is_warned and (seconds := _seconds_to_end()) < Stopping.GRACE_SECONDS:
                    is_warned = True
                    Events(job.events, (("step", job.step), ("unit", job.unit))).emit(
                        "log", message=_soon_killed(seconds)
                    )
                try:
                    hear()
                except MirrorError as error:  # The job goes on, and the next look may hear.
                    sys.stderr.write(f"what is asked of this job is not heard now: {error}\n")

    threading.Thread(target=follow, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _seconds_to_end() -> float:
    """What Ray leaves a job between its polite and its last word; no address of Ray's tells it, but jobs inherit it."""
    return float(os.environ.get("RAY_JOB_STOP_WAIT_TIME_S", RAYS_OWN_SECONDS))


def _soon_killed(seconds: float) -> str:
    return (
        f"Ray on this host kills a job {seconds:g} s after it is told to stop: what came after the last checkpoint"
        " would be lost; start Ray there with RAY_JOB_STOP_WAIT_TIME_S=80, as `dailies host init` has it"
    )


def received(name: str, mirror: Mirror, url: str, root: Path) -> Job:
    """The job of this name as it runs here, with a folder of its own. Raises ValueError where it cannot be read."""
    text = mirror.read(job_text(name))
    if not text:
        raise ValueError(f"the mirror {url} has no job {name}: is it the show's mirror, as this host reaches it?")
    told_job = json.loads(text)
    told_job["services"]["model_server_key"] = os.environ.get(MODEL_SERVER_KEY) or None
    state = root / "jobs" / name
    state.mkdir(parents=True, exist_ok=True)
    events, requests = state / "events.jsonl", state / "requests.jsonl"
    events.unlink(missing_ok=True)
    requests.write_bytes(b"")
    there = {"store": mirror.store.root, "cache": root / "cache", "events": events, "log": None, "requests": requests}
    return Job.model_validate(told_job).model_copy(update={**there, "mirror": (url, None)})


def sample_lines(mirror: Mirror, sample: Sample) -> Iterator[str]:
    """Its items, one a line, with the bytes of the files that they name; those go to the mirror first."""
    for path in sample.items:
        content = path.read_text()
        files = {digest for digest in upkeep.digests_in(json.loads(content)) if mirror.store.knows(digest)}
        mirror.push([], files)
        yield told(ITEM, json.dumps([path.name, content, {digest: mirror.store.size(digest) for digest in files}]))


def _ends_when_told(stopping: Stopping) -> None:
    """A job that keeps its state ends soon, any other at once, with all that it started."""

    def end(*_: object) -> None:
        if not stopping.is_graceful:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        stopping.asked.set()

    signal.signal(signal.SIGTERM, end)


def _write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def main() -> None:
    """Read the job, run it, and tell the answer as the last line."""
    name, url, folder, gpus, host = sys.argv[1:]
    root = Path.home() / Path(folder).expanduser()
    stopping = Stopping()
    _ends_when_told(stopping)
    try:
        mirror = Mirror(Store(root / "store"), url)
        job = received(name, mirror, url, root)
        assert job.events is not None
        with _telling(job.events, _write), _hearing(job, name, mirror, stopping):
            answer = run(job, mirror, stopping, int(gpus))
        for line in sample_lines(mirror, answer.sample) if answer.sample else ():
            _write(line)
        mirror.transport.remove([job_text(name), *asks_there(mirror, name)])
    except Exception as error:  # Whatever it is, whoever waits for the answer must get one.
        traceback.print_exc()
        answer = Answer(error=worker.explain(error, root / "store", host))
    _write(told(ANSWER, answer.model_dump_json()))


if __name__ == "__main__":
    main()
