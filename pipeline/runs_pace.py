"""How far a job of a run is, at which pace, and whether it still moves. Pure."""

from statistics import median

from pipeline.runs_told import Job

STALL_SECONDS, STALL_STEPS = 300.0, 20
"""A job has stalled when nothing came for so long, and for so many times what a step of it usually takes."""


def place(job: Job) -> tuple[int, int]:
    """How far a job is, of how much: steps of a training, else items."""
    if job.training and job.training.of:
        return (job.training.last or (0, 0))[1], job.training.of
    return job.done, job.total


def usual_seconds(job: Job) -> float | None:
    """What a step of a job usually takes: the median of a training's last ones, the mean of items; None before that."""
    if job.training and job.training.recent:
        return median(job.training.recent)
    if job.first_item and job.progress and job.done > job.first_item[1]:
        return (job.progress - job.first_item[0]) / (job.done - job.first_item[1])
    return None


def is_stalled(job: Job, now: float, patience: float = STALL_SECONDS) -> bool:
    """Whether nothing came for much longer than usual. What never moved loads a model, and is not judged."""
    usual = usual_seconds(job)
    if usual is None or job.progress is None:
        return False
    return now - job.progress > max(patience, STALL_STEPS * usual)


def seconds_left(job: Job) -> float | None:
    """By the pace of this run so far, with all that stood between its steps; None before there is one."""
    if job.state != "running":
        return None
    if job.training and job.training.first and job.training.last:
        (began, first), (at, last) = job.training.first, job.training.last
        return (at - began) / (last - first) * max(0, job.training.of - last) if last > first else None
    if job.first_item and job.progress and job.done > job.first_item[1]:
        began, done = job.first_item
        return (job.progress - began) / (job.done - done) * (job.total - job.done)
    return None
