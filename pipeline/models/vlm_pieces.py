"""Attention of eyes and ears within the pieces of one long row (windows, pictures, stretches of sound), all at once.

Without flash-attn, transformers gives PyTorch one piece after the other: 7,000 calls for 32 pictures of 448 x 448 in
Qwen2.5-VL, in each of which a GPU waits for the processor. Here pieces of equal length are a batch, whatever their
number. H: heads, S: places in the row, D: width of a head, N: pieces, L: places in each.
"""

from __future__ import annotations

import inspect
from typing import Any

NAME = "flash_pieces"
"""Where an attention's name has "flash" in it, these models hand over the whole row with its pieces' borders."""


def attend(
    module: Any,
    query_1HSD: Any,
    key_1HSD: Any,
    value_1HSD: Any,
    attention_mask: Any = None,
    *,
    cu_seq_lens_q: Any,
    scaling: float | None = None,
    **_: object,
) -> tuple[Any, None]:
    """As transformers calls an attention: gives [1, S, H, D]. `cu_seq_lens_q`: where pieces begin, and S."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    if attention_mask is not None:
        raise ValueError(f"{type(module).__name__} masks what its pieces see, which this attention does not know")
    borders = cu_seq_lens_q.long()
    lengths_N = borders.diff()
    rows_HSD = query_1HSD[0], key_1HSD[0], value_1HSD[0]
    out_HSD = torch.empty_like(rows_HSD[0])
    lengths = [length for length in lengths_N.unique().tolist() if length]
    for length in lengths:
        places: Any = slice(None)
        if len(lengths) > 1:
            starts_N = borders[:-1][lengths_N == length]
            places = (starts_N[:, None] + torch.arange(length, device=starts_N.device)).flatten()
        query, key, value = (
            row_HSD[:, places].reshape(len(row_HSD), -1, length, row_HSD.shape[-1]).transpose(0, 1)
            for row_HSD in rows_HSD
        )
        seen_NHLD = scaled_dot_product_attention(query, key, value, scale=scaling)
        out_HSD[:, places] = seen_NHLD.transpose(0, 1).flatten(1, 2)
    return out_HSD.transpose(0, 1)[None].contiguous(), None


def install(model: Any) -> None:
    """Lets the parts of an opened model that look at pieces of a row by PyTorch's attention do so by `attend`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, attend)
    words = model.config.get_text_config()
    for part in model.modules():
        its = getattr(part, "config", None)
        takes_pieces = "cu_seqlens" in inspect.signature(part.forward).parameters
        if takes_pieces and its is not None and its is not words and its._attn_implementation == "sdpa":
            its._attn_implementation = NAME
