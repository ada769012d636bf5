"""The pipeline as a picture: steps as cards, needs as curves, every unit's state as a mark on its step's card.

Pure functions from the steps and their states to SVG text. Text takes the page's own colour (`currentColor`), so one
picture suits the light and the dark theme.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from app import ways
from app.shared import STATES, Node, State, counts, worst
from pipeline.control import UnitStatus

CARD_WIDTH, CARD_HEIGHT = 130, 94  # pixels at full size; the picture shrinks with the page
COLUMN, LANE = 151, 112
MARGIN = 6
LONGEST = 11  # letters of a name in one line
MOST_MARKS = 10  # above this many units a card shows proportions in place of single marks


class Place(NamedTuple):
    """Where a node stands: its column counts steps from the start, its lane counts from the main line down."""

    column: int
    lane: int


def nearest_needs(nodes: Sequence[Node]) -> dict[str, tuple[str, ...]]:
    """Each node's needs without those it has through another need: the lines worth drawing."""
    above: dict[str, set[str]] = {}
    for node in nodes:
        above[node.name] = set(node.needs).union(*(above[need] for need in node.needs))
    return {
        node.name: tuple(n for n in node.needs if not any(n in above[other] for other in node.needs)) for node in nodes
    }


def places(nodes: Sequence[Node]) -> dict[str, Place]:
    """Put the longest chain on the main line, and each further chain on the nearest lane that is free along it.

    `nodes` stand in an order in which every node follows its needs. A source stands right before its first user.
    """
    needs = nearest_needs(nodes)
    columns = _columns(nodes, needs)
    users = {node.name: [other.name for other in nodes if node.name in needs[other.name]] for node in nodes}
    lanes: dict[str, int] = {}
    taken: dict[int, list[tuple[float, float]]] = {}
    for chain in _chains(nodes, needs, columns):
        before = [columns[need] for need in needs[chain[0]]]
        after = [columns[user] for user in users[chain[-1]] if user not in chain]
        # A chain's curves leave its lane only next to the cards at their ends, hence the room of nearly a column.
        span = (
            min([columns[chain[0]], *(c + 0.9 for c in before)]),
            max([columns[chain[-1]], *(c - 0.9 for c in after)]),
        )
        lane = next(
            lane
            for lane in (0, 1, -1, 2, -2, *range(3, len(nodes) + 3))
            if all(span[1] < start or end < span[0] for start, end in taken.get(lane, []))
        )
        taken.setdefault(lane, []).append(span)
        lanes |= dict.fromkeys(chain, lane)
    highest = min(lanes.values(), default=0)
    return {node.name: Place(columns[node.name], lanes[node.name] - highest) for node in nodes}


def _columns(nodes: Sequence[Node], needs: Mapping[str, Sequence[str]]) -> dict[str, int]:
    columns: dict[str, int] = {}
    for node in nodes:
        columns[node.name] = max((columns[need] + 1 for need in needs[node.name]), default=0)
    for source in nodes:
        followers = [columns[node.name] for node in nodes if source.name in needs[node.name]]
        if not needs[source.name] and followers:
            columns[source.name] = min(followers) - 1
    return columns


def _chains(nodes: Sequence[Node], needs: Mapping[str, Sequence[str]], columns: Mapping[str, int]) -> list[list[str]]:
    """The nodes in chains, the longest first: each follows a need as long as that is in no chain yet."""
    left = [node.name for node in nodes]
    chains: list[list[str]] = []
    while left:
        best: dict[str, list[str]] = {}
        for name in left:
            before = [best[need] for need in needs[name] if need in best]
            best[name] = [*max(before, key=len, default=[]), name]
        chain = max(best.values(), key=len)
        chains.append(chain)
        left = [name for name in left if name not in chain]
    return chains


def picture(nodes: Sequence[Node], units: Sequence[UnitStatus], notes: Mapping[str, str] | None = None) -> str:
    """The whole picture as one SVG element. `notes` are short lines to stand under the names of sources."""
    where = places(nodes)
    needs = nearest_needs(nodes)
    width = max((place.column for place in where.values()), default=0) * COLUMN + CARD_WIDTH + 2 * MARGIN
    height = max((place.lane for place in where.values()), default=0) * LANE + CARD_HEIGHT + 2 * MARGIN
    lanes = [place.lane for place in where.values()]
    main = max(lanes, key=lanes.count, default=0)
    curves = [_curve(where[need], where[node.name], main) for node in nodes for need in needs[node.name]]
    cards = [
        _source(node, where[node.name], (notes or {}).get(node.name, ""))
        if node.is_source
        else _card(node, where[node.name], [unit for unit in units if unit.step == node.name])
        for node in nodes
    ]
    summary = "The pipeline: " + "; ".join(
        f"{node.name} {_words([unit for unit in units if unit.step == node.name])}"
        for node in nodes
        if not node.is_source
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" style="width:100%;max-width:{width}px;height:auto;display:block" '
        f'role="img" aria-label="{escape(summary)}" font-family="inherit">{"".join(curves + cards)}</svg>'
    )


def _corner(place: Place) -> tuple[int, int]:
    return MARGIN + place.column * COLUMN, MARGIN + place.lane * LANE


def _curve(start: Place, end: Place, main: int) -> str:
    """From the right edge of one card to the left edge of the next. Long ones keep to the lane that was kept free for
    them: that of the card farther from the `main` lane.
    """
    (x1, y1), (x2, y2) = _corner(start), _corner(end)
    x1 += CARD_WIDTH
    y1 += CARD_HEIGHT // 2
    y2 += CARD_HEIGHT // 2
    gap = COLUMN - CARD_WIDTH
    if y1 == y2:
        path = f"M{x1} {y1}H{x2 - 5}"
    elif abs(end.lane - main) > abs(start.lane - main):
        bend = x1 + gap
        path = f"M{x1} {y1}C{x1 + gap * 0.7} {y1} {bend - gap * 0.7} {y2} {bend} {y2}H{x2 - 5}"
    else:
        bend = x2 - gap
        path = f"M{x1} {y1}H{bend}C{bend + gap * 0.7} {y1} {x2 - gap * 0.7} {y2} {x2 - 5} {y2}"
    line = f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity=".32" stroke-width="1.5"/>'
    head = f'<path d="M{x2 - 6} {y2 - 3.5}L{x2 - 1} {y2}L{x2 - 6} {y2 + 3.5}Z" fill="currentColor" fill-opacity=".4"/>'
    return line + head


def _source(node: Node, place: Place, note: str) -> str:
    x, y = _corner(place)
    height = 50 if note else 38
    y += (CARD_HEIGHT - height) // 2
    middle = x + CARD_WIDTH / 2
    second = (
        f'<text x="{middle}" y="{y + 39}" text-anchor="middle" font-size="12.5" fill="currentColor" '
        f'fill-opacity=".65">{escape(note)}</text>'
    )
    return (
        f"<g><title>{escape(node.name)}: brought by people</title>"
        f'<rect x="{x}" y="{y}" width="{CARD_WIDTH}" height="{height}" rx="{height / 2}" fill="currentColor" '
        'fill-opacity=".05" stroke="currentColor" stroke-opacity=".25" stroke-dasharray="3 3"/>'
        f'<text x="{middle}" y="{y + (22 if note else 24.5)}" text-anchor="middle" font-size="15" '
        f'fill="currentColor" fill-opacity=".8">{escape(node.name.replace("-", " "))}</text>'
        f"{second if note else ''}</g>"
    )


def _card(node: Node, place: Place, units: Sequence[UnitStatus]) -> str:
    x, y = _corner(place)
    state = worst(units) if units else STATES["missing"]
    group, _, rest = node.name.partition("-")
    lines = _two_lines(rest or group)
    title = f"{node.name}: {_words(units)}\nneeds {', '.join(node.needs)}" + "".join(
        f"\n{unit.unit}: {unit.state}. {unit.why}" for unit in units[:MOST_MARKS]
    )
    texts = "".join(
        f'<text x="{x + 12}" y="{y + (47 if len(lines) == 1 else 41) + 18 * index}" font-size="16" font-weight="600" '
        f'fill="currentColor">{escape(line)}</text>'
        for index, line in enumerate(lines)
    )
    return (  # A picture has nothing to go to by keys; the table of results has all of it.
        f'<a href="{escape(ways.result(node.name))}" data-here="" tabindex="-1" class="card">'
        f"<title>{escape(title)}</title>"
        f'<rect x="{x}" y="{y}" width="{CARD_WIDTH}" height="{CARD_HEIGHT}" rx="9" fill="{state.colour}" '
        f'fill-opacity=".10" stroke="{state.colour}" stroke-opacity=".75" stroke-width="1.2"/>'
        f'<text x="{x + 12}" y="{y + 20}" font-size="12.5" letter-spacing=".03em" fill="currentColor" '
        f'fill-opacity=".6">{escape(group)}</text>{texts}{_marks(x + 12, y + CARD_HEIGHT - 16, units)}</a>'
    )


def _two_lines(name: str) -> list[str]:
    """Break a long name at the dash nearest its middle."""
    if len(name) <= LONGEST or "-" not in name:
        return [name]
    cut = min((i for i, letter in enumerate(name) if letter == "-"), key=lambda i: abs(i - len(name) / 2))
    return [name[: cut + 1], name[cut + 1 :]]


def _marks(x: float, y: float, units: Sequence[UnitStatus]) -> str:
    """One mark a unit; for a long season a bar with each state's share."""
    if not units:
        return ""
    if len(units) <= MOST_MARKS:
        pitch = min(20.0, (CARD_WIDTH - 24) / len(units))
        size = min(1.3, pitch / 11)
        return "".join(mark(x + 6 + index * pitch, y, STATES[unit.state], size) for index, unit in enumerate(units))
    bars, total, left = [], len(units), x
    for name, count in counts(units).items():
        wide = (CARD_WIDTH - 24) * count / total
        bars.append(
            f'<rect x="{left:.1f}" y="{y - 5}" width="{max(wide - 1, 1):.1f}" height="10" rx="3" '
            f'fill="{STATES[name].colour}"/>'
        )
        left += wide
    return "".join(bars)


def mark(x: float, y: float, state: State, size: float = 1.0) -> str:
    """A state as a sign of 10 pixels x `size` around a point; each has its own shape as well as its colour."""
    at = f'transform="translate({x:.1f} {y:.1f}) scale({size:.2f})"'
    stroke = f'fill="none" stroke="{state.colour}" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"'
    white = 'fill="none" stroke="#fff" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round"'
    full = f'<circle r="5.4" fill="{state.colour}"/>'
    shape = {
        "fresh": f'{full}<path d="M-2.4 .2L-.7 1.9L2.5 -1.6" {white}/>',
        "running": f'{full}<path d="M-1.4 -2.4L2.4 0L-1.4 2.4Z" fill="#fff"/>',
        "failed": f'<rect x="-5" y="-5" width="10" height="10" rx="2" fill="{state.colour}"/>'
        f'<path d="M-2 -2L2 2M2 -2L-2 2" {white}/>',
        "stale": f'<circle r="4.6" {stroke}/><path d="M0 -4.6A4.6 4.6 0 0 1 0 4.6Z" fill="{state.colour}"/>',
        "missing": f'<circle r="4.6" {stroke} stroke-dasharray="2.2 2.6"/>',
    }[state.name]
    return f"<g {at}>{shape}</g>"


def legend(units: Sequence[UnitStatus]) -> str:
    """Which mark means what, with how many results are in that state."""
    items = "".join(
        f'<span title="{escape(STATES[name].meaning)}" style="display:inline-flex;align-items:center;gap:.4em">'
        f'<svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">{mark(0, 0, STATES[name])}</svg>'
        f"<span><b>{count:,}</b> {name}</span></span>"
        for name, count in counts(units).items()
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:.3em 1.4em;font-size:.87rem;margin-top:.8em">{items}</div>'


def _words(units: Sequence[UnitStatus]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts(units).items()) or "nothing to make"
