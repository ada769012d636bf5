"""Jobs on a Ray cluster, by its Job API: submitted under the run's name, so that asking twice attaches.

What a job reads goes to the mirror first, what it made is taken from there: records at once, files when somebody opens
them. A process that is killed leaves its jobs running, and the next one attaches; one that ends in order stops them.
"""

import asyncio
import json
import os
import shlex
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.engine import ray_jobs, upkeep
from pipeline.engine.fingerprint import Digest
from pipeline.engine.mirror import LackingError, Mirror
from pipeline.engine.remote import ANSWER, EVENT, ITEM, MARK, MODEL_SERVER_KEY, asks_text, asks_there, job_text
from pipeline.engine.step import Device
from pipeline.engine.store import Store
from pipeline.engine.transport import MirrorError
from pipeline.engine.work import Stopping
from pipeline.engine.worker import Answer, Job, Sample, explain, record_failure

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

_ASK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RayHost:
    """A cluster and what is shared with it. `mirror` is the mirror's URL here, `mirror_there` as the host reaches it.

    `folder` is where each show has its own store there. `packages` are folders of Python packages that travel with a
    job; heavy dependencies are on the host. `check` raises ValueError with the remedy where it cannot take a job that
    needs so many GPUs: Ray would let it wait for ever.
    """

    name: str
    address: str
    token: str | None
    mirror: str
    mirror_there: str
    folder: str
    packages: Sequence[Path]
    gpus: int = 1
    ssh_config: Path | None = None
    check: Callable[[int], None] = lambda gpus: None


class RayExecutor:
    """Each job is a job of Ray's with a GPU of its own, as many as the step asks for."""

    def __init__(self, host: RayHost, store: Store) -> None:
        self._host = host
        self._store = store
        self._live: dict[str, threading.Thread] = {}
        self._guard = threading.Lock()
        self._is_ending = False

    def __enter__(self) -> "RayExecutor":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """After an error or Ctrl-C stop what runs there; a training keeps its state first."""
        self._is_ending = kind is not None
        with self._guard:
            live = dict(self._live)
        if kind is None or not live:
            return
        try:
            client = self._client()
            for name in live:
                if ray_jobs.status(client, name) in ray_jobs.LIVE:
                    client.stop_job(name)
        except Exception as error:  # The host may be gone, or refuse; what the run itself failed of must be told.
            sys.stderr.write(f"host {self._host.name} was not told to stop {', '.join(live)}: {error}\n")
        for thread in live.values():
            thread.join(Stopping.GRACE_SECONDS + 30)

    def submit(self, job: Job, device: Device) -> "Future[Answer]":
        future: Future[Answer] = Future()
        thread = threading.Thread(target=self._work, args=(job, device, future), name=job.name, daemon=True)
        with self._guard:
            self._live[self._identity(job)] = thread
        thread.start()
        return future

    def _work(self, job: Job, device: Device, future: "Future[Answer]") -> None:
        try:
            answer = self._answer(job, device)
        except (ValueError, MirrorError, ray_jobs.LostHostError) as error:
            answer = Answer(error=str(error))
        except Exception as error:  # Whatever it is, whoever waits for the answer must get one.
            traceback.print_exc()
            answer = Answer(error=explain(error, job.store))
        if answer.error is not None and not self._is_ending:
            record_failure(job, answer.error)
        with self._guard:
            self._live.pop(self._identity(job), None)
        future.set_result(answer)

    def _answer(self, job: Job, device: Device) -> Answer:
        mirror = Mirror(self._store, self._host.mirror, self._host.ssh_config)
        if job.limit is None and job.name in mirror.runs():
            try:
                return self._take(mirror, job.name, made=False)
            except LackingError as error:  # The host has it still, or makes it again, and sends it.
                _append(job.log, f"{error}\n")
        try:
            self._host.check(_gpus(job, device))
            client = self._client()
        except (ValueError, ray_jobs.LostHostError) as error:
            return Answer(error=str(error), refused=True)
        identity = self._identity(job)
        if (status := ray_jobs.status(client, identity)) not in ray_jobs.LIVE:
            if job.limit is None and status == "SUCCEEDED" and job.name in mirror.runs():  # Just now, that is.
                return self._take(mirror, job.name, made=True)
            mirror.push([], {digest for digest in upkeep.read_by(self._store, job.recipe) if self._store.knows(digest)})
            with self._store.lock(f"submitting-{identity}"):  # Of two runs one submits, the other attaches.
                if (status := ray_jobs.status(client, identity)) not in ray_jobs.LIVE:
                    if status is not None:
                        client.delete_job(identity)  # It ended without a run: its name is free for another try.
                    self._send(mirror, client, job, device)
        answer = asyncio.run(self._follow(client, mirror, job))
        return answer if answer.run is None else self._take(mirror, job.name, made=answer.made)

    def _take(self, mirror: Mirror, name: str, *, made: bool) -> Answer:
        if self._store.find_run(name) is None:
            mirror.adopt([name])
        run = self._store.find_run(name)
        assert run is not None
        return Answer(run=self._store.set_head(run), made=made)

    def _send(self, mirror: Mirror, client: "JobSubmissionClient", job: Job, device: Device) -> None:
        key = job.services.model_server_key
        identity = self._identity(job)
        services = replace(job.services, folder=Path(), model_server_key=None)
        plain = job.model_copy(update={"services": services, "mirror": None, "host": self._host.name})
        mirror.transport.remove(asks_there(mirror, identity))  # They were told to a job that is no more.
        mirror.write(job_text(identity), plain.model_dump_json())
        words = [
            identity,
            self._host.mirror_there,
            f"{self._host.folder}/{job.show}",
            str(self._host.gpus),
            self._host.name,
        ]
        submit = partial(
            client.submit_job,
            # A line of a shell: `exec`, so that the word to stop reaches the job and nobody between; `cd`, as Ray runs
            # it where it was itself started, and a `pipeline` that lies there would go before the one that is sent.
            entrypoint="cd / && exec python -m pipeline.engine.remote " + " ".join(_quoted(word) for word in words),
            submission_id=identity,
            entrypoint_num_gpus=_gpus(job, device),
            runtime_env={
                "py_modules": [str(folder) for folder in self._host.packages],
                "env_vars": {"PYTHONUNBUFFERED": "1", **({MODEL_SERVER_KEY: key} if key else {})},
            },
        )
        for left in reversed(range(ray_jobs.LOST_TRIES)):
            try:
                submit()
                return
            except RuntimeError as error:
                if ray_jobs.status(client, identity) is not None:  # Another process of ours was first.
                    return
                # A cluster that has just started takes no jobs for some seconds.
                if "No available agent" not in str(error) or not left:
                    raise
            time.sleep(ray_jobs.LOST_SECONDS)

    async def _follow(self, client: "JobSubmissionClient", mirror: Mirror, job: Job) -> Answer:
        """Pass events and log on until the job has answered or ended."""
        asks = asyncio.create_task(self._pass_asks(mirror, job))
        items: list[Path] = []
        answer: Answer | None = None
        try:
            async for line in ray_jobs.lines(client, self._identity(job), self._host.name, self._host.address):
                if not line.startswith(MARK):
                    _append(job.log, line)
                    continue
                kind, content = line[len(MARK)], line[len(MARK) + 1 :].rstrip("\n")
                if kind == EVENT:
                    _append(job.events, content + "\n")
                elif kind == ITEM:
                    items.append(self._kept_item(job, *json.loads(content)))
                elif kind == ANSWER:
                    answer = Answer.model_validate_json(content)
        finally:
            asks.cancel()
        if answer is not None:
            if answer.sample is not None:
                return Answer(sample=Sample(items=tuple(items), total=answer.sample.total))
            return answer
        status = await asyncio.to_thread(ray_jobs.status, client, self._identity(job))
        if status is None:
            name = self._host.name
            return Answer(
                error=f"Ray on host {name} was started anew meanwhile: run again; finished items are kept there"
            )
        if self._is_ending or status == "STOPPED":
            return Answer(
                error=f"stopped as was asked; its finished items are kept on host {self._host.name}, run again to go on"
            )
        info = await asyncio.to_thread(client.get_job_info, self._identity(job))
        said = (info.message or "no message").strip().splitlines()[0]
        return Answer(
            error=f"the job ended on host {self._host.name} without an answer ({said}): its log tells more; its"
            " finished items are kept there, run again"
        )

    async def _pass_asks(self, mirror: Mirror, job: Job) -> None:
        """Send what people ask of the job to where its other half looks, in a file that nobody else writes: several
        runs may wait for one job.
        """
        if job.requests is None:
            return
        text = asks_text(self._identity(job), uuid.uuid4().hex[:12])
        begin = job.requests.stat().st_size if job.requests.exists() else 0
        sent = b""
        while True:
            await asyncio.sleep(_ASK_SECONDS)
            if job.requests.exists() and (asked := job.requests.read_bytes()[begin:]) != sent:
                try:
                    await asyncio.to_thread(mirror.write, text, asked.decode())
                    sent = asked
                except MirrorError as error:  # It is sent again at the next look.
                    _append(job.log, f"what was asked is not sent yet: {error}\n")

    def _identity(self, job: Job) -> str:
        """The job's name with Ray: the run's and the store's, for another show may be called the same. A job that
        makes only its first items is another one.
        """
        name = f"{job.name}-{self._store.identity()}"
        return name if job.limit is None else f"{name}-first-{job.limit}"

    def _kept_item(self, job: Job, name: str, content: str, sizes: dict[Digest, int]) -> Path:
        """An item of a sample, beside the run's events, as they are here; its files come when they are opened."""
        assert job.events is not None
        self._store.await_objects(sizes)
        folder = job.events.parent / f"{job.step}-{job.unit}-sample"
        folder.mkdir(exist_ok=True)
        path = folder / Path(name).name
        path.write_text(content)
        return path

    def _client(self) -> "JobSubmissionClient":
        return ray_jobs.client(self._host.name, self._host.address, self._host.token)


def _gpus(job: Job, device: Device) -> int:
    """One, or as many as a training's settings ask for."""
    return int(job.recipe["config"].get("gpus", 1)) if device == "cuda" else 0


def _quoted(word: str) -> str:
    """For the host's shell, which is to find its home in `~/`."""
    return "~/" + shlex.quote(word[2:]) if word.startswith("~/") and len(word) > 2 else shlex.quote(word)


def _append(path: Path | None, text: str) -> None:
    if path is not None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)
