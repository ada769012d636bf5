import math
from statistics import NormalDist, fmean

import pytest
import torch

from pipeline.training import flow_matching as flow
from pipeline.training.randomness import generator


def drawn(sampler, tokens, count=4000):
    return [sampler(generator("test", number), tokens) for number in range(count)]


def test_a_point_moved_along_its_velocity_arrives_at_the_noise():
    clean, noise, sigma = torch.randn(3, 4), torch.randn(3, 4), torch.tensor(0.3)
    point = flow.noised(clean, noise, sigma)
    assert torch.allclose(point + (1 - sigma) * flow.velocity(clean, noise), noise, atol=1e-6)
    assert torch.allclose(point - sigma * flow.velocity(clean, noise), clean, atol=1e-6)


def test_a_loss_is_the_mean_over_the_tokens_that_count():
    prediction, target = torch.zeros(2, 3, 4), torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1).expand(2, 3, 4)
    counts = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    assert flow.losses(prediction, target).tolist() == pytest.approx([14 / 3, 14 / 3])
    assert flow.losses(prediction, target, counts).tolist() == pytest.approx([2.5, 0])


def test_losses_of_bf16_predictions_are_taken_in_fp32():
    prediction, target = torch.full((1, 1, 1), 100.0, dtype=torch.bfloat16), torch.full((1, 1, 1), 100.25)
    assert flow.losses(prediction, target).item() == 0.0625


@pytest.mark.parametrize(("tokens", "mean"), [(1024, 0.95), (4096, 2.05), (2560, 1.5), (7168, 3.15), (101, 0.6195)])
def test_longer_videos_are_trained_at_more_noise(tokens, mean):
    assert flow.mean_of_length(tokens) == pytest.approx(mean, abs=1e-4)


def test_the_shifted_sampler_has_the_distribution_of_the_formula():
    found = drawn(flow.shifted_logit_normal, 1024)
    sigmoid = lambda z: 1 / (1 + math.exp(-z))  # noqa: E731
    low, high = (sigmoid(0.95 + NormalDist().inv_cdf(share)) for share in (0.005, 0.999))
    for sigma in (0.3, 0.5, 0.7, 0.9):
        at = low + sigma * (high - low)
        expected = 0.9 * NormalDist(0.95).cdf(math.log(at / (1 - at))) + 0.1 * sigma
        assert fmean(each <= sigma for each in found) == pytest.approx(expected, abs=0.025)
    assert min(found) >= 0
    assert max(found) == 1.0


def test_what_lies_below_the_least_sigma_is_reflected(monkeypatch):
    monkeypatch.setattr(flow, "_normal", lambda _: NormalDist().inv_cdf(0.005))
    assert flow.shifted_logit_normal(generator("test", 1), 1024) == pytest.approx(2e-3)


def test_a_shift_of_three_moves_the_median_to_three_quarters():
    assert flow.shifted(0.5, 3.0) == 0.75
    assert sorted(drawn(flow.logit_normal(3.0), 0))[2000] == pytest.approx(0.75, abs=0.02)
    assert sorted(drawn(flow.logit_normal(), 0))[2000] == pytest.approx(0.5, abs=0.02)


def test_bands_are_tenths_and_the_last_holds_one():
    assert [flow.band(sigma) for sigma in (0.0, 0.0999, 0.1, 0.55, 0.999, 1.0)] == [0, 0, 1, 5, 9, 9]


@pytest.mark.parametrize("name", ["shifted_logit_normal", "logit_normal", "uniform"])
def test_a_sampler_draws_as_often_whatever_it_draws(name):
    sampler = flow.sampler(name, 2.0)
    after = []
    for tokens in (10, 4000):
        stream = generator("test", 1)
        sampler(stream, tokens)
        after.append(stream.get_state().tolist())
    assert after[0] == after[1]
