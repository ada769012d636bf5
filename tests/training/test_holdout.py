from collections import Counter

import torch

from pipeline.training.flow_matching import band
from pipeline.training.holdout import questions


def test_each_clip_is_asked_once_in_every_part_of_the_range():
    asked = list(questions(["a", "b", "c"], 10))
    assert Counter(each.sample for each in asked) == {"a": 10, "b": 10, "c": 10}
    assert Counter(band(each.sigma) for each in asked) == dict.fromkeys(range(10), 3)


def test_the_same_clip_gets_the_same_noise_whichever_training_asks():
    one, other = (next(questions(["a", "b"], 4)).generator(), next(questions(["a", "z"], 4)).generator())
    assert torch.randn(5, generator=one).equal(torch.randn(5, generator=other))


def test_another_clip_gets_other_noise():
    one, *_, other = questions(["a", "b"], 1)
    assert not torch.randn(5, generator=one.generator()).equal(torch.randn(5, generator=other.generator()))
