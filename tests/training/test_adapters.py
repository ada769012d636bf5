"""LoRA layers of the same inputs give together what each gives alone."""

from collections import Counter

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.training import adapters


class Products(TorchDispatchMode):
    """Matrix products by the columns that they make."""

    def __init__(self):
        super().__init__()
        self.columns = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func in {torch.ops.aten.mm.default, torch.ops.aten.addmm.default}:
            self.columns[found.shape[-1]] += 1
        return found


def three(**settings):
    torch.manual_seed(0)
    model = nn.ModuleDict({name: nn.Linear(16, outputs) for name, outputs in (("q", 24), ("k", 8), ("v", 8))})
    model.requires_grad_(False)
    targets = settings.pop("targets", ["q", "k", "v"])
    inject_adapter_in_model(LoraConfig(r=4, lora_alpha=8, target_modules=targets, **settings), model)
    for name, each in model.named_parameters():
        if "lora_" in name:
            nn.init.normal_(each)
    adapters.fuse(model)
    return model


def learnt(model, run):
    """Outputs, the gradient of the inputs, those of the LoRA."""
    x = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(3), requires_grad=True)
    outputs = run([model["q"], model["k"], model["v"]], x)
    sum((each**2).sum() for each in outputs).backward()
    return [*outputs, x.grad, *(each.grad for each in model.parameters() if each.grad is not None)]


def alone(layers, x):
    return [layer(x) for layer in layers]


def test_outputs_and_gradients_are_those_of_each_alone_with_a_third_of_the_thin_products():
    with Products() as together:
        found = learnt(three(), adapters.together)
    with Products() as apart:
        expected = learnt(three(), alone)
    assert len(found) == 3 + 1 + 6
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-4)
    assert apart.columns[4] - together.columns[4] == 3
    assert sum(together.columns.values()) == sum(apart.columns.values()) - 3 * 2


@pytest.mark.parametrize("change", ["dropout", "one without", "switched off", "merged"])
def test_where_one_of_them_is_not_plain_each_goes_its_own_way(change):
    settings = {"dropout": {"lora_dropout": 0.5}, "one without": {"targets": ["q", "v"]}}.get(change, {})
    model = three(**settings).eval()
    for layer in model.values():
        if change == "switched off":
            layer.enable_adapters(False)
        if change == "merged":
            layer.merge()
    x = torch.randn(2, 16)
    layers = list(model.values())
    for one, other in zip(adapters.together(layers, x), alone(layers, x), strict=True):
        assert one.equal(other)
