"""Histograms of a dataset as SVG: small, quiet, readable without colours. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from app.shared import REVIEW, STATES
from pipeline.datasets import Row

TRAIN, HELD = STATES["running"].colour, REVIEW.colour
_WIDTH, _HEIGHT, _FOOT, _TOP = 280, 96, 34, 14
_ROW, _NAME = 22, 96


class Bar(NamedTuple):
    """How many samples to train on and held out a bar stands for."""

    label: str
    train: int
    held: int


def lengths(rows: Sequence[Row]) -> list[Bar]:
    """By seconds, in whole ones."""
    return _binned([row.seconds for row in rows], rows, 1.0, "s")


def words(rows: Sequence[Row]) -> list[Bar]:
    """By words of the caption, in steps that give ten bars or so."""
    most = max((row.words for row in rows), default=1)
    step = next(step for step in (5, 10, 20, 50, 100, 1000) if most / step <= 12 or step == 1000)
    return _binned([row.words for row in rows], rows, step, "")


def _binned(values: Sequence[float], rows: Sequence[Row], step: float, unit: str) -> list[Bar]:
    bins = [math.floor(value / step) for value in values]
    if not bins:
        return []
    counts = Counter((each, row.split) for each, row in zip(bins, rows, strict=True))
    span = range(min(bins), max(bins) + 1)
    return [
        Bar(f"{each * step:g}–{(each + 1) * step:g} {unit}".strip(), counts[each, "train"], counts[each, "holdout"])
        for each in span
    ]


def by_name(found: Mapping[str, Mapping[str, int]], most: int = 12) -> list[Bar]:
    """Bars by name, the longest first; what is beyond `most` is one bar at the end."""
    bars = [Bar(name, counts.get("train", 0), counts.get("holdout", 0)) for name, counts in found.items()]
    bars.sort(key=lambda bar: (-(bar.train + bar.held), bar.label))
    rest = bars[most:]
    if not rest:
        return bars
    return [*bars[:most], Bar(f"{len(rest):,} more", sum(b.train for b in rest), sum(b.held for b in rest))]


def upright(title: str, bars: Sequence[Bar]) -> str:
    """Bars beside each other, with the range they stand for below the first, the last and the longest."""
    if not bars:
        return _empty(title)
    most = max(bar.train + bar.held for bar in bars)
    step = _WIDTH / len(bars)
    width = min(step - 2, 40)
    parts = []
    tallest = max(range(len(bars)), key=lambda i: bars[i].train + bars[i].held)
    named = {0, len(bars) - 1, tallest} if len(bars) > 4 else set(range(len(bars)))
    for number, bar in enumerate(bars):
        x, y = number * step + (step - width) / 2, float(_TOP + _HEIGHT)
        for count, colour in ((bar.train, TRAIN), (bar.held, HELD)):
            tall = _HEIGHT * count / most
            y -= tall
            if count:
                parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}" fill="{colour}"/>')
        hint = escape(f"{bar.label}: {bar.train:,} to train on, {bar.held:,} held out")
        parts.append(
            f'<rect x="{number * step:.1f}" y="{_TOP}" width="{step:.1f}" height="{_HEIGHT}" fill="transparent">'
            f"<title>{hint}</title></rect>"
        )
        if number == tallest:
            parts.append(_text(x + width / 2, y - 4, f"{bar.train + bar.held:,}"))
        if number in named and not (number != tallest and abs(number - tallest) * step < 56):
            parts.append(_text(x + width / 2, _TOP + _HEIGHT + 14, bar.label))
    base = f'<path d="M0 {_TOP + _HEIGHT + 0.5}H{_WIDTH}" stroke="currentColor" stroke-opacity=".25"/>'
    return _svg(title, bars, _WIDTH, _TOP + _HEIGHT + _FOOT - 14, "".join(parts) + base)


def lying(title: str, bars: Sequence[Bar]) -> str:
    """Bars below each other, each with its name before and its count behind."""
    if not bars:
        return _empty(title)
    most = max(bar.train + bar.held for bar in bars)
    room = _WIDTH - _NAME - 34
    parts = []
    for number, bar in enumerate(bars):
        y, x = number * _ROW, float(_NAME)
        label = bar.label if len(bar.label) <= 15 else f"{bar.label[:14]}…"
        parts.append(_text(_NAME - 8, y + 14, label, "end", hint=bar.label))
        for count, colour in ((bar.train, TRAIN), (bar.held, HELD)):
            length = room * count / most
            if count:
                parts.append(f'<rect x="{x:.1f}" y="{y + 4}" width="{length:.1f}" height="13" rx="2" fill="{colour}"/>')
            x += length
        parts.append(_text(x + 6, y + 14, f"{bar.train + bar.held:,}", "start"))
    return _svg(title, bars, _WIDTH, len(bars) * _ROW, "".join(parts))


def _text(x: float, y: float, words_: str, anchor: str = "middle", hint: str = "") -> str:
    title = f"<title>{escape(hint)}</title>" if hint and hint != words_ else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words_)}{title}</text>'


def _svg(title: str, bars: Sequence[Bar], width: float, height: float, inside: str) -> str:
    said = "; ".join(f"{bar.label}: {bar.train + bar.held:,}" for bar in bars)
    return (
        f'<figcaption style="font-size:.87rem;opacity:.75;margin-bottom:.5em">{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width * 1.25:.0f}px;height:auto" role="img" '
        f'aria-label="{escape(f"{title}: {said}")}" font-family="inherit" font-size="10.5" fill="currentColor">'
        f"{inside}</svg>"
    )


def _empty(title: str) -> str:
    return f'<figcaption style="font-size:.87rem;opacity:.75">{escape(title)}: nothing</figcaption>'
