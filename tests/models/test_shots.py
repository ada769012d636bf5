"""Shot detectors propose cuts on frames; two witnesses outvote one doubt."""

from fractions import Fraction

import numpy as np
import pytest

from pipeline.models import shots


def pictures(*shots_of_frames, size=(144, 256)):
    """Frames of shots, each a pattern of its own, drifting slowly."""
    frames = []
    for seed, count in enumerate(shots_of_frames):
        rng = np.random.default_rng(seed)
        pattern = np.kron(rng.integers(0, 255, (9, 16, 3)), np.ones((16, 16, 1))).astype(np.uint8)
        frames += [np.roll(pattern, index // 4, axis=1)[: size[0], : size[1]] for index in range(count)]
    return frames


@pytest.mark.parametrize("detector", [shots.adaptive(2.0, Fraction(24)), shots.content(27.0, Fraction(24))])
def test_classical_detectors_find_the_first_frame_of_each_shot(detector):
    with detector as watch:
        assert watch(iter(pictures(30, 40, 30))) == [30, 70]


def test_a_detector_can_be_used_again_and_starts_afresh():
    with shots.adaptive(2.0, Fraction(24)) as watch:
        assert watch(pictures(30, 40)) == watch(pictures(30, 40)) == [30]
        assert watch([]) == []


def test_transnetv2_finds_the_first_frame_of_each_shot_and_leaves_the_process_as_it_was():
    import cv2
    import torch

    before = torch.are_deterministic_algorithms_enabled()
    small = np.stack([cv2.resize(p, (48, 27), interpolation=cv2.INTER_AREA) for p in pictures(40, 40)])
    with shots.transnetv2("cpu") as score:
        chances = score(small)
    assert torch.are_deterministic_algorithms_enabled() == before
    assert chances.shape == (80,)
    assert shots.peaks(chances.tolist(), 0.3) == [40]


def test_a_short_rise_is_a_cut_after_it_and_a_long_one_in_its_middle():
    assert shots.peaks([0, 0, 0.9, 0, 0, 0.5, 0.5, 0], 0.3) == [3, 7]
    assert shots.peaks([0, 0, *[0.6] * 10, 0, 0], 0.3) == [7]
    assert shots.peaks([0, 0.1, 0], 0.3) == []
    assert shots.peaks([0, 0, 0.9], 0.3) == []


def test_a_doubtful_cut_counts_when_another_detector_sees_it():
    chances = [0.0] * 40
    chances[9], chances[19], chances[29] = 0.9, 0.1, 0.1
    assert shots.agreed(chances, [20, 35], 0.3, 0.02) == [10, 20]


def test_where_both_see_a_cut_the_second_places_it():
    chances = [0.0] * 20
    chances[9] = 0.9
    assert shots.agreed(chances, [11], 0.3, 0.02) == [11]
