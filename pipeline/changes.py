"""What a change of settings would do to a show, before anybody saves it."""

from dataclasses import dataclass

from pipeline.engine import explain
from pipeline.engine.plan import SHOW, Node
from pipeline.forecast import Forecast, Outlook, untouched
from pipeline.show import Show


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of settings would do. `stale` are fresh now and would not be; of those `follow` read what is made
    anew, and are made anew only if that comes out differently. `revived` stood before and would again: the store has
    them. `cost` is that of all of `stale`.
    """

    stale: tuple[Node, ...]
    follow: tuple[Node, ...]
    revived: tuple[Node, ...]
    cost: Forecast
    after: Outlook

    @property
    def episodes(self) -> int:
        return len({unit for _, unit in self.stale if unit != SHOW})


def change(now: Outlook, after: Show) -> Change:
    """What it would do to a show if its settings were those of `after`. Nothing is saved, nothing runs."""
    what = untouched(now.plan, after.configs())
    units = explain.survey(what)
    then = now.under(after, what, units)
    fresh = {(each.step, each.unit) for each in now.units if each.state == "fresh"}
    left = {(each.step, each.unit): each for each in units if each.state != "fresh"}
    stale = tuple(node for node in left if node in fresh)
    return Change(
        stale=stale,
        follow=tuple(node for node in stale if left[node].why.startswith("waits for ")),
        revived=tuple(node for each in units if (node := (each.step, each.unit)) not in left and node not in fresh),
        cost=then.left(stale),
        after=then,
    )
