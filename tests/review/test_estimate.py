"""Errors left: the ranges hold the truth as often as they say, and too little is never a number."""

import numpy as np
import pytest

from pipeline.review.estimate import Estimate, Found, estimate
from pipeline.review.pace import Share


def reviewed(chance, *, clips, more, rate, scatter, seen, checks) -> tuple[Estimate, tuple[int, int, int]]:
    """One simulated review, doubtful clips first, and what is true: errors overlooked, elsewhere, in the next 60."""
    doubtful = np.arange(clips + more) < 0.3 * (clips + more)
    rates = chance.gamma(rate / scatter, scatter, clips + more) if scatter else np.full(clips + more, rate)
    unasked = chance.poisson(np.where(doubtful, 2 * rates, rates))
    asked = np.where(doubtful, chance.poisson(0.5, clips + more), 0)
    found = chance.binomial(unasked, seen)
    made = estimate(
        [Found(int(asked[i]), int(found[i]), bool(doubtful[i])) for i in range(clips)],
        [bool(each) for each in doubtful[clips:]],
        Share(int(chance.binomial(checks, seen)), checks),
    )
    overlooked = int((unasked - found)[:clips].sum())
    elsewhere = int((unasked + asked)[clips:].sum())
    return made, (overlooked, elsewhere, int((found + asked)[clips : clips + 60].sum()))


@pytest.mark.parametrize(
    "review",
    [
        {"clips": 200, "more": 300, "rate": 0.2, "scatter": 0, "seen": 0.7, "checks": 20},
        {"clips": 200, "more": 300, "rate": 0.2, "scatter": 0.5, "seen": 0.7, "checks": 20},
        {"clips": 150, "more": 150, "rate": 0.5, "scatter": 1, "seen": 0.5, "checks": 30},
        {"clips": 400, "more": 600, "rate": 0.2, "scatter": 0.3, "seen": 0.9, "checks": 40},
    ],
)
def test_ranges_hold_the_truth_in_about_nine_of_ten_reviews(review):
    chance = np.random.default_rng(7)
    held = []
    for _ in range(150):
        made, truths = reviewed(chance, **review)
        ranges = (made.left_in_reviewed, made.in_unreviewed, made.found_by_more)
        held.append([each.low <= true <= each.high for each, true in zip(ranges, truths, strict=True) if each])
    # 90 % of 150 is 135, give or take two standard errors of 3.7; rates of their own make some ranges wider.
    assert all(0.83 <= share <= 0.99 for share in np.mean(held, axis=0)), np.mean(held, axis=0)


def test_without_hidden_answers_only_what_more_review_would_find_is_told():
    made = estimate([Found(0, 1, doubtful=False)] * 40, [False] * 200, Share(0, 0))
    assert (made.detection, made.left_in_reviewed, made.in_unreviewed) == (None, None, None)
    assert made.found_by_more.low <= 60 <= made.found_by_more.high
    assert "they found 0 of 0 hidden known answers, and it takes 10" in made.words


def test_with_few_clips_nothing_is_told_of_the_others():
    made = estimate([Found(0, 1, doubtful=False)] * 29, [False] * 200, Share(12, 15))
    assert (made.left_in_reviewed, made.in_unreviewed, made.found_by_more, made.enough) == (None, None, None, None)
    assert "29 are reviewed, and it takes 30" in made.words


def test_review_may_stop_where_more_would_find_next_to_nothing():
    clean = [Found(0, 0, doubtful=False)] * 400
    made = estimate(clean, [False] * 200, Share(18, 20))
    assert (made.enough, made.found_by_more.likely) == (True, 0)
    assert "review may stop here" in made.words
    assert estimate([Found(0, 1, doubtful=False)] * 400, [False] * 200, Share(18, 20)).enough is False


def test_who_overlooks_more_leaves_more():
    found = [Found(0, 1, doubtful=False)] * 100
    sharp, dull = (estimate(found, [], Share(count, 40)).left_in_reviewed for count in (38, 10))
    assert sharp.high < dull.low


def test_the_same_review_gives_the_same_figures():
    args = ([Found(1, 0, doubtful=True), Found(0, 2, doubtful=False)] * 30, [True, False] * 50, Share(15, 20))
    assert estimate(*args) == estimate(*args)
