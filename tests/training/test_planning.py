import pytest

pytest.importorskip("diffusers")

from pipeline.training.planning import Adapters, Card, Shape, Speed, plan

LTX2 = {"num_layers": 48, "rope_type": "split"}
SHAPE = Shape(1, 4290, 101, 1024)
LORA = Adapters(32, ("to_q", "to_k", "to_v", "to_out.0"))


def card(gigabytes: float) -> Card:
    return Card("a card", "cuda", int(gigabytes * 1e9), int(gigabytes * 1e9), (8, 9))


def test_ltx2_fits_48_gb_in_bf16() -> None:
    setting = plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(48))
    assert setting.base == "bf16"
    assert setting.estimated_bytes < 48e9


def test_estimates_still_tell_the_peaks_that_their_constants_were_set_on() -> None:
    selective = plan("ltx2", LTX2, [SHAPE], LORA, Speed(checkpointing="selective"), card(85))
    assert selective.estimated_bytes == pytest.approx(47.19e9, rel=0.1)
    fp8 = plan("ltx2", LTX2, [SHAPE], LORA, Speed(base="fp8", checkpointing="none"), card(85))
    assert fp8.estimated_bytes == pytest.approx(66.11e9, rel=0.1)


def test_what_cannot_fit_is_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match=r"take .* GB even with the base in int8.*has room for 14"):
        plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(16))


def test_several_gpus_share_a_base_that_fits_none_of_them_whole() -> None:
    wan14 = {"num_layers": 40}
    shape, linears = Shape(1, 20_280, 0, 512), Adapters(32, ("to_q", "to_k", "to_v", "to_out.0"))
    assert plan("wan21", wan14, [shape], linears, Speed(), card(34)).base == "int8"
    shared = plan("wan21", wan14, [shape], linears, Speed(), card(34), gpus=4)
    assert (shared.base, shared.is_sharded) == ("bf16", True)
    assert "a part of 4 on each GPU" in shared.words
    assert not plan("wan21", wan14, [shape], linears, Speed(), card(80), gpus=4).is_sharded


def test_where_more_gpus_would_do_it_says_so() -> None:
    with pytest.raises(ValueError, match="gpus = 4"):
        plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(21))


def test_a_base_in_8_bits_is_never_in_parts() -> None:
    with pytest.raises(ValueError, match="cannot be sharded: set"):
        plan("ltx2", LTX2, [SHAPE], LORA, Speed(base="int8", sharding="on"), card(80), gpus=2)


# (model, shape, targets, speed, peak on an H100 80GB in GB, as benchmarks/gpu-log.md has it)
WAN = {"num_layers": 30, "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960}
ALL = Adapters(32, (*LORA.targets, "ffn.net.0.proj", "ffn.net.2"))
MEASURED = {
    "LTX-2 704x480x97 selective": ("ltx2", LTX2, SHAPE, LORA, {"checkpointing": "selective"}, 47.3),
    "LTX-2 704x480x97 full": ("ltx2", LTX2, SHAPE, LORA, {"checkpointing": "full"}, 43.5),
    "LTX-2 704x480x97 fp8": ("ltx2", LTX2, SHAPE, LORA, {"base": "fp8", "checkpointing": "none"}, 66.0),
    "LTX-2 960x544x49": ("ltx2", LTX2, Shape(1, 3570, 51, 1024), LORA, {"checkpointing": "none"}, 77.1),
    "Wan 832x480x49": ("wan21", WAN, Shape(1, 20_280, 0, 512), ALL, {"checkpointing": "none"}, 54.5),
    "Wan 832x480x81": ("wan21", WAN, Shape(1, 32_760, 0, 512), ALL, {"checkpointing": "selective"}, 17.0),
}


@pytest.mark.parametrize("name", MEASURED)
def test_estimates_are_within_a_tenth_of_every_peak_measured_on_a_gpu(name: str) -> None:
    kind, config, shape, adapters, speed, peak = MEASURED[name]
    setting = plan(kind, config, [shape], adapters, Speed(**speed), card(200))
    assert setting.estimated_bytes == pytest.approx(peak * 1e9, rel=0.1)
