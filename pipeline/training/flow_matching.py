"""Rectified flow: a straight line from clean data to noise, its velocity, and where on it to train.

Shapes by name: B samples of a batch, T tokens, C channels; `sigma` is the share of noise, 0 clean to 1 noise only.
Formulas: Liu 2022 (arXiv 2209.03003); logit-normal times and shift: Esser 2024 (arXiv 2403.03206), 3.1 and 5.3.2.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from pipeline.training.training_config import SamplerName

Sampler = Callable[[Generator, int], float]
"""Draws one sigma for a sample of so many tokens."""

BANDS = 10
"""Losses are told by tenths of [0, 1], since what can be learnt differs so much between them."""


def noised(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The point of the line where the share of noise is `sigma`, which broadcasts over the rest."""
    return (1 - sigma) * clean + sigma * noise


def velocity(clean: Tensor, noise: Tensor) -> Tensor:
    """What the model is to say: the derivative of `noised` by sigma."""
    return noise - clean


def losses(prediction_BTC: Tensor, target_BTC: Tensor, counts_BT: Tensor | None = None) -> Tensor:
    """Mean squared error of each sample in fp32, over those tokens that `counts_BT` has as 1 (None: all of them).

    A sample without any such token has loss 0.
    """
    error_BT = (prediction_BTC.float() - target_BTC.float()).square().mean(-1)
    if counts_BT is None:
        return error_BT.mean(-1)
    return (error_BT * counts_BT).sum(-1) / counts_BT.sum(-1).clamp(min=1)


def band(sigma: float) -> int:
    return min(int(sigma * BANDS), BANDS - 1)


# Samplers. Every one takes its own generator, so that a sample's sigma depends on nothing but its seed.


def uniform(generator: Generator, tokens: int) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def logit_normal(shift: float = 1.0) -> Sampler:
    """sigmoid of a normal, moved towards noise by `shift` (1 leaves it): shift s / (1 + (shift - 1) s)."""

    def draw(generator: Generator, tokens: int) -> float:
        return shifted(_sigmoid(_normal(generator)), shift)

    return draw


def shifted(sigma: float, shift: float) -> float:
    return shift * sigma / (1 + (shift - 1) * sigma)


# LTX-2's sampler: the longer the sequence, the more noise. Means at two lengths, extrapolated beyond; normal quantiles
# of the percentiles that are stretched to [0, 1]; the share of plain uniform draws that keeps every sigma in sight.
_LENGTHS, _MEANS = (1024, 4096), (0.95, 2.05)
_QUANTILES = (-2.5758293035489004, 3.090232306167813)  # of 0.5 % and 99.9 %
_LEAST = 1e-3
_UNIFORM_SHARE = 0.1


def shifted_logit_normal(generator: Generator, tokens: int) -> float:
    """Three draws in every case, so that what is drawn next does not depend on their values."""
    mean = mean_of_length(tokens)
    low, high = (_sigmoid(mean + quantile) for quantile in _QUANTILES)
    stretched = (_sigmoid(mean + _normal(generator)) - low) / (high - low)
    reflected = stretched if stretched >= _LEAST else 2 * _LEAST - stretched
    plain = _LEAST + (1 - _LEAST) * uniform(generator, tokens)
    is_plain = uniform(generator, tokens) < _UNIFORM_SHARE
    return plain if is_plain else min(max(reflected, 0.0), 1.0)


def mean_of_length(tokens: int) -> float:
    slope = (_MEANS[1] - _MEANS[0]) / (_LENGTHS[1] - _LENGTHS[0])
    return _MEANS[0] + slope * (tokens - _LENGTHS[0])


def sampler(name: SamplerName, shift: float = 1.0) -> Sampler:
    """`shift` matters to `logit_normal` only."""
    named: dict[SamplerName, Sampler] = {
        "shifted_logit_normal": shifted_logit_normal,
        "logit_normal": logit_normal(shift),
        "uniform": uniform,
    }
    return named[name]


def _normal(generator: Generator) -> float:
    return float(torch.randn((), generator=generator, dtype=torch.float64))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))
