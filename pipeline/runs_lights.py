"""Independent lights of a run: each looks somewhere else, so that no single one can make a dead run look alive.

The process is asked of the system, steps of the events, files of the disk, the GPU of its driver, money of the clock.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline import foretold, gpus, measured, runs, runs_pace
from pipeline.places import LOCAL
from pipeline.runs import Run
from pipeline.runs_told import Job
from pipeline.show import Show

Look = Literal["good", "warn", "bad", "off"]


@dataclass(frozen=True, slots=True)
class Light:
    """What one look tells: `figure` in a few words, `detail` in one line. `moment`: of what happened last, if any."""

    name: str
    look: Look
    figure: str
    detail: str = ""
    moment: float | None = None


def lights(show: Show, run: Run) -> list[Light]:
    """Process, last step, last file, GPU, money."""
    job = main_job(run)
    goes = run.state == "running"
    stalled = goes and job is not None and runs_pace.is_stalled(job, time.time())
    return [
        _process(run),
        _step(run, job, goes, stalled),
        _file(show, run, job, goes),
        _gpu(run, job, goes, stalled),
        _money(show, run, goes, stalled),
    ]


def main_job(run: Run) -> Job | None:
    """The job that a run is about: what runs before what ended, a training before others, else the last."""
    known = list(run.told.jobs.values())
    return max(known, key=lambda job: (job.state == "running", job.training is not None, job.at), default=None)


def _process(run: Run) -> Light:
    told = run.told
    if run.state != "running":
        died = run.state == "died"
        figure = "gone without a word" if died else "ended"
        return Light(
            "Process", "bad" if died else "off", figure, f"was process {told.pid} on {told.host or 'this machine'}"
        )
    if not runs.is_here(told):
        return Light("Process", "warn", "not seen from here", f"process {told.pid} on {told.host}")
    if run.is_ending:
        kept = "its checkpoint" if run.trainings else "what it has"
        return Light("Process", "warn", "stopping", f"keeping {kept}, process {told.pid} on this machine")
    return Light("Process", "good", "alive", f"process {told.pid} on this machine")


def _step(run: Run, job: Job | None, goes: bool, stalled: bool) -> Light:
    if job is None or job.progress is None:
        return Light("Last step", "off", "none yet", "", run.told.at)
    at, of = runs_pace.place(job)
    usual = runs_pace.usual_seconds(job)
    detail = f"{at:,} of {of:,}" + (f", usually {_short(usual)} each" if usual else "")
    look: Look = "bad" if stalled else "good" if goes else "off"
    return Light("Last step", look, "stalled" if stalled else "", detail, job.progress)


def _file(show: Show, run: Run, job: Job | None, goes: bool) -> Light:
    """The newest of what the run wrote: its checkpoints and samples in the store, and its logs."""
    found = [(path.stat().st_mtime, path.name, "") for path in _logs(show, run)]
    training = job.training if job else None
    kept = [each.checkpoint.weights for each in training.checkpoints[-1:]] if training else []
    kept += [each.video for each in training.samples[-1:]] if training else []
    for file in kept:
        path = show.store.object_path(file.digest)
        if not path.exists():
            return Light("Last file", "bad", "gone from the store", f"{file.name}: `dailies store verify --repair`")
        found.append((path.stat().st_mtime, file.name.rpartition("/")[2], f", {foretold.size(file.size_bytes)}"))
    if not found:
        return Light("Last file", "off", "none yet" if goes else "none")
    moment, name, size = max(found)
    return Light("Last file", "good" if goes else "off", "", name + size, moment)


def _logs(show: Show, run: Run) -> Iterator[Path]:
    yield from (path for path in (show.state / "runs" / run.id).glob("*.log") if path.stat().st_size)


def _gpu(run: Run, job: Job | None, goes: bool, stalled: bool) -> Light:
    elsewhere = job is not None and job.place != LOCAL
    found = gpus.here().gpus if goes and runs.is_here(run.told) and not elsewhere else ()
    if found:
        card = max(found, key=lambda each: each.use or 0)
        memory = f"{card.used_bytes / 2**30:.1f} of {card.memory_bytes / 2**30:.0f} GiB, {card.name}"
        needs = job is not None and job.device == "cuda"
        return Light("GPU", "warn" if needs and card.use == 0 else "good", _percent(card.use), memory)
    training = job.training if job else None
    point = training.curve.points[-1] if training and training.curve.points else None
    if point is None or point.use is None:
        if elsewhere:
            assert job is not None
            return Light("GPU", "off", "not told", f"it runs on {job.place}: Hosts has its GPUs")
        return Light("GPU", "off", "none", "no NVIDIA driver here" if goes else "")
    assert job is not None
    memory = f"{point.memory / 2**30:.1f} GiB, " if point.memory else ""
    there = f" on {job.place}" if elsewhere else ""
    detail = f"{memory}as it told {'itself' if goes else 'last'}{there}"
    look: Look = "warn" if stalled else "good" if goes else "off"
    return Light("GPU", look, f"{point.use:.0f} %", detail, job.progress if stalled else None)


def _money(show: Show, run: Run, goes: bool, stalled: bool) -> Light:
    """What the time of its jobs cost where they ran: this machine's GPU and each host have prices of their own."""
    found = [job for job in measured.of_run(show.state / "runs", run.id) if job.hardware]
    priced, currency = {job.place: job.price for job in found if job.price is not None}, show.settings.currency
    lacking = [job.place for job in found if job.price is None]
    if not found:
        return Light("Money", "off", foretold.amount(0, currency), "nothing of it runs on a GPU" if goes else "no GPU")
    if not priced:
        return Light("Money", "off", "not known", f"set {_price_of(lacking[0])}")
    spent = sum(job.money for job in found)
    for place, price in priced.items() if goes else ():
        # What goes on is paid for by the clock, not by its last word.
        since = [job.ended for job in found if job.place == place and job.state == "open"]
        spent += price * max(0.0, time.time() - max(since)) / 3600 if since else 0.0
    prices = ", ".join(
        f"{foretold.amount(price, currency)} an hour of {'GPU' if place == LOCAL else place}"
        for place, price in priced.items()
    )
    look: Look = "warn" if stalled else "good" if goes else "off"
    without = f", without {_price_of(lacking[0])}" if lacking else ""
    return Light("Money", look, foretold.amount(spent, currency), prices + without)


def _price_of(place: str) -> str:
    """The setting that has a place's price."""
    return "gpu_price_per_hour under [settings]" if place == LOCAL else f"price_per_hour under [hosts.{place}]"


def _percent(share: float | None) -> str:
    return "not told" if share is None else f"{100 * share:.0f} %"


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 0.1 else f"{seconds * 1000:.0f} ms"
