"""The course of trainings as charts that share one cursor: what is drawn, as plain values. Pure but for `charts`."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app.runs import pictures
from pipeline.runs_told import Point, Training

BANDS = ((0, 2), (2, 4), (4, 6), (6, 8), (8, 10))
"""Tenths of sigma that are drawn as one line: ten lines would be a tangle."""
COLOURS = ("blue", "orange", "green", "violet", "red", "gray")

_here = Path(__file__).parent
_charts = st.components.v2.component(
    "dailies_charts",
    html="<div class='charts'></div>",
    css=(_here / "charts.css").read_text(encoding="utf-8"),
    js=(_here / "charts.js").read_text(encoding="utf-8"),
)

Pairs = list[tuple[int, float]]


def charts(found: Sequence[dict[str, Any]], key: str) -> None:
    _charts(data={"charts": list(found)}, key=key)


def of_training(training: Training) -> list[dict[str, Any]]:
    """All charts of one training; what was never told has none."""
    points = training.curve.points
    best = training.best
    raw = [(point.step, point.loss) for point in points]
    smooth = list(zip((point.step for point in points), pictures.smoothed(training), strict=True))
    holdout = [(each.step, each.loss) for each in training.holdout]
    marks = [{"x": best.step, "y": _number(best.loss), "label": f"best, step {best.step:,}"}] if best else []
    if training.resumed:
        marks.append({"x": training.resumed, "y": None, "label": "went on"})
    found = [
        chart("Loss", [line("each step", raw, "gray", faint=True), line("smoothed", smooth, "blue")], training.of),
        chart("Hold-out loss", [line("held out", holdout, "green", dots=True)], training.of, marks=marks),
        chart("Loss by sigma", _bands(points), training.of),
        chart("Learning rate", [line("rate", _of(points, "lr"), "violet")], training.of, zero=True),
        chart("Step time", [line("seconds", _of(points, "step_seconds"), "orange")], training.of, unit="s", zero=True),
        chart("Gradient", [line("norm", _of(points, "grad_norm"), "gray")], training.of, zero=True),
    ]
    memory = [(point.step, point.memory / 2**30) for point in points if point.memory is not None]
    use = [(point.step, point.use) for point in points if point.use is not None]
    found.append(chart("GPU memory", [line("reserved", memory, "blue")], training.of, unit="GiB", zero=True))
    found.append(chart("GPU use", [line("busy", use, "green")], training.of, unit="%", zero=True))
    return [each for each in found if each["lines"]]


def compared(named: Sequence[tuple[str, Training]]) -> list[dict[str, Any]]:
    """Hold-out and smoothed losses of several trainings over each other."""
    of = max((training.of for _, training in named), default=0)

    def lines(values: Iterable[tuple[str, Pairs]], *, dots: bool) -> list[dict[str, Any]]:
        return [
            line(name, pairs, COLOURS[number % len(COLOURS)], dots=dots) for number, (name, pairs) in enumerate(values)
        ]

    holdout = [(name, [(each.step, each.loss) for each in training.holdout]) for name, training in named]
    smooth = [
        (name, list(zip((point.step for point in training.curve.points), pictures.smoothed(training), strict=True)))
        for name, training in named
    ]
    found = [
        chart("Hold-out loss", lines(holdout, dots=True), of, tall=True),
        chart("Loss, smoothed", lines(smooth, dots=False), of, tall=True),
    ]
    return [each for each in found if each["lines"]]


def chart(
    title: str,
    lines: Sequence[dict[str, Any]],
    of: int,
    *,
    unit: str = "",
    zero: bool = False,
    tall: bool = False,
    marks: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """One chart over the steps to `of`; with `zero` its axis begins there. Lines without a point are left out."""
    shown = [each for each in lines if each["points"]]
    return {"title": title, "unit": unit, "of": of, "zero": zero, "tall": tall, "lines": shown, "marks": list(marks)}


def line(name: str, pairs: Pairs, colour: str, *, faint: bool = False, dots: bool = False) -> dict[str, Any]:
    """One line. What is no number is a gap in it."""
    points = [[step, _number(value)] for step, value in pairs]
    return {"name": name, "colour": colour, "points": points, "faint": faint, "dots": dots}


def _bands(points: Sequence[Point]) -> list[dict[str, Any]]:
    """A line for each stretch of sigma, each point the mean of what fell there since the last."""
    found = []
    for number, (low, high) in enumerate(BANDS):
        pairs: Pairs = []
        total, count = 0.0, 0
        for index, point in enumerate(points):
            for band in range(low, high):
                some, of = point.bands.get(band, (0.0, 0))
                total, count = total + some, count + of
            # A band is not met in every step: means of a sixtieth of the run are calm enough to be read.
            is_due = (index + 1) % max(1, len(points) // 60) == 0 or index + 1 == len(points)
            if count and is_due:
                pairs.append((point.step, total / count))
                total, count = 0.0, 0
        found.append(line(f"{low / 10:g}–{high / 10:g}", pairs, f"ramp{number}"))
    return found


def _of(points: Sequence[Point], name: str) -> Pairs:
    return [(point.step, getattr(point, name)) for point in points]


def _number(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None
