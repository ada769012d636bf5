"""LoRA's matrices in the base's precision: what is learnt with copies is what is learnt without, to the last bit."""

import contextlib

import pytest
import torch

from benchmarks import training_models
from pipeline.training import lora, speed
from pipeline.training.copies import Copies
from pipeline.training.speed import Setting

SIZES = {"tiny-ltx2": "128x64x17", "tiny-wan": "64x32x9"}
PLAIN = Setting(
    base="bf16", checkpointing="none", checkpointed=0, compile=False, attention="auto", optimizer="adamw",
    estimated_bytes=0, words="",
)  # fmt: skip


def adapted(name, dtype):
    """A small model with a LoRA that says something, and its gradients' places."""
    torch.manual_seed(1)
    kind = training_models.MODELS[name]
    transformer = training_models.build(kind, dtype, "cpu")
    speed.prepare(transformer, PLAIN)
    parameters = lora.attach(transformer, rank=4, alpha=8, targets=kind.targets)
    for each in parameters.values():
        torch.nn.init.normal_(each, std=0.05)
        each.grad = torch.zeros_like(each)
    speed.finish(transformer, PLAIN)
    return transformer, parameters


def loss(transformer, name, dtype, seed=0):
    kind, size = training_models.MODELS[name], training_models.Size.of(SIZES[name])
    given, wanted = training_models.inputs(kind, size, dtype, "cpu", per_token=False, seed=seed)
    return training_models.loss(transformer, given, wanted)


@pytest.mark.parametrize("name", SIZES)
def test_gradients_of_several_batches_are_those_without_copies(name):
    def learnt(is_copied):
        transformer, parameters = adapted(name, torch.bfloat16)
        copies = Copies(transformer, torch.bfloat16) if is_copied else None
        for seed in (1, 2):
            with copies.in_use() if copies else contextlib.nullcontext():
                loss(transformer, name, torch.bfloat16, seed).backward()
        return {path: each.grad for path, each in parameters.items()}

    with_copies, without = learnt(True), learnt(False)
    assert all(each.abs().sum() > 0 for each in without.values())
    for path, gradient in without.items():
        assert with_copies[path].equal(gradient), path


def test_whoever_makes_no_gradients_sees_the_matrices_as_they_are_now():
    transformer, parameters = adapted("tiny-wan", torch.bfloat16)
    copies = Copies(transformer, torch.bfloat16)
    with copies.in_use():
        pass
    for each in parameters.values():
        each.data.zero_()
    with torch.no_grad():
        now = loss(transformer, "tiny-wan", torch.bfloat16)
        transformer.disable_adapters()
        assert now.equal(loss(transformer, "tiny-wan", torch.bfloat16))


def test_of_a_batch_that_fails_nothing_is_added():
    transformer, parameters = adapted("tiny-wan", torch.bfloat16)
    copies = Copies(transformer, torch.bfloat16)

    def fail():
        with copies.in_use():
            loss(transformer, "tiny-wan", torch.bfloat16).backward()
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(torch.OutOfMemoryError):
        fail()
    assert not any(each.grad.any() for each in parameters.values())
    with copies.in_use():
        loss(transformer, "tiny-wan", torch.bfloat16).backward()
    fresh, expected = adapted("tiny-wan", torch.bfloat16)
    loss(fresh, "tiny-wan", torch.bfloat16).backward()
    assert all(parameters[path].grad.equal(each.grad) for path, each in expected.items())


def test_a_base_in_fp32_needs_no_copies():
    transformer, parameters = adapted("tiny-wan", torch.float32)
    with Copies(transformer, torch.float32).in_use():
        loss(transformer, "tiny-wan", torch.float32).backward()
    assert all(each.grad.any() for each in parameters.values())
    assert not any(each.copy is not None for each in transformer.modules() if isinstance(each, lora.Half))


def test_they_are_no_part_of_what_is_saved():
    transformer, _ = adapted("tiny-wan", torch.bfloat16)
    before = {path: each.clone() for path, each in lora.state(transformer).items()}
    with Copies(transformer, torch.bfloat16).in_use():
        assert lora.state(transformer).keys() == before.keys()
        assert all(each.equal(before[path]) for path, each in lora.state(transformer).items())
