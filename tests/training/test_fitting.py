"""A card that is full all the same: what would fit is what the planner says of a smaller card."""

from dataclasses import replace

import pytest
import torch

from pipeline.training import ltx2, wan21
from pipeline.training.fitting import fitting
from pipeline.training.planning import Adapters, Card, Shape, Speed, plan
from pipeline.training.processes import World

from . import tiny, tiny_wan21

CARD = Card("NVIDIA H100", "cuda", 80 * 2**30, 79 * 2**30, (9, 0))
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")


def settled(speed: Speed):
    shapes = [Shape(1, 4290, 101, 1024)]
    return plan("ltx2", {"num_layers": 48, "rope_type": "split"}, shapes, Adapters(32, TARGETS), speed, CARD)


def refused(speed: Speed) -> str:
    with pytest.raises(ValueError, match="memory is full") as found, fitting(settled(speed), speed, settled):
        raise torch.OutOfMemoryError("CUDA out of memory")
    return str(found.value)


def test_out_of_memory_says_what_would_fit_and_that_does(monkeypatch):
    before = settled(Speed())
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: before.estimated_bytes)
    said = refused(Speed())
    least_gb = float(said.partition("set speed.max_memory_gb = ")[2].partition(",")[0])
    after = settled(Speed(max_memory_gb=least_gb))
    assert after.estimated_bytes < 0.9 * before.estimated_bytes
    assert before.words in said
    assert said.endswith(after.words)


def test_where_nothing_thriftier_is_left_it_says_so_with_the_planner_s_numbers(monkeypatch):
    thriftiest = Speed(base="int8", checkpointing="full", optimizer="adamw8bit")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: settled(thriftiest).estimated_bytes)
    assert "nothing thriftier is left: 1 x 4290 tokens of video take" in refused(thriftiest)


@pytest.mark.parametrize(
    ("make", "module"), [(tiny.training, ltx2), (tiny_wan21.training, wan21)], ids=["ltx2", "wan21"]
)
def test_a_card_that_is_full_before_the_first_step_says_so_too(make, module, tmp_path):
    def load(dtype):
        raise torch.OutOfMemoryError("CUDA out of memory")

    asked = replace(make(tmp_path, clips=1, held_out=0), load=load)
    with pytest.raises(ValueError, match=r"the GPU's memory is full at .* were estimated"):
        module.train(asked, World(), None)
