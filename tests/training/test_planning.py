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
