"""Where work runs: this machine now, its cards, what runs on it, and what it has cost. Others may be added to it."""

import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline import gpus, jobs, measured
from pipeline.gpus import Gpu
from pipeline.jobs import Job
from pipeline.measured import Measured
from pipeline.show import Show

IDLE_SECONDS = 15 * 60
"""A priced card that did nothing for so long is worth a word."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk that the store lies on."""

    path: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Host:
    """One machine. `load` is of the last minute, in processors; `no_gpu` says why no card was found.

    `price` is that of an hour of its GPUs, None where nobody set one. `spent_seconds` of GPU steps cost `spent`.
    `idle_seconds` is how long no GPU step has run; None where one runs, or none ever did.
    """

    name: str
    kind: str
    address: str
    cpus: int
    cpu_model: str
    load: float
    memory_bytes: int
    memory_used_bytes: int
    disk: Disk
    gpus: tuple[Gpu, ...]
    no_gpu: str
    slots: dict[str, int]
    running: tuple[Job, ...]
    working: tuple[Measured, ...]
    price: float | None
    currency: str
    spent: float
    spent_seconds: float
    idle_seconds: float | None

    @property
    def idle_money(self) -> float:
        """What its idle time has cost; 0 where it is not idle for long, or has no price."""
        if self.idle_seconds is None or self.idle_seconds < IDLE_SECONDS or not self.gpus:
            return 0.0
        return (self.price or 0.0) * self.idle_seconds / 3600


def hosts(show: Show) -> list[Host]:
    """All machines that this show's work may run on: so far this one."""
    return [here(show)]


def here(show: Show) -> Host:
    """This machine as it is now."""
    import psutil

    memory, found = psutil.virtual_memory(), gpus.here()
    disk = shutil.disk_usage(show.folder)
    jobs_ = measured.jobs(show.state / "runs")
    running = tuple(job for job in jobs.running(show.state) if job.verb != "label-studio")
    return Host(
        name=platform.node(),
        kind="this machine",
        address="local",
        cpus=os.cpu_count() or 1,
        cpu_model=_cpu_model(),
        load=os.getloadavg()[0],
        memory_bytes=memory.total,
        memory_used_bytes=memory.total - memory.available,
        disk=Disk(str(show.store.root), disk.total, disk.free),
        gpus=found.gpus,
        no_gpu=found.why,
        slots={"cpu": show.settings.cpu_slots, "cuda": show.settings.cuda_slots},
        running=running,
        working=tuple(_working(show, jobs_)),
        price=show.settings.gpu_price_per_hour,
        currency=show.settings.currency,
        spent=sum(job.money for job in jobs_),
        spent_seconds=sum(job.seconds for job in jobs_ if job.hardware),
        idle_seconds=idle(jobs_, time.time()),
    )


def _working(show: Show, jobs_: Sequence[Measured]) -> list[Measured]:
    """The jobs that are being made now: one that is open in the events may have died with its run."""
    return [job for job in jobs_ if job.state == "open" and show.store.is_locked(f"run-{job.name}")]


def idle(jobs_: Sequence[Measured], now: float) -> float | None:
    """Seconds since the last job on a card ended; None where one is still open, or there was none. Pure."""
    on_gpu = [job for job in jobs_ if job.hardware]
    if not on_gpu or any(job.state == "open" and job.run == on_gpu[-1].run for job in on_gpu):
        return None
    return max(0.0, now - max(job.ended for job in on_gpu))


def _cpu_model() -> str:
    """The processor's name where Linux tells it; else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
