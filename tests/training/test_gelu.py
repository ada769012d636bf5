"""GELU by one exponential is GELU by the tangent."""

import pytest
import torch
from diffusers.models.attention import FeedForward
from torch.nn import functional

from pipeline.training import gelu


def test_values_and_slopes_are_those_of_the_tangent_far_out_too():
    x = torch.cat([torch.linspace(-12, 12, 2001), torch.tensor([-300.0, 300.0, 0.0])]).double().requires_grad_()
    expected = functional.gelu(x, approximate="tanh")
    (slopes,) = torch.autograd.grad(expected.sum(), x)
    narrow = x.detach().float().requires_grad_()
    found = gelu.gelu(narrow)
    (found_slopes,) = torch.autograd.grad(found.sum(), narrow)
    assert torch.allclose(found.double(), expected, rtol=1e-5, atol=1e-6)
    assert torch.allclose(found_slopes.double(), slopes, rtol=1e-5, atol=1e-5)


def test_in_bf16_only_the_end_is_rounded():
    x = torch.randn(4096, generator=torch.Generator().manual_seed(0)).bfloat16()
    exact = functional.gelu(x.double(), approximate="tanh")
    assert ((gelu.gelu(x).double() - exact).abs() <= exact.abs() * 2**-8 + 1e-6).all()


@pytest.mark.parametrize(("kind", "changed"), [("gelu-approximate", 1), ("gelu", 0)])
def test_compiled_feed_forwards_with_the_tangent_take_it_and_launched_ones_go_on_as_they_did(kind, changed):
    torch.manual_seed(0)
    model, x = FeedForward(16, activation_fn=kind), torch.randn(3, 16)
    before = model(x)
    assert gelu.by_sigmoid(model) == changed
    assert model(x).equal(before)
    operations = set()

    def seen(graph, inputs):
        operations.update(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    assert torch.allclose(torch.compile(model, backend=seen, fullgraph=True)(x), before, atol=1e-6)
    assert any("sigmoid" in each for each in operations) == bool(changed)
