from collections import Counter

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import training_models
from pipeline.training import attention_processors, blocks

SIZES = {"tiny-ltx2": "128x64x17", "tiny-wan": "64x32x9"}


class Written(TorchDispatchMode):
    """How often which operation writes into a tensor that is there."""

    def __init__(self):
        super().__init__()
        self.names = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func._schema.is_mutable:
            self.names[func._schema.name.removeprefix("aten::")] += 1
        return func(*args, **kwargs or {})


def model(name, dtype):
    torch.manual_seed(1)
    transformer = training_models.build(training_models.MODELS[name], dtype, "cpu")
    for module in transformer.modules():  # At 1 they would hide a swapped channel.
        if hasattr(module, "norm_q"):
            torch.nn.init.normal_(module.norm_q.weight)
            torch.nn.init.normal_(module.norm_k.weight)
    return transformer


def learnt(transformer, name, dtype):
    """The loss of a batch, and the gradients of all weights."""
    kind = training_models.MODELS[name]
    given, wanted = training_models.inputs(kind, training_models.Size.of(SIZES[name]), dtype, "cpu", per_token=False)
    loss = training_models.loss(transformer, given, wanted)
    loss.backward()
    found = {name: each.grad for name, each in transformer.named_parameters() if each.grad is not None}
    transformer.zero_grad(set_to_none=True)
    return loss.item(), found


@pytest.mark.parametrize(("dtype", "loosely"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)], ids=["fp32", "bf16"])
@pytest.mark.parametrize(
    ("name", "attentions", "written"), [("tiny-ltx2", 2 * 6, "addcmul_"), ("tiny-wan", 2 * 2, "copy_")]
)
def test_a_model_says_and_learns_what_it_does_with_diffusers_own_attention(name, attentions, written, dtype, loosely):
    transformer = model(name, dtype)
    with Written() as before:
        loss, gradients = learnt(transformer, name, dtype)
    assert attention_processors.install(transformer) == attentions
    with Written() as now:
        ours, found = learnt(transformer, name, dtype)
    assert now.names[written] < before.names[written]
    assert ours == pytest.approx(loss, rel=loosely)
    assert found.keys() == gradients.keys()
    for each, gradient in gradients.items():
        assert (found[each] - gradient).norm() <= loosely * gradient.norm(), each


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # Dynamo's own.
@pytest.mark.parametrize("name", SIZES)
def test_its_blocks_compile_whole(name):
    transformer = model(name, torch.float32)
    loss, _ = learnt(transformer, name, torch.float32)
    attention_processors.install(transformer)
    for block in blocks.of(transformer):
        block.compile(fullgraph=True, backend="aot_eager")
    assert learnt(transformer, name, torch.float32)[0] == pytest.approx(loss, rel=1e-5)
