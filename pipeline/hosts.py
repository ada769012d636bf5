"""Where work runs, as it is now: this machine and the GPU hosts, their cards, what runs there, and what it has cost."""

import os
import platform
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline import gpus, host_watch, jobs, measured
from pipeline.forecast import Left
from pipeline.gpus import Gpu
from pipeline.host_state import Glances, HostJob, HostState
from pipeline.jobs import Job
from pipeline.measured import Measured
from pipeline.places import LOCAL, HostTable
from pipeline.show import Show

IDLE_SECONDS = 15 * 60
"""A priced card of this machine that did nothing for so long is worth a word; hosts say it by `idle_minutes`."""

State = Literal["working", "idle", "away", "asked"]


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk that the store lies on."""

    path: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """Processors and memory, of a host's machines together. `load` is in processors."""

    cpus: int
    load: float
    memory_bytes: int
    memory_used_bytes: int
    disk: Disk | None


@dataclass(frozen=True, slots=True)
class Host:
    """A place where work runs. `machine` is None while a host is "away" (`problem` says why) or was "asked" just now.

    `no_gpu` says why no card is shown. `gpus_used` of `gpus_declared` are given to jobs. `price` is that of an hour of
    this machine's GPUs, or of a host whole; None where nobody set one. `spent_seconds` of its steps cost `spent`.
    `idle_seconds` is how long nothing ran on its GPUs, None where something does or nobody knows; `idle_after` is when
    that is worth a word, and then `stop` says what comes of it.
    """

    name: str
    place: str
    kind: str
    state: State
    problem: str
    machine: Machine | None
    gpus: tuple[Gpu, ...]
    no_gpu: str
    gpus_declared: int
    gpus_used: float
    slots: str
    running: tuple[Job, ...]
    working: tuple[Measured, ...]
    queue: tuple[HostJob, ...]
    price: float | None
    currency: str
    spent: float
    spent_seconds: float
    idle_seconds: float | None
    idle_after: float
    stop: str = ""

    @property
    def is_remote(self) -> bool:
        return self.place != LOCAL

    @property
    def is_idle_for_long(self) -> bool:
        has_gpu = bool(self.gpus) or self.is_remote
        return has_gpu and self.idle_seconds is not None and self.idle_seconds >= self.idle_after

    @property
    def idle_money(self) -> float:
        """What its idle time has cost; 0 where it is not idle for long, or has no price."""
        return (self.price or 0.0) * (self.idle_seconds or 0.0) / 3600 if self.is_idle_for_long else 0.0


_GLANCES = Glances()


def hosts(show: Show, glances: Glances = _GLANCES) -> list[Host]:
    """All places that this show's work may run on: this machine, then the hosts. Waits for none of them."""
    found = measured.jobs(show.state / "runs")
    return [here(show, found), *(there(show, name, table, found, glances) for name, table in show.file.hosts.items())]


def here(show: Show, found: Sequence[Measured]) -> Host:
    """This machine as it is now."""
    import psutil

    memory, cards = psutil.virtual_memory(), gpus.here()
    disk = shutil.disk_usage(show.folder)
    mine = [job for job in found if job.place == LOCAL]
    running = tuple(job for job in jobs.running(show.state) if job.verb not in ("label-studio", host_watch.VERB))
    working = _working(show, mine)
    cpu, cuda = show.settings.cpu_slots, show.settings.cuda_slots
    return Host(
        name=platform.node(),
        place=LOCAL,
        kind=f"this machine · {_cpu_model()}",
        state="working" if running or working else "idle",
        problem="",
        machine=Machine(
            cpus=os.cpu_count() or 1,
            load=os.getloadavg()[0],
            memory_bytes=memory.total,
            memory_used_bytes=memory.total - memory.available,
            disk=Disk(str(show.store.root), disk.total, disk.free),
        ),
        gpus=cards.gpus,
        no_gpu=cards.why,
        gpus_declared=len(cards.gpus),
        gpus_used=sum(job.device == "cuda" for job in working),
        slots=f"{cpu} CPU job{'' if cpu == 1 else 's'} and {cuda} GPU job{'' if cuda == 1 else 's'} at once",
        running=running,
        working=working,
        queue=(),
        price=show.settings.gpu_price_per_hour,
        currency=show.settings.currency,
        spent=sum(job.money for job in mine),
        spent_seconds=sum(job.taken for job in mine if job.hardware),
        idle_seconds=idle(mine, time.time()),
        idle_after=IDLE_SECONDS,
    )


def there(show: Show, name: str, table: HostTable, found: Sequence[Measured], glances: Glances) -> Host:
    """A GPU host as it was told a moment ago."""
    mine, glance = [job for job in found if job.place == name], glances.look(name, table)
    state, working = glance.state, _working(show, mine)
    return Host(
        name=name,
        place=name,
        kind=_kind(table, state),
        state="away" if glance.problem else "asked" if state is None else "working" if state.jobs else "idle",
        problem=glance.problem,
        machine=None if state is None else _machine(table, state),
        gpus=state.gpus if state else (),
        no_gpu="" if state is None or state.gpus else "Ray there sees no NVIDIA driver",
        gpus_declared=int(state.gpus_declared) if state else table.gpus,
        gpus_used=state.gpus_used if state else 0.0,
        slots="" if state is None else "in " + ("1 machine" if state.machines == 1 else f"{state.machines} machines"),
        running=(),
        working=working,
        queue=state.jobs if state else (),
        price=table.price_per_hour,
        currency=show.settings.currency,
        spent=sum(job.money for job in mine),
        spent_seconds=sum(job.taken for job in mine),
        idle_seconds=state.idle_seconds if state else None,
        idle_after=60 * table.idle_minutes,
        stop=host_watch.says(show, name, table, state),
    )


def _kind(table: HostTable, state: HostState | None) -> str:
    if state is None:
        return f"GPU host at {table.address}"
    return f"GPU host under Ray {state.ray} at {table.address}"


def _machine(table: HostTable, state: HostState) -> Machine:
    disk = Disk(table.folder, state.disk_bytes, state.disk_free_bytes) if state.disk_bytes else None
    return Machine(state.cpus, state.load, state.memory_bytes, state.memory_used_bytes, disk)


def needed(steps: Sequence[Left], place: str) -> int:
    """How many results are left that `place` is wanted for: on this machine, those of the GPU."""
    return sum(each.units for each in steps if place in each.places and (place != LOCAL or each.device == "cuda"))


def _working(show: Show, found: Sequence[Measured]) -> tuple[Measured, ...]:
    """The jobs that are being made now: one that is open in the events may have died with its run."""
    return tuple(job for job in found if job.state == "open" and show.store.is_locked(f"run-{job.name}"))


def idle(found: Sequence[Measured], now: float) -> float | None:
    """Seconds since the last job on a card ended; None where one is still open, or there was none. Pure."""
    on_gpu = [job for job in found if job.hardware]
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
