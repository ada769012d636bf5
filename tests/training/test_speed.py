import pytest
import torch

pytest.importorskip("diffusers")

from pipeline.training import blocks, quantizing, speed
from pipeline.training.speed import Setting

FP8 = Setting(
    base="fp8", checkpointing="none", checkpointed=0, compile=False, attention="auto", optimizer="adamw",
    estimated_bytes=0, words="",
)  # fmt: skip


def transformer() -> torch.nn.Module:
    from diffusers import WanTransformer3DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return WanTransformer3DModel(
            num_layers=1, num_attention_heads=2, attention_head_dim=16, ffn_dim=64, text_dim=32, freq_dim=32
        )


def storages(module: torch.nn.Module) -> set[str]:
    return {each.storage for each in blocks.of(module).modules() if isinstance(each, quantizing.Quantized)}


def test_fp8_is_only_stored_where_the_device_does_not_multiply_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing, "multiplies_fp8", lambda device: False)
    model = transformer()
    speed.prepare(model, FP8)
    assert storages(model) == {"fp8-storage"}
    assert "does not multiply fp8" in speed.finish(model, FP8)


def test_it_is_the_training_s_device_that_has_to_multiply_fp8_not_the_one_that_the_base_is_loaded_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quantizing, "multiplies_fp8", lambda device: torch.device(device).type == "cpu")
    model = transformer()
    speed.prepare(model, FP8, torch.device("cuda", 0))
    assert storages(model) == {"fp8-storage"}
    model = transformer()
    speed.prepare(model, FP8)
    assert storages(model) == {"fp8"}


def test_fp8_is_multiplied_where_the_device_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantizing, "multiplies_fp8", lambda device: True)
    model = transformer()
    speed.prepare(model, FP8)
    assert storages(model) == {"fp8"}
    assert speed.finish(model, FP8) == ""


def test_weights_in_fp8_that_lie_there_for_both_ways_give_the_same_to_the_last_bit() -> None:
    found = []
    for is_turned in (False, True):
        torch.manual_seed(0)
        layers = torch.nn.ModuleList([torch.nn.Linear(32, 48).bfloat16()])
        quantizing.quantize(layers, "fp8", is_turned=is_turned)
        x = torch.randn(20, 32, generator=torch.Generator().manual_seed(1)).bfloat16().requires_grad_()
        output = layers[0](x)
        (output.float() ** 2).sum().backward()
        found.append((output, x.grad))
        assert (layers[0].turned is not None) == is_turned
    for one, other in zip(*found, strict=True):
        assert one.equal(other)
