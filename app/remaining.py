"""What is left of each step as bars of time, with their range, money and what was kept. HTML, pure."""

from html import escape

from app import ways
from app.shared import STATES
from pipeline import foretold
from pipeline.forecast import Forecast, Left
from pipeline.forecasting import Range
from pipeline.places import LOCAL

TIME, GPU = STATES["running"].colour, "#8F6CC8"


def bars(of: Forecast) -> str:
    """One line for each step that was measured, in the DAG's order; the longest likely time is the whole width."""
    longest = max((each.left.high for each in of.steps if each.left), default=1.0) or 1.0
    lines = [line(each, each.left, longest, of.currency) for each in of.steps if each.left]
    return f'<div class="left">{"".join(lines)}</div>'


def line(of: Left, left: Range, longest: float, currency: str) -> str:
    perhaps = ", perhaps" if of.waiting == of.units else f", {of.waiting:,} of them perhaps" if of.waiting else ""
    units = f"{of.units:,} to make{perhaps}"
    kept = f", {of.kept:,} of {of.items:,} items kept" if of.kept else ""
    way = f'<a href="{escape(ways.result(of.step))}" data-here><b>{escape(of.step)}</b></a>'
    about = f"{way}<small>{escape(units + kept)}</small>"
    colour = GPU if of.device == "cuda" else TIME
    likely, high = (100 * each / longest for each in (left.likely, left.high))
    spread = foretold.spread(left)
    usual = f"; {foretold.accuracy(of.error)}" if of.error else ""
    where = "GPU" if of.device == "cuda" else "CPU"
    where += "" if of.place == LOCAL else f" on {of.place}"
    hint = f"{spread} in 8 of 10 cases, from {of.count} {'run' if of.count == 1 else 'runs'}{usual}"
    money = f" · {foretold.amount(of.money.likely, currency)}" if of.money else ""
    return (
        f'<div class="one" title="{escape(hint)}"><span>{about}</span>'
        f'<span class="track" role="img" aria-label="{escape(spread)}"><i class="may" style="width:{high:.1f}%;'
        f'background:{colour}"></i><i style="width:{likely:.1f}%;background:{colour}"></i></span>'
        f"<span>{escape(foretold.duration(left.likely))}{escape(money)}"
        f"<small>{escape(spread)} {escape(where)}</small></span></div>"
    )
