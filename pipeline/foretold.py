"""Forecasts in words: durations, ranges, money, sizes, how past forecasts fared, and what nobody has measured yet."""

from collections.abc import Sequence

from pipeline.changes import Change
from pipeline.engine.plan import Node
from pipeline.forecast import Forecast, Left
from pipeline.forecasting import Range, Truth
from pipeline.measured import Compared


def duration(seconds: float) -> str:
    """`8 s`, `11 min`, `2 h 5 min`, `3 days 4 h`: no finer than a forecast is."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{hours // 24} days {hours % 24} h"


def amount(money: float, currency: str) -> str:
    """`$0.40`, `€1,250.00`; a unit of letters stands behind: `0.40 CHF`."""
    return f"{money:,.2f} {currency}" if currency.isalpha() else f"{currency}{money:,.2f}"


def size(size_bytes: float) -> str:
    """`512 B`, `428 MB`, `1.2 GB`."""
    for unit in ("B", "kB", "MB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} GB"


def spread(of: Range) -> str:
    """`8 to 15 min`, with one unit where both ends have the same."""
    low, high = duration(of.low), duration(of.high)
    number, _, unit = low.partition(" ")
    same = unit == high.partition(" ")[2] and " " not in unit
    return low if low == high else f"{number} to {high}" if same else f"{low} to {high}"


def words(of: Forecast) -> str:
    """One line: the time by the clock with its range, the GPU's part, money, and what nobody knows yet."""
    if not of.units:
        return "nothing is left to make"
    parts = []
    if of.clock is not None:
        parts.append(f"about {duration(of.clock.likely)} left ({spread(of.clock)})")
        if of.gpu is not None and of.gpu.likely:
            parts.append(f"{duration(of.gpu.likely)} of it GPU steps")
    if of.money is not None:
        parts.append(amount(of.money.likely, of.currency))
    if not of.unmeasured:
        return ", ".join(parts)
    unknown = f"not measured yet: {', '.join(of.unmeasured)}"
    return f"{', '.join(parts)}, without what was {unknown}" if parts else unknown


def row(of: Left, currency: str) -> tuple[str | int, ...]:
    """A step's line of a table: its name, what is to make, time, its range, money, and how past forecasts fared."""
    known = (duration(of.left.likely), spread(of.left)) if of.left else ("not measured yet", "")
    money = amount(of.money.likely, currency) if of.money else ""
    return of.step, of.units, *known, money, accuracy(of.error) if of.error else ""


def accuracy(of: Truth) -> str:
    """How far past forecasts were off."""
    return f"usually off by {100 * of.usually:.0f} %; {of.inside} of {of.count} were within their range"


def beside_truth(of: Compared) -> str:
    """`step1-scenes took 12 s, foretold 10 s: usually off by 20 %; 2 of 2 were within their range`."""
    return f"{of.step} took {duration(of.took)}, foretold {duration(of.foretold)}: {accuracy(of.error)}"


def of_change(found: Change) -> str:
    """`makes 4 steps stale on 2 episodes, 11 min GPU, $0.40`."""
    if not found.stale:
        return "makes nothing stale" + (f"; {_units(found.revived)} stand again" if found.revived else "")
    cost, where = found.cost, f" on {_count(found.episodes, 'episode')}" if found.episodes else ""
    parts = [f"makes {_count(len({step for step, _ in found.stale}), 'step')} stale{where}"]
    if cost.gpu is not None and cost.gpu.likely:
        parts.append(f"{duration(cost.gpu.likely)} GPU")
    elif cost.clock is not None:
        parts.append(f"{duration(cost.clock.likely)} CPU")
    if cost.money is not None:
        parts.append(amount(cost.money.likely, cost.currency))
    if cost.unmeasured:
        parts.append(f"{', '.join(cost.unmeasured)} not measured yet")
    return ", ".join(parts)


def _units(nodes: Sequence[Node]) -> str:
    return _count(len(nodes), "result")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
