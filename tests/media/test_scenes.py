"""Scenes: shots with like colours belong together, and what they enclose belongs to them."""

import numpy as np
import pytest

from pipeline.media import scenes


def look(*levels):
    row = np.sqrt(np.array(levels, dtype=np.float32) / sum(levels))
    return row[None, :]


STREET, DINER, SIGN = look(8, 1, 1), look(1, 8, 1), look(1, 1, 8)


def grouped(*looks, seconds=3.0, look_back=8):
    return [list(run) for run in scenes.group(looks, [seconds] * len(looks), 0.9, look_back)]


def test_a_scene_ends_where_colours_change_for_good():
    assert grouped(STREET, STREET, DINER, DINER) == [[0, 1], [2, 3]]


def test_a_reverse_shot_and_an_insert_stay_in_their_scene():
    assert grouped(STREET, DINER, STREET, DINER, SIGN, STREET) == [[0, 1, 2, 3, 4, 5]]


def test_a_place_that_comes_back_after_long_is_another_scene():
    assert grouped(STREET, *[DINER] * 4, STREET, look_back=4) == [[0], [1, 2, 3, 4], [5]]


def test_a_lone_short_shot_goes_with_the_neighbour_it_is_more_like():
    sign_in_street = look(3, 1, 8)
    assert grouped(STREET, STREET, sign_in_street, DINER, DINER, seconds=1.0) == [[0, 1, 2], [3, 4]]
    assert grouped(STREET, STREET, sign_in_street, DINER, DINER) == [[0, 1], [2], [3, 4]]


def test_one_shot_is_one_scene():
    assert grouped(STREET) == [[0]]
    assert grouped(STREET, seconds=0.5) == [[0]]


def test_samples_keep_clear_of_a_shots_ends():
    assert scenes.samples(100, 200) == [115, 132, 149, 166, 184]
    assert scenes.samples(7, 8) == [7]


def test_colours_of_a_picture_match_themselves_and_not_others():
    red, blue = np.zeros((2, 27, 48, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    looks = scenes.colours(np.stack([red, blue]))
    assert looks.shape == (2, 192)
    assert scenes.similarity(looks[:1], looks[:1]) == pytest.approx(1)
    assert scenes.similarity(looks[:1], looks[1:]) == 0


def test_shots_lie_between_cuts_by_the_times_of_frames():
    shots = scenes.shots_between([2], [0.0, 0.5, 0.6, 2.0], 2.5)
    assert [(s.index, s.span.start, s.span.end) for s in shots] == [(0, 0.0, 0.6), (1, 0.6, 2.5)]
