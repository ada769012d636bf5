import pytest
import torch

from pipeline.training.schedules import factor, set_rate


def test_a_constant_rate_is_reached_after_the_warm_up():
    assert [factor("constant", step, warmup=3, steps=9) for step in (1, 2, 3, 4, 9)] == [0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_a_falling_rate_ends_at_a_tenth(schedule):
    found = [factor(schedule, step, warmup=2, steps=11) for step in range(3, 12)]
    assert found[0] == 1
    assert found[-1] == pytest.approx(0.1)
    assert found[4] == pytest.approx(0.55)
    assert found == sorted(found, reverse=True)


def test_a_rate_is_set_where_an_optimizer_keeps_it():
    parameter = torch.nn.Parameter(torch.zeros(1))
    plain = torch.optim.AdamW([parameter], lr=1.0)
    compiled = torch.optim.AdamW([parameter], lr=torch.tensor(1.0), capturable=False, foreach=False)
    for optimizer in (plain, compiled):
        set_rate(optimizer, 0.5)
        assert float(optimizer.param_groups[0]["lr"]) == 0.5
