"""Rows, bars, lights and tables of runs as HTML. Pure; every text of others is escaped here."""

import math
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from urllib.parse import urlencode

from app import shared, ways
from pipeline import runs_pace
from pipeline.jobs import Job as Started
from pipeline.places import LOCAL
from pipeline.runs import Run
from pipeline.runs_lights import Light
from pipeline.runs_told import Job, Training

MARKS = {
    "running": "►", "done": "✓", "fresh": "✓", "failed": "✕", "died": "✕", "stopped": "■", "ending": "■",
    "sampled": "◐", "blocked": "○",
}  # fmt: skip
SIGNS = {"good": "✓", "warn": "!", "bad": "✕", "off": "–"}
MOST_JOBS = 24
_SPARK = (150, 34)


def address(**values: str) -> str:
    """Where a part of the page has its own URL."""
    return f"/runs?{urlencode({name: value for name, value in values.items() if value})}"


def badge(state: str) -> str:
    return f'<span class="state {state}">{MARKS[state]} {state}</span>'


def shown_state(run: Run) -> str:
    return "ending" if run.is_ending else run.state


def title(run: Run) -> str:
    """What a run does, in a few words: its training, else its steps."""
    steps = list(dict.fromkeys(job.step for job in run.told.jobs.values()))
    if run.trainings:
        return ", ".join(dict.fromkeys(job.step for job in run.trainings))
    if not steps:
        return "has not begun a step" if run.state == "running" else "nothing to do"
    return ", ".join(steps[:2]) + (f" and {len(steps) - 2} more" if len(steps) > 2 else "")


def head(run: Run) -> str:
    """What a run is, since when, and by whom, in one line."""
    took = "for" if run.state == "running" else "took"
    name, only = escape(title(run)), list(run.told.jobs.values())
    if len(only) == 1:  # Of more, each stands below with a way to its own.
        name = f'<a href="{escape(ways.result(only[0].step, only[0].unit))}" data-here>{name}</a>'
    return (
        f'<div class="head"><h3>{name}</h3>{badge(shown_state(run))}<span class="muted">'
        f"{when(run.at)} by {escape(run.by or 'nobody known')}, {took} {shared.duration(run.seconds)}</span></div>"
    )


def listed(found: Sequence[Run], launches: Sequence[Started] = ()) -> str:
    """Runs and launches that came to nothing as rows, the newest first."""
    rows = [(run.at, _row(run)) for run in found]
    rows += [(job.at, _stillborn(job)) for job in launches]
    return f'<div class="rows">{"".join(html for _, html in sorted(rows, key=lambda row: row[0], reverse=True))}</div>'


def _row(run: Run) -> str:
    state = shown_state(run)
    doing = next((job for job in reversed(run.told.jobs.values()) if job.state == "running"), None)
    training = run.trainings[-1] if run.trainings else None
    shown = training or doing
    spark = sparkline(training.training) if training and training.training else ""
    progress = bar(run, shown) if shown else f'<span class="muted">{escape(_counts(run))}</span>'
    return (
        f'<a class="row" href="{escape(address(run=run.id))}" data-here>'
        f"<span>{badge(state)}</span><span><b>{escape(title(run))}</b>"
        f'<span class="what muted">{escape(_what(run))}</span></span>'
        f'<span>{progress}</span><span>{spark}</span><span class="when">{when(run.at)}<br>'
        f'<span class="muted">{shared.duration(run.seconds)}</span></span></a>'
    )


def _what(run: Run) -> str:
    words = run.words.splitlines()
    return f"by {run.by or 'nobody known'}" + (f" · {words[0]}" if words else "")


def _counts(run: Run) -> str:
    states = [run.state_of(job) for job in run.told.jobs.values()]
    said = [f"{states.count(state)} {state}" for state in MARKS if state in states]
    return ", ".join(said) or "nothing was left to make"


def _stillborn(job: Started) -> str:
    words = job.lines[-1] if job.lines else "without a word"
    command = " ".join(["dailies", job.verb, *job.more])
    return (
        f'<div class="row"><span>{badge(job.state)}</span><span><b>{escape(command)}</b>'
        f'<span class="what muted">by {escape(job.by)} · ended before it began</span></span>'
        f'<span style="grid-column: span 2">{escape(words)}</span>'
        f'<span class="when">{when(job.at)}</span></div>'
    )


def when(at: datetime) -> str:
    today = datetime.now().astimezone().date()
    return f"{at:%H:%M}" if at.date() == today else f"{at:%d %b %H:%M}"


def ago(moment: float) -> str:
    """`just now`, `40 s ago`, `3 min ago`, `28 days ago`."""
    seconds = max(0.0, time.time() - moment)
    if seconds < 2:
        return "just now"
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:,.0f} days ago"
    return f"{shared.duration(round(seconds) if seconds < 60 else 60 * round(seconds / 60))} ago"


def bar(run: Run, job: Job) -> str:
    """How far a job is, as a bar with its words."""
    at, of = runs_pace.place(job)
    state = run.state_of(job)
    share = 1.0 if state in ("done", "fresh") else at / of if of else 0.0
    goes = run.state == "running" and job.state == "running"
    stalled = goes and runs_pace.is_stalled(job, time.time())
    left = runs_pace.seconds_left(job) if goes and not stalled else None
    words = f"{at:,} of {of:,}" if of else "has no items to count"
    if stalled:  # By its pace so far it would be done long ago.
        words += " · does not move"
    elif left is not None and at < of:
        words += f" · about {shared.duration(max(1, round(left)))} left"
    label, look = f"{job.step} {words}", "stopped" if stalled else state
    return (
        f'<div class="meter {look}" role="progressbar" aria-valuenow="{round(100 * share)}" aria-valuemin="0" '
        f'aria-valuemax="100" aria-label="{escape(label)}"><i style="width:{100 * share:.1f}%"></i></div>'
        f'<span class="muted">{escape(words)}</span>'
    )


def jobs(run: Run) -> str:
    """Every job of a run: what it is, its state, how far it is, how long it took."""
    known = list(run.told.jobs.values())
    telling = [job for job in known if run.state_of(job) not in ("done", "fresh", "blocked")]
    rest = [job for job in known if job not in telling]
    shown = [*telling, *rest][:MOST_JOBS] if len(known) > MOST_JOBS else known
    cells = "".join(_job(run, job) for job in shown)
    left = len(known) - len(shown)
    more = f'<p class="words">{left:,} more; in all {escape(_counts(run))}</p>' if left else ""
    return f'<div class="jobs">{cells}{more}</div>'


def single(run: Run, job: Job) -> str:
    """The only job of a run: what it is stands above already."""
    words = job.words or (job.lines[-1][1] if job.lines else "")
    return f'<div class="single"><span>{bar(run, job)}</span><span class="said muted">{escape(words)}</span></div>'


def _job(run: Run, job: Job) -> str:
    state = run.state_of(job)
    unit = "" if job.unit == shared.SHOW else f' <span class="muted">{escape(job.unit)}</span>'
    where = "" if job.place == LOCAL else f' <span class="muted">on {escape(job.place)}</span>'
    end = time.time() if state == "running" else job.ended or (run.told.ended or run.told.at)
    took = "" if state in ("blocked", "fresh") else shared.duration(end - job.began)
    middle = bar(run, job) if job.total or job.training else ""
    words = job.words or (job.lines[-1][1] if job.lines and state in ("running", "died", "stopped") else "")
    return (
        f'<span><a href="{escape(ways.result(job.step, job.unit))}" data-here><b>{escape(job.step)}</b></a>'
        f"{unit}{where}</span><span>{badge(state)}</span>"
        f'<span class="way">{middle}</span>'
        f'<span class="right muted">{took}</span>' + (f'<p class="words">{escape(words)}</p>' if words else "")
    )


def lights(found: Iterable[Light]) -> str:
    """The lights beside each other, each with its sign, so that colours need not be told apart."""
    cells = []
    for light in found:
        figure = light.figure
        if light.moment is not None:
            figure = f"{figure} · {ago(light.moment)}" if figure else ago(light.moment)
        cells.append(
            f'<div class="light {light.look}"><header><i class="sign" style="font-style:normal">{SIGNS[light.look]}</i>'
            f'{escape(light.name)}</header><strong>{escape(figure)}</strong><p title="{escape(light.detail)}">'
            f"{escape(light.detail) or '&nbsp;'}</p></div>"
        )
    return f'<div class="lights">{"".join(cells)}</div>'


def sparkline(training: Training) -> str:
    """The smoothed loss as a line; hold-out losses as dots on it."""
    points = [(point.step, value) for point, value in zip(training.curve.points, smoothed(training), strict=True)]
    points = [(step, value) for step, value in points if math.isfinite(value)]
    if len(points) < 2:
        return ""
    width, height = _SPARK
    most = max(training.of, points[-1][0])
    low, high = min(value for _, value in points), max(value for _, value in points)
    stretch = (height - 6) / (high - low) if high > low else 0.0
    path = " ".join(
        f"{width * step / most:.1f},{3 + (high - value) * stretch:.1f}"
        for step, value in points[:: max(1, len(points) // 80)]
    )
    said = f"loss from {points[0][1]:.3g} to {points[-1][1]:.3g}"
    return (
        f'<svg class="spark" viewBox="0 0 {width} {height}" role="img" aria-label="{said}"><title>{said}</title>'
        f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-opacity=".55" stroke-width="1.4"/></svg>'
    )


def smoothed(training: Training) -> list[float]:
    """A running mean of the loss that forgets over a twentieth of what there is; without the pull of its start."""
    points = training.curve.points
    keep = 1 - 1 / max(2.0, len(points) / 20)
    total = weight = 0.0
    found = []
    for point in points:
        if math.isfinite(point.loss):
            total, weight = keep * total + point.loss, keep * weight + 1
        found.append(total / weight if weight else math.nan)
    return found


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment).astimezone():%H:%M:%S}"
