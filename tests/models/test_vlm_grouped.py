"""Heads that share a key ask together, and are told what each is told alone."""

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from pipeline.models.vlm_grouped import attend


def asked(places, keys=2, heads=6, seen=9):
    torch.manual_seed(0)
    module = torch.nn.Module()
    module.num_key_value_groups = heads // keys
    query, key, value = torch.randn(3, heads, places, 8), torch.randn(3, keys, seen, 8), torch.randn(3, keys, seen, 8)
    mask = torch.ones(3, 1, places, seen, dtype=torch.bool)
    mask[1, ..., :4] = False  # Padded on the left.
    return module, query, key, value, mask


def test_one_token_of_padded_rows_is_told_the_same_without_copies_of_keys():
    module, query, key, value, mask = asked(places=1)
    expected, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    with torch.profiler.profile() as seen:
        found, _ = attend(module, query, key, value, mask, dropout=0.0, scaling=0.3)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)
    assert not [each for each in seen.key_averages() if each.key in {"aten::repeat_interleave", "aten::clone"}]


@pytest.mark.parametrize("case", ["several tokens", "a key for each head", "no mask"])
def test_all_else_is_left_to_transformers(case):
    module, query, key, value, mask = asked(
        places=4 if case == "several tokens" else 1, keys=6 if case == "a key for each head" else 2
    )
    mask = None if case == "no mask" else mask
    found, _ = attend(module, query, key, value, mask, scaling=0.3)
    expected, _ = sdpa_attention_forward(module, query, key, value, mask, scaling=0.3)
    assert found.equal(expected)
