"""Frame rates told from frames' times: what is constant, what varies, where frames are missing."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

STANDARD_RATES = tuple(
    Fraction(*rate)
    for rate in (
        (12, 1), (15, 1), (24_000, 1001), (24, 1), (25, 1), (30_000, 1001),
        (30, 1), (48, 1), (50, 1), (60_000, 1001), (60, 1),
    )
)  # fmt: skip

MAX_CONSTANT_RATE = Fraction(60)

IRREGULAR_SHARE = 0.01
"""A film with a dropped frame here and there is still constant; one where more intervals than this are odd is not."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How regularly frames follow each other.

    `constant` is the rate to resample to: the real one where frames come regularly, else that of the densest
    stretches, at most 60. `average` is frames by time. `gaps` counts the places where frames are missing.
    """

    constant: Fraction
    average: float
    variable: bool
    gaps: int

    @property
    def shown(self) -> float:
        """The rate to tell people: the real one, or the average where it varies."""
        return round(self.average if self.variable else float(self.constant), 3)


def frame_rate(times: Sequence[float], said: Fraction | None = None) -> Rate:
    """The rate of frames shown at `times` (seconds, ascending); for fewer than 3 of them `said`, the header's word."""
    import numpy as np

    intervals = np.diff(np.asarray(times, dtype=np.float64))
    if len(intervals) < 2:
        constant = said if said and said > 0 else Fraction(24)
        return Rate(min(constant, MAX_CONSTANT_RATE), float(constant), variable=False, gaps=0)
    usual = float(np.median(intervals))
    regular = np.abs(intervals - usual) <= usual / 2
    average = len(intervals) / float(intervals.sum())
    odd = len(intervals) - int(regular.sum())
    if odd > max(1.0, IRREGULAR_SHARE * len(intervals)):
        # The tenth percentile: dense stretches count, a stray pair of frames does not.
        constant = snapped(1 / float(np.percentile(intervals, 10)))
        return Rate(_capped(constant), average, variable=True, gaps=0)
    # The mean evens out time stamps that a container rounds to milliseconds.
    constant = snapped(1 / float(intervals[regular].mean()))
    return Rate(_capped(constant), average, variable=False, gaps=int((intervals > usual * 1.5).sum()))


def snapped(rate: float) -> Fraction:
    """The standard rate within 0.4 % of `rate`, else `rate` itself: 24 and 24000/1001 lie 0.1 % apart."""
    nearest = min(STANDARD_RATES, key=lambda standard: abs(float(standard) - rate))
    if abs(float(nearest) - rate) <= 0.004 * rate:
        return nearest
    return Fraction(rate).limit_denominator(1001)


def _capped(rate: Fraction) -> Fraction:
    while rate > MAX_CONSTANT_RATE:
        rate /= 2
    return rate
