"""The host's half of a job: `python -m pipeline.engine.remote RUN MIRROR FOLDER GPUS`, started there by Ray.

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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.engine import code, fingerprint, worker
from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror import Mirror
from pipeline.engine.records import files_of
from pipeline.engine.spread import over_cluster
from pipeline.engine.step import Step
from pipeline.engine.store import Store
from pipeline.engine.transport import MirrorError
from pipeline.engine.work import Models, Stopping
from pipeline.engine.worker import Answer, Job

MARK = "\x1edailies "
EVENT, ITEM, ANSWER = "e", "i", "a"
MODEL_SERVER_KEY = "DAILIES_MODEL_SERVER_KEY"
_LOOK_SECONDS = 0.5
_ASK_SECONDS = 5.0  # every look at a mirror over ssh costs a connection


def job_text(name: str) -> str:
    """Where in the mirror a job lies."""
    return f"state/job-{name}.json"


def asks_text(name: str) -> str:
    """Where in the mirror lies what people asked of a running job."""
    return f"state/asks-{name}.jsonl"


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
    except (ValueError, OSError, MirrorError) as error:
        return Answer(error=worker.explain(error, job.store))
    return answer


@contextmanager
def _telling(events: Path, write: Any) -> Iterator[None]:
    """Pass on what is told in `events`, as it is told, and all of it by the end."""
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


def _listen(job: Job, mirror: Mirror, stopping: Stopping, done: threading.Event) -> None:
    """Bring what people ask of a job that listens: one that keeps its state is a training, others are not asked."""
    assert job.requests is not None
    while not done.wait(_ASK_SECONDS):
        if stopping.is_graceful:
            asked = mirror.read(asks_text(job.name)).encode()
            known = job.requests.stat().st_size
            with job.requests.open("ab") as stream:
                stream.write(asked[known:])


def main() -> None:
    """Read the job, run it, and tell the answer as the last line."""
    name, url, folder, gpus = sys.argv[1:]
    root = Path(folder).expanduser()
    state = root / "jobs" / name
    state.mkdir(parents=True, exist_ok=True)
    (state / "events.jsonl").unlink(missing_ok=True)
    (state / "requests.jsonl").write_bytes(b"")
    store, stopping = Store(root / "store"), Stopping()

    def end(*_: object) -> None:
        if not stopping.is_graceful:
            os.killpg(os.getpgrp(), signal.SIGKILL)
        stopping.asked.set()

    signal.signal(signal.SIGTERM, end)

    def write(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    try:
        mirror = Mirror(store, url)
        told_job = json.loads(mirror.read(job_text(name)) or "{}")
        told_job["services"]["model_server_key"] = os.environ.get(MODEL_SERVER_KEY) or None
        there = {"store": store.root, "cache": root / "cache", "events": state / "events.jsonl", "log": None}
        job = Job.model_validate(told_job).model_copy(
            update={**there, "requests": state / "requests.jsonl", "mirror": (url, None)}
        )
    except (OSError, MirrorError, ValueError, KeyError) as error:
        write(told(ANSWER, Answer(error=worker.explain(error, store.root)).model_dump_json()))
        return
    done = threading.Event()
    listener = threading.Thread(target=_listen, args=(job, Mirror(store, url), stopping, done), daemon=True)
    listener.start()
    with _telling(state / "events.jsonl", write):
        answer = run(job, mirror, stopping, int(gpus))
    done.set()
    for path in answer.sample.items if answer.sample else ():
        write(told(ITEM, json.dumps([path.name, path.read_text()])))
    write(told(ANSWER, answer.model_dump_json()))


if __name__ == "__main__":
    main()
