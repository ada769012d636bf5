from collections import Counter

import pytest

from pipeline.training.batches import Order

SHAPES = ["wide"] * 5 + ["tall"] * 3


def flat(batches):
    return [index for batch in batches for index in batch]


def test_an_epoch_takes_every_sample_once():
    order = Order(SHAPES, 2, 1, seed=1)
    assert order.batches_per_epoch == 5
    for epoch in range(3):
        assert sorted(flat(order.step(epoch * 5 + step)[0] for step in range(1, 6))) == list(range(8))


def test_a_batch_has_one_shape():
    order = Order(SHAPES, 3, 2, seed=1)
    for step in range(1, 20):
        for batch in order.step(step):
            assert len({SHAPES[index] for index in batch}) == 1


def test_the_order_is_a_function_of_seed_and_step_alone():
    one, other = Order(SHAPES, 2, 2, seed=3), Order(SHAPES, 2, 2, seed=3)
    for step in (30, 2, 17, 1):
        other.step(step)
    assert [one.step(step) for step in range(1, 40)] == [other.step(step) for step in range(1, 40)]
    assert [one.step(1), one.step(2)] != [Order(SHAPES, 2, 2, seed=4).step(step) for step in (1, 2)]


def test_epochs_differ_in_their_order():
    order = Order(SHAPES, 1, 8, seed=1)
    assert order.step(1) != order.step(2)


@pytest.mark.parametrize("steps", [0, 1, 7, 12])
def test_usage_counts_what_the_steps_take(steps):
    order = Order(SHAPES, 2, 3, seed=1)
    counted = Counter(flat(batch for step in range(1, steps + 1) for batch in order.step(step)))
    assert order.usage(steps) == [counted[index] for index in range(len(SHAPES))]
    assert order.epochs(steps) == pytest.approx(sum(counted.values()) / len(SHAPES))


def test_a_dataset_smaller_than_a_batch_makes_a_smaller_batch():
    assert [len(batch) for batch in Order(["wide"], 4, 2, seed=1).step(1)] == [1, 1]


def test_without_samples_it_says_where_to_look():
    with pytest.raises(ValueError, match="account"):
        Order([], 1, 1, seed=1)
