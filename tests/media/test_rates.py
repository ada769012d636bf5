"""frame_rate: what is constant, what varies, where frames are missing."""

from fractions import Fraction

import pytest

from pipeline.media.rates import frame_rate, snapped

FILM = [i / 24 for i in range(100)]


@pytest.mark.parametrize(
    "rate", [Fraction(24_000, 1001), Fraction(24), Fraction(25), Fraction(30_000, 1001), Fraction(60)]
)
def test_a_standard_rate_is_told_exactly_though_a_container_rounds_times_to_milliseconds(rate):
    found = frame_rate([round(float(i / rate), 3) for i in range(200)])
    assert (found.constant, found.variable, found.gaps) == (rate, False, 0)


def test_missing_frames_do_not_make_a_constant_rate_variable():
    found = frame_rate(FILM[:30] + FILM[33:])
    assert (found.constant, found.variable, found.gaps) == (24, False, 1)


def test_a_rate_that_changes_is_variable_and_its_dense_stretches_give_the_rate_to_resample_to():
    slow = [100 / 24 + i / 8 for i in range(50)]
    found = frame_rate(FILM + slow)
    assert found.variable
    assert found.constant == 24
    assert found.average == pytest.approx(150 / (100 / 24 + 50 / 8), rel=0.02)
    assert found.shown == round(found.average, 3)


def test_a_rate_above_sixty_is_halved():
    assert frame_rate([i / 120 for i in range(100)]).constant == 60


def test_the_header_is_believed_only_where_there_are_too_few_frames_to_tell():
    assert frame_rate([0.0], Fraction(25)).constant == 25
    assert frame_rate([0.0]).constant == 24
    assert frame_rate(FILM, Fraction(1000)).constant == 24


def test_an_odd_rate_stays_what_it_is():
    assert snapped(18.0) == 18
    assert snapped(23.98) == Fraction(24_000, 1001)
