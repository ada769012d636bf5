"""settle: flashes, light and fades are no cuts; cuts stay; dissolves and fades through black are found."""

import cv2
import numpy as np
import pytest

from pipeline.media.shots import BLANK, fades, settle, spreads

RATE = 24.0


def picture(seed, contrast=1.0):
    """A picture of its own for each seed: soft blobs of colour, (27, 48, 3) float levels."""
    rng = np.random.default_rng(seed)
    blobs = cv2.resize(rng.uniform(0, 255, (5, 8, 3)), (48, 27), interpolation=cv2.INTER_CUBIC)
    return np.clip(blobs, 0, 255) * contrast


def film(*pieces):
    return np.concatenate([np.clip(np.stack(piece), 0, 255).astype(np.uint8) for piece in pieces])


def still(seed, count=48):
    """A shot, with a little noise as of a camera."""
    rng = np.random.default_rng(seed + 100)
    return [picture(seed) + rng.normal(0, 2, (27, 48, 3)) for _ in range(count)]


def pan(seed, count=48, step=1):
    wide = cv2.resize(np.random.default_rng(seed).uniform(0, 255, (5, 24, 3)), (200, 27), interpolation=cv2.INTER_CUBIC)
    return [wide[:, i * step : i * step + 48] for i in range(count)]


BLACK = [np.zeros((27, 48, 3))] * 12


def fade(seed, count, up):
    shares = np.linspace(0, 1, count) if up else np.linspace(1, 0, count)
    return [picture(seed) * share for share in shares]


def test_a_hard_cut_stays():
    cuts, rejected = settle(film(still(1), still(2)), [48], RATE)
    assert (cuts, rejected) == ((48,), ())


def test_a_candidate_inside_a_shot_is_rejected():
    cuts, (false,) = settle(film(still(1)), [20], RATE)
    assert cuts == ()
    assert "same picture" in false.reason


def test_lightning_is_no_cut():
    flash = [frame * 0.4 + 150 for frame in still(1, 5)]
    cuts, rejected = settle(film(still(1), flash, still(1)), [48, 53], RATE)
    assert cuts == ()
    assert {r.cut for r in rejected} == {48, 53}


def test_a_cut_between_like_pictures_stays_where_both_sides_stand_still():
    # Two speakers before one backdrop: little differs, but more than within either shot.
    first = picture(1)
    second = first.copy()
    second[10:24, 18:30] = picture(7)[10:24, 18:30]
    cuts, _ = settle(film([first] * 40, [second] * 40), [40], RATE)
    assert cuts == (40,)


def test_fades_at_the_ends_are_no_cuts():
    frames = film(BLACK, fade(1, 20, up=True), still(1), fade(1, 20, up=False), BLACK)
    cuts, rejected = settle(frames, [12, 20, 90, 100], RATE)
    assert cuts == ()
    assert {r.reason for r in rejected} == {"fade"}


def test_a_fade_through_black_is_one_cut_in_the_middle_of_the_black():
    frames = film(still(1), fade(1, 20, up=False), BLACK, fade(2, 20, up=True), still(2))
    cuts, _ = settle(frames, [55, 68, 90], RATE)
    assert len(cuts) == 1
    assert cuts[0] == pytest.approx(48 + 20 + 6, abs=3)


def test_a_hard_cut_to_black_is_left_to_the_detectors():
    frames = film(still(1), BLACK)
    assert fades(spreads(frames)) == []
    assert settle(frames, [48], RATE)[0] == (48,)


def test_a_dissolve_is_found_at_its_middle_without_a_candidate():
    mixed = [picture(1) * (1 - share) + picture(2) * share for share in np.linspace(0, 1, 20)]
    cuts, rejected = settle(film(still(1), mixed, still(2)), [52], RATE)
    assert len(cuts) == 1
    assert cuts[0] == pytest.approx(58, abs=2)
    assert [r.reason for r in rejected] == ["dissolve"]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_pan_is_no_dissolve(step):
    assert settle(film(pan(3, step=step)), [], RATE) == ((), ())


def test_spreads_tell_a_picture_from_none():
    levels = spreads(film(still(1, 3), BLACK))
    assert levels.shape == (15,)
    assert (levels[:3] > BLANK).all()
    assert (levels[3:] == 0).all()
