"""Attention within pieces of a row gives what it gives piece by piece."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from pipeline.models.vlm_pieces import attend


@pytest.mark.parametrize("lengths", [(4, 4, 4), (3, 5, 3, 0, 1, 5), (7,)])
def test_pieces_attend_to_themselves_only_whatever_their_lengths(lengths):
    torch.manual_seed(0)
    borders = torch.tensor([0, *lengths]).cumsum(0).int()
    rows = [torch.randn(1, 2, sum(lengths), 8) for _ in range(3)]
    found, _ = attend(None, *rows, cu_seq_lens_q=borders, scaling=0.3)
    pieces = zip(*(row.split(lengths, dim=2) for row in rows), strict=True)
    expected = torch.cat([scaled_dot_product_attention(*piece, scale=0.3) for piece in pieces], dim=2)
    assert torch.allclose(found, expected.transpose(1, 2), atol=1e-6)


def test_a_mask_that_it_does_not_know_is_an_error():
    row = torch.randn(1, 2, 4, 8)
    with pytest.raises(ValueError, match="masks what its pieces see"):
        attend(None, row, row, row, row, cu_seq_lens_q=torch.tensor([0, 4]))
