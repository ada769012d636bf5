"""Which attention kernel is fastest is measured on what is here; a CPU has fused attention and the plain formula."""

import torch
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from pipeline.training import attention
from pipeline.training.attention import Attention, Timed

SMALL = Attention(batch=1, heads=2, tokens=64, channels=16)


def test_every_kernel_is_tried_and_the_fastest_that_can_stands_first():
    found = attention.measure(SMALL, torch.float32, "cpu")
    assert {each.name for each in found} == {"cudnn", "flash", "efficient", "math"}
    seconds = [each.seconds for each in found if each.seconds is not None]
    assert seconds == sorted(seconds)
    assert {"flash", "math"} <= {each.name for each in found[: len(seconds)]}
    assert all(each.why for each in found[len(seconds) :])


def test_the_plain_formula_is_not_tried_where_its_matrix_of_scores_would_be_huge():
    found = attention.measure(SMALL._replace(tokens=4097), torch.float32, "cpu")
    assert Timed("math", None, "4097 tokens") in found


def test_what_was_found_is_said_with_reasons():
    found = [Timed("cudnn", 0.0041), Timed("flash", 0.006), Timed("math", None, "4290 tokens")]
    assert attention.in_words(found) == "cudnn 4.1 ms, flash 6.0 ms; not math (4290 tokens)"


def test_a_kernel_that_cannot_take_an_input_leaves_it_to_the_others():
    kernels = attention.order("flash")
    assert kernels[0] == SDPBackend.FLASH_ATTENTION
    assert len(set(kernels)) == 4
    query = torch.randn(1, 2, 8, 16)
    mask = torch.ones(1, 2, 8, 8, dtype=torch.bool)
    with sdpa_kernel(kernels, set_priority=True):
        assert functional.scaled_dot_product_attention(query, query, query, attn_mask=mask).isfinite().all()
