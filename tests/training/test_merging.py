import pytest
import torch

from pipeline.training.export import About
from pipeline.training.merging import Lora, by_block, merge, rank_of

ABOUT = About(kind="wan21", base="someone/wan", revision="abc", trigger="spies", dataset="d1", step=20)
MODULES = ("blocks.0.attn1.to_q", "blocks.1.ffn.net.2", "blocks.10.attn1.to_q")


def lora(name="a.safetensors", rank=2, seed=0, modules=MODULES, **about):
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for module in modules:
        state[f"{module}.lora_A.weight"] = torch.randn(rank, 6, generator=generator)
        state[f"{module}.lora_B.weight"] = torch.randn(8, rank, generator=generator)
    return Lora(name, state, ABOUT.model_copy(update=about))


def added(state, module):
    return state[f"{module}.lora_B.weight"] @ state[f"{module}.lora_A.weight"]


def test_ranks_side_by_side_are_exactly_the_weighted_sum():
    a, b = lora(), lora("b.safetensors", rank=3, seed=1, trigger="wuxia", step=40)
    made = merge([a, b], [0.5, -2.0])
    for module in MODULES:
        expected = 0.5 * added(a.state, module) - 2 * added(b.state, module)
        torch.testing.assert_close(added(made.state, module), expected)
    assert (rank_of(made.state), made.kept) == (5, 1.0)
    assert made.about.trigger == "spies wuxia"
    assert made.about.merged == (
        "0.5 x a.safetensors (trigger spies, step 20, d1)",
        "-2 x b.safetensors (trigger wuxia, step 40, d1)",
    )


def test_a_smaller_rank_is_the_best_there_is_and_says_what_it_holds():
    a, b = lora(), lora("b.safetensors", rank=3, seed=1)
    made = merge([a, b], [1.0, 1.0], rank=2)
    lost = whole = 0.0
    for module in MODULES:
        total = added(a.state, module) + added(b.state, module)
        values = torch.linalg.svdvals(total)
        error = (added(made.state, module) - total).square().sum()
        torch.testing.assert_close(error, values[2:].square().sum(), rtol=1e-3, atol=1e-4)
        lost, whole = lost + float(error), whole + float(values.square().sum())
    assert rank_of(made.state) == 2
    assert made.kept == pytest.approx(1 - lost / whole, abs=1e-4)


def test_a_rank_above_the_sums_changes_nothing():
    assert rank_of(merge([lora(), lora(seed=1)], [1, 1], rank=64).state) == 4


@pytest.mark.parametrize(
    ("other", "weights", "words"),
    [
        (lora("b", base="someone/else"), [1, 1], r"someone/wan \(abc\) and b of someone/else \(abc\)"),
        (lora("b", revision="def"), [1, 1], "one model at one revision"),
        (lora("b", modules=MODULES[:2]), [1, 1], "different `targets`: 1 modules .* blocks.10.attn1.to_q in a"),
        (lora("b"), [1], "2 LoRAs need 2 weights, not 1"),
    ],
)
def test_what_does_not_belong_together_is_refused(other, weights, words):
    with pytest.raises(ValueError, match=words):
        merge([lora(), other], weights)


def test_norms_are_of_what_is_added_and_blocks_come_in_their_order():
    found = by_block(lora().state)
    assert [each.block for each in found] == ["0", "1", "10"]
    assert found[0].norm == pytest.approx(float(added(lora().state, MODULES[0]).norm()), rel=1e-4)
    assert set(found[1].layers) == {"ffn"}
