"""How many errors in the words are left, told by hidden known answers and by what reviewers found. Pure.

Reviewers find each error with some chance, the same one with which they find hidden known answers; what a question was
put about, they find. Ranges hold 90 % of 4,000 draws with a fixed seed (Monte Carlo): the chance from its Beta
posterior, errors a clip from Gamma posteriors (both with Jeffreys' prior), and counts that scatter as much more than
Poisson's as those of the reviewed clips do. Clips with and without doubts have rates of their own, since reviewers
are given the doubtful ones first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.review.pace import Share

if TYPE_CHECKING:
    import numpy as np

MORE_CLIPS = 60

ENOUGH_CHECKS, ENOUGH_FOUND, ENOUGH_CLIPS = 10, 3, 30
"""With fewer hidden known answers seen or found, or fewer clips reviewed, a range would be so wide that it says
nothing: 2 of 9 found is anything from 7 % to 50 %."""

WORTHLESS = 2
"""Where the next clips would find no more errors than this, review has reached its end."""

_DRAWS = 4000
_SEED = 1
_OUTSIDE = 5  # Percent at each end.


@dataclass(frozen=True, slots=True)
class Range:
    """A number that is not known: as likely less as more than `likely`, and in 90 % of cases from `low` to `high`."""

    likely: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Found:
    """Errors in the words that reviewers found in a clip: `asked` are those that a question was put about."""

    asked: int
    unasked: int
    doubtful: bool


@dataclass(frozen=True, slots=True)
class Estimate:
    """An error is a run of neighbouring words that must be changed; wrong speakers are not among them.

    `checks`: hidden known answers found, of those found or missed; `detection` the share of errors that reviewers find.
    `found` errors in `reviewed` clips. A Range is None where too little is known to give one, and `words` says what is
    missing. `enough` is None then too.
    """

    checks: Share
    found: int
    reviewed: int
    unreviewed: int
    more: int
    detection: Range | None
    left_in_reviewed: Range | None
    in_unreviewed: Range | None
    found_by_more: Range | None
    enough: bool | None
    words: str


def estimate(reviewed: Sequence[Found], unreviewed: Sequence[bool], checks: Share, more: int = MORE_CLIPS) -> Estimate:
    """`unreviewed` says of each clip, in the order in which reviewers get them, whether it has doubts."""
    import numpy as np

    draw = np.random.default_rng(_SEED)
    seen = checks.of >= ENOUGH_CHECKS and checks.count >= ENOUGH_FOUND
    chance = draw.beta(checks.count + 0.5, checks.of - checks.count + 0.5, _DRAWS) if seen else None
    after = rest = soon = None
    if len(reviewed) >= ENOUGH_CLIPS:
        rates = _Rates(reviewed, draw)
        soon = rates.errors(unreviewed[:more], None)
        if chance is not None:
            unasked = sum(each.unasked for each in reviewed)
            after = draw.poisson(draw.gamma(unasked + 0.5, 1, _DRAWS) * (1 - chance) / chance)
            rest = rates.errors(unreviewed, chance)
    detection = _range(chance, 3)
    found_by_more = _range(soon)
    made = Estimate(
        checks=checks,
        found=sum(each.asked + each.unasked for each in reviewed),
        reviewed=len(reviewed),
        unreviewed=len(unreviewed),
        more=min(more, len(unreviewed)),
        detection=detection,
        left_in_reviewed=_range(after),
        in_unreviewed=_range(rest),
        found_by_more=found_by_more,
        enough=found_by_more.high <= WORTHLESS if found_by_more and unreviewed else None,
        words="",
    )
    return _told(made)


class _Rates:
    """Draws of how many errors a clip has that reviewers find, for clips with doubts and without."""

    def __init__(self, reviewed: Sequence[Found], draw: "np.random.Generator") -> None:
        self._draw = draw
        groups = {doubtful: [each for each in reviewed if each.doubtful == doubtful] for doubtful in (True, False)}
        self._scatter = _scatter([[each.unasked for each in group] for group in groups.values()])
        self._unasked = {
            doubtful: self._posterior([each.unasked for each in group], [each.unasked for each in reviewed])
            for doubtful, group in groups.items()
        }
        asked = [each.asked for each in groups[True]]
        self._asked = self._posterior(asked, asked)

    def _posterior(self, ours: Sequence[int], all_: Sequence[int]) -> Any:
        """Half an error, as frequent as in all clips, is what is known of clips of which none was reviewed."""
        overall = (sum(all_) + 0.5) / max(1, len(all_))
        shape, clips = sum(ours) + 0.5, len(ours) + 0.5 / overall
        return self._draw.gamma(shape / self._scatter, self._scatter / clips, _DRAWS)

    def errors(self, clips: Sequence[bool], chance: Any | None) -> Any:
        """Draws of the errors in `clips`: all where the `chance` to find one is given, else those that are found."""
        doubtful = sum(clips)
        found = self._unasked[True] * doubtful + self._unasked[False] * (len(clips) - doubtful)
        expected = found if chance is None else found / chance
        return self._counts(expected + self._asked * doubtful)

    def _counts(self, expected: Any) -> Any:
        extra = self._scatter - 1
        if extra < 0.01:
            return self._draw.poisson(expected)
        return self._draw.poisson(self._draw.gamma(expected / extra + 1e-9, extra))


def _scatter(groups: Sequence[Sequence[int]]) -> float:
    """How much more than Poisson's the counts scatter in their groups (Pearson's chi-square a degree): 1 or more."""
    squares, free = 0.0, 0
    for counts in groups:
        mean = sum(counts) / len(counts) if counts else 0.0
        if mean:
            squares += sum((count - mean) ** 2 for count in counts) / mean
            free += len(counts) - 1
    return max(1.0, squares / free) if free else 1.0


def _range(draws: Any | None, digits: int = 1) -> Range | None:
    if draws is None:
        return None
    import numpy as np

    low, likely, high = np.percentile(draws, [_OUTSIDE, 50, 100 - _OUTSIDE])
    return Range(round(float(likely), digits), round(float(low), digits), round(float(high), digits))


def _told(made: Estimate) -> Estimate:
    from dataclasses import replace

    return replace(made, words=" ".join(_sentences(made)))


def _sentences(made: Estimate) -> list[str]:
    """The estimate for people, and what it lacks."""
    told = []
    checks = f"{made.checks.count} of {made.checks.of} hidden known answers"
    if made.detection:
        told.append(
            f"Reviewers found {checks}, so they find {_percent(made.detection)} of the errors that nobody asks about."
        )
    if made.left_in_reviewed:
        told.append(f"About {_count(made.left_in_reviewed)} are left in the {made.reviewed} reviewed clips.")
    if made.in_unreviewed and made.unreviewed:
        told.append(f"About {_count(made.in_unreviewed)} are in the {made.unreviewed} clips that nobody has reviewed.")
    if made.found_by_more and made.unreviewed:
        told.append(f"Reviewing {made.more} more clips would find about {_count(made.found_by_more)}.")
    if made.enough is not None:
        told.append("That is little: review may stop here." if made.enough else "Going on is worth it.")
    if made.reviewed and not made.unreviewed:
        told.append("Every clip in which somebody speaks is reviewed.")
    if made.reviewed < ENOUGH_CLIPS and made.unreviewed:
        told.append(
            f"Nothing can be said yet of the clips that nobody has reviewed: {made.reviewed} are reviewed, and it takes"
            f" {ENOUGH_CLIPS}."
        )
    if made.detection is None:
        told.append(
            f"How many errors reviewers overlook is not known yet: they found {checks}, and it takes {ENOUGH_CHECKS}"
            f" that were seen and {ENOUGH_FOUND} that were found."
        )
    return told


def _count(of: Range) -> str:
    errors = "error" if round(of.likely) == 1 else "errors"
    return f"{of.likely:.0f} {errors} in the words ({of.low:.0f} to {of.high:.0f})"


def _percent(of: Range) -> str:
    return f"{of.likely:.0%} ({of.low:.0%} to {of.high:.0%})"
