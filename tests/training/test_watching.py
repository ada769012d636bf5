import pytest
import torch

from pipeline.training.watching import Reading, Seen, Watch, by_band


def at(sigma, loss, sample="a"):
    return Seen(sample, sigma, loss)


def test_a_loss_that_is_no_number_stops_with_the_clip_named():
    with pytest.raises(
        ValueError, match=r"step 3: the loss is not a number any more; it was at bad \(sigma 0\.50\)\. "
    ):
        Watch(10).see(3, [at(0.5, 1.0, "good"), at(0.5, float("nan"), "bad")], 1.0)


def test_a_gradient_that_is_no_number_stops_with_all_clips_of_the_step_named():
    with pytest.raises(ValueError, match=r"the gradient is .* it was at a \(sigma 0\.50\), b \(sigma 0\.10\)"):
        Watch(10).see(3, [at(0.5, 1.0), at(0.1, 1.0, "b")], float("inf"))


def test_a_leap_of_the_loss_stops_and_names_the_worst_first():
    watch = Watch(10)
    for step in range(20):
        watch.see(step, [at(0.5, 1.0), at(0.55, 1.1)], 1.0)
    with pytest.raises(ValueError, match=r"loss is 30, where 1.* is usual; it was at worst \(.*\), a \("):
        watch.see(21, [at(0.5, 10.0), at(0.5, 50.0, "worst")], 1.0)


def test_what_is_usual_at_one_sigma_is_no_leap_at_it():
    watch = Watch(10)
    for step in range(30):
        watch.see(step, [at(0.9, 0.01), at(0.05, 1.0)], 1.0)
    watch.see(31, [at(0.05, 1.2)], 1.0)
    with pytest.raises(ValueError, match="usual"):
        watch.see(32, [at(0.9, 1.2)], 1.0)


def test_a_band_that_is_hardly_known_says_nothing_and_a_spike_of_0_never_stops():
    watch = Watch(10)
    watch.see(1, [at(0.9, 0.01)], 1.0)
    watch.see(2, [at(0.9, 10.0)], 1.0)
    never = Watch(0)
    for step in range(30):
        never.see(step, [at(0.9, 0.01)], 1.0)
    never.see(31, [at(0.9, 100.0)], 1.0)


def test_bands_are_told_as_means_of_what_occurred():
    assert by_band([at(0.91, 1.0), at(0.95, 3.0), at(0.2, 5.0)]) == {2: 5.0, 9: 2.0}


def test_a_reading_gives_its_numbers():
    assert Reading(torch.tensor([1.0, 2.5])).values() == [1.0, 2.5]
