"""What the review page draws: how far a project is, and whether scores mean what they say. HTML and SVG, pure."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from app.shared import REVIEW, STATES
from pipeline.quality import Calibration, Progress

ANSWERED = STATES["fresh"].colour
SINCE = STATES["running"].colour
AGAIN = STATES["stale"].colour
SKIPPED = STATES["missing"].colour
SECOND = REVIEW.colour


class Part(NamedTuple):
    name: str
    tasks: int
    colour: str


def parts(of: Progress | None, done: int, total: int) -> tuple[Part, ...]:
    """A project's tasks by what became of them. `done` of `total` are as the server counts them now, `of` as of the
    last pull; what was answered since is a part of its own.
    """
    if of is None:
        return (Part("answered", done, ANSWERED),)
    since = max(0, min(done, total) - of.done - of.asked_again)
    found = (
        Part("answered", of.done - of.second_look, ANSWERED),
        Part("for a second look", of.second_look, SECOND),
        Part("answered since the last pull", since, SINCE),
        Part("asked again", of.asked_again, AGAIN),
        Part("skipped", max(0, of.skipped - since), SKIPPED),
    )
    return tuple(part for part in found if part.tasks)


def bar(of: Sequence[Part], total: int) -> str:
    """Parts of a whole as one bar, each with its name and count below; the rest is what is left."""
    said = ", ".join(f"{part.tasks:,} {part.name}" for part in of)
    bits = "".join(
        f'<i style="width:{100 * part.tasks / total:.2f}%;background:{part.colour}" title="{part.tasks:,} {part.name}">'
        "</i>"
        for part in of
    )
    left = max(0, total - sum(part.tasks for part in of))
    names = "".join(
        f'<span><i style="background:{part.colour}"></i><span><b>{part.tasks:,}</b> {escape(part.name)}</span></span>'
        for part in of
    )
    rest = f"<span><span><b>{left:,}</b> left</span></span>"
    whole = f'<div class="bar" role="img" aria-label="{escape(said)}, of {total:,}">{bits}</div>'
    return f'{whole}<div class="key">{names}{rest}</div>'


_SIDE, _LEFT, _TOP = 150, 30, 8  # pixels of the plot, and the room for its labels


def reliability(of: Calibration) -> str:
    """Score against share right: on the diagonal a score means what it says. Bigger dots stand for more scores."""

    def x(value: float) -> float:
        return _LEFT + value * _SIDE

    def y(value: float) -> float:
        return _TOP + (1 - value) * _SIDE

    most = max((bin_.right.of for bin_ in of.bins), default=1)
    ticks = "".join(
        f'<text x="{x(v)}" y="{_TOP + _SIDE + 14}" text-anchor="middle">{v:g}</text>'
        f'<text x="{_LEFT - 6}" y="{y(v) + 3.5}" text-anchor="end">{v:g}</text>'
        for v in (0, 0.5, 1)
    )
    shown = [(bin_, bin_.right.share) for bin_ in of.bins if bin_.right.share is not None]
    path = " ".join(f"{x(bin_.mean):.1f},{y(share):.1f}" for bin_, share in shown)
    dots = "".join(
        f'<circle cx="{x(bin_.mean):.1f}" cy="{y(share):.1f}" r="{2.5 + 4 * (bin_.right.of / most) ** 0.5:.1f}" '
        f'fill="{SINCE}" fill-opacity=".85"><title>score {bin_.mean:.2f}: {bin_.right.count} of {bin_.right.of} right'
        "</title></circle>"
        for bin_, share in shown
    )
    said = "; ".join(f"score {bin_.mean:.2f}, {100 * share:.0f} % right" for bin_, share in shown)
    width, height = _LEFT + _SIDE + 12, _TOP + _SIDE + 34
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" font-family="inherit" '
        f'font-size="10.5" fill="currentColor" fill-opacity=".7" aria-label="{escape(of.of)}: {escape(said)}">'
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_SIDE}" height="{_SIDE}" fill="none" stroke="currentColor" '
        'stroke-opacity=".2"/>'
        f'<path d="M{x(0)} {y(0)}L{x(1)} {y(1)}" stroke="currentColor" stroke-opacity=".35" stroke-dasharray="3 4"/>'
        f'<polyline points="{path}" fill="none" stroke="{SINCE}" stroke-opacity=".6" stroke-width="1.5"/>{dots}{ticks}'
        f'<text x="{_LEFT + _SIDE / 2}" y="{_TOP + _SIDE + 30}" text-anchor="middle">score</text></svg>'
    )
