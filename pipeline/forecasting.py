"""From times that were measured to times to come, with how far they may be off. Pure.

Times of one step scatter by a factor rather than by seconds, so their logarithms are taken as normally distributed.
With few measurements their spread is not known well: it is then taken to be nearer to `PRIOR_SPREAD`.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import TypeVar

PRIOR_SPREAD = 0.35
"""Standard deviation of log(seconds per size) before anything is known: two thirds lie within a factor of 1.4."""

PRIOR_WEIGHT = 2.0
"""As many measurements as that prior is worth."""

LIKELY = 0.8
"""The share of times that lie within a range."""

_REACH = NormalDist().inv_cdf(0.5 + LIKELY / 2)
_NEWEST = 20  # older measurements say less of the machine as it is now

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Range:
    """Seconds (or money), and between which bounds they lie in 8 of 10 cases."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.likely * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for each unit of size, the middle of `count` measurements; `spread` is that of its logarithm."""

    rate: float
    spread: float
    count: int


def pace(measured: Iterable[tuple[float, float]]) -> Pace | None:
    """The pace of (seconds, size) pairs, oldest first; None where nothing was measured."""
    rates = [math.log(seconds / size) for seconds, size in measured if seconds > 0 and size > 0][-_NEWEST:]
    if not rates:
        return None
    mean = sum(rates) / len(rates)
    squares = sum((rate - mean) ** 2 for rate in rates)
    variance = (PRIOR_WEIGHT * PRIOR_SPREAD**2 + squares) / (PRIOR_WEIGHT + len(rates) - 1)
    return Pace(math.exp(mean), math.sqrt(variance), len(rates))


def total(parts: Iterable[tuple[Pace, Sequence[float]]]) -> Range:
    """The sum over sizes, each list with its own pace.

    That a pace is not known well moves all its sizes together; what each of them scatters by evens out, and leaves the
    sum of many above that of their middles, since what takes longer takes longer by more. The sum is taken as
    log-normal with its true mean and variance (L. F. Fenton, 1960).
    """
    mean, variance = 0.0, 0.0
    for of, sizes in parts:
        square, shared = of.spread**2, of.spread**2 / of.count
        means = [of.rate * size * math.exp((square + shared) / 2) for size in sizes]
        sum_, squares = sum(means), sum(each**2 for each in means)
        mean += sum_
        variance += math.exp(shared) * (sum_**2 + squares * math.expm1(square)) - sum_**2
    if mean <= 0:
        return Range(0.0, 0.0, 0.0)
    log_variance = math.log1p(variance / mean**2)
    likely, factor = mean / math.exp(log_variance / 2), math.exp(_REACH * math.sqrt(log_variance))
    return Range(likely / factor, likely, likely * factor)


@dataclass(frozen=True, slots=True)
class Truth:
    """How forecasts fared: `usually` is the middle error as a share (0.2: off by a fifth, either way), `inside` of
    `count` were within their range.
    """

    usually: float
    inside: int
    count: int


def truth(found: Iterable[tuple[Range, float]]) -> Truth | None:
    """Forecasts beside what it took; None without any. What took under a second, as foretold, tells nothing."""
    told = [(range_, seconds) for range_, seconds in found if range_.likely > 0 and seconds > 0]
    pairs = [(range_, seconds) for range_, seconds in told if max(range_.likely, seconds) >= 1]
    if not pairs:
        return None
    errors = [max(seconds / range_.likely, range_.likely / seconds) - 1 for range_, seconds in pairs]
    inside = sum(range_.low <= seconds <= range_.high for range_, seconds in pairs)
    return Truth(median(errors), inside, len(pairs))


def shares(spans: Sequence[tuple[float, float]]) -> list[float]:
    """Of (begin, end) that overlap, how many seconds of one clock each had: what several share is divided evenly.

    All together have as many seconds as the clock did while any of them ran.
    """
    moments = sorted({moment for span in spans for moment in span})
    starts = sorted(range(len(spans)), key=lambda index: spans[index][0])
    had, running, next_ = [0.0] * len(spans), set[int](), 0
    for now, then in itertools.pairwise(moments):
        running = {index for index in running if spans[index][1] > now}
        while next_ < len(starts) and spans[starts[next_]][0] <= now:
            if spans[starts[next_]][1] > now:
                running.add(starts[next_])
            next_ += 1
        for index in running:
            had[index] += (then - now) / len(running)
    return had


def by_the_clock(
    seconds: Mapping[T, float],
    needs: Callable[[T], Iterable[T]],
    lanes: Callable[[T], Sequence[str]],
    slots: Mapping[str, int],
) -> float:
    """Seconds until all are made when as many run at once as there are slots; those needed stand before their users.

    Each takes the slot that is free first in any of its lanes.
    """
    free = {name: [0.0] * count for name, count in slots.items()}
    ends: dict[T, float] = {}
    for node, takes in seconds.items():
        ready = max((ends[need] for need in needs(node) if need in ends), default=0.0)
        lane = min(lanes(node), key=lambda name: free[name][0])
        begin = max(ready, heapq.heappop(free[lane]))
        ends[node] = begin + takes
        heapq.heappush(free[lane], ends[node])
    return max(ends.values(), default=0.0)
