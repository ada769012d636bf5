"""What is computed once, what twice, and what is trained at all, on small models of both kinds."""

from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.training import blocks, lora, ltx2, speed, wan21
from pipeline.training.planning import Setting
from pipeline.training.randomness import generator

from . import tiny, tiny_wan21

KINDS = {"ltx2": (tiny, ltx2), "wan21": (tiny_wan21, wan21)}


def setting(kept="none", count=99) -> Setting:
    return Setting(
        base="fp32", checkpointing=kept, checkpointed=count, compile=False, attention="auto", optimizer="adamw",
        estimated_bytes=0, words="",
    )  # fmt: skip


def made(kind, folder, asked_setting):
    """(transformer with its LoRA, one sample's loss by it)."""
    data, module = KINDS[kind]
    asked = data.training(folder, clips=1, held_out=0)
    transformer = asked.load(torch.float32)
    speed.prepare(transformer, asked_setting)
    lora.attach(transformer, rank=4, alpha=4, targets=asked.config.targets)
    speed.finish(transformer, asked_setting)
    objective = module.Objective(asked)
    batch = objective.draw([0], [generator("any")])
    return transformer.train(), lambda: objective.losses(transformer, batch).sum()


class Calls(TorchDispatchMode):
    """How often each operator ran inside of it."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[str] = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.of[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_selective_checkpointing_computes_products_twice_and_attention_once(kind, tmp_path):
    counted = {}
    for kept in ("none", "selective", "full"):
        _, loss = made(kind, tmp_path, setting(kept))
        with Calls() as forward:
            lost = loss()
        with Calls() as backward:
            lost.backward()
        counted[kept] = [
            sum(calls.of[name] for name in ("_scaled_dot_product_flash_attention_for_cpu", "addmm"))
            if both
            else calls.of["_scaled_dot_product_flash_attention_for_cpu"]
            for calls in (forward, backward)
            for both in (False, True)
        ]
    attentions, whole, *_ = counted["none"]
    assert attentions > 0
    assert counted["none"][2:] == [0, 0]
    assert counted["selective"][2] == 0
    assert counted["selective"][3] > 0
    assert counted["full"][2] == attentions
    assert counted["full"][3] > counted["selective"][3]
    assert all(each[:2] == [attentions, whole] for each in counted.values())


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_first_so_many_blocks_compute_anything_twice(kind, tmp_path):
    found = []
    for count in (0, 1, 2):
        _, loss = made(kind, tmp_path, setting("full", count))
        lost = loss()
        with Calls() as backward:
            lost.backward()
        found.append(backward.of["_scaled_dot_product_flash_attention_for_cpu"])
    assert found[0] == 0
    assert found[2] == 2 * found[1] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_the_lora_is_trained(kind, tmp_path):
    transformer, loss = made(kind, tmp_path, setting())
    before = {name: each.clone() for name, each in transformer.state_dict().items()}
    loss().backward()
    for name, each in transformer.named_parameters():
        assert each.requires_grad == (".lora_" in name), name
        assert (each.grad is not None) == (".lora_" in name), name
    assert all(each.equal(before[name]) for name, each in transformer.state_dict().items())


def test_a_transformer_without_repeated_blocks_is_refused():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    model._repeated_blocks = ["Block"]
    with pytest.raises(ValueError, match="Sequential has no list of Block"):
        blocks.of(model)
