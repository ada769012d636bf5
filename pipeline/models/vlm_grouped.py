"""Attention of one new token of each row, when several heads share one key and value: no head has its copy of them.

transformers gives PyTorch keys and values once for each head that asks, seven times over in Qwen2.5-VL, where rows are
padded and the model is compiled. One token asks of all that is before it, so that the heads that share a key can
ask as if they were tokens. B: rows, H: heads, G: keys, S: places, D: width of a head.
"""

from __future__ import annotations

from typing import Any


def attend(
    module: Any, query_BHSD: Any, key_BGSD: Any, value_BGSD: Any, attention_mask: Any = None, **asked: Any
) -> tuple[Any, None]:
    """As transformers calls its "sdpa", and with the same result: [B, S, H, D]."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, places, width = query_BHSD.shape
    keys = key_BGSD.shape[1]
    others = {name for name, value in asked.items() if value is not None and name in _CHANGING}
    if places != 1 or keys == heads or attention_mask is None or attention_mask.shape[1] != 1 or others:
        return sdpa_attention_forward(module, query_BHSD, key_BGSD, value_BGSD, attention_mask, **asked)
    shared_BGRD = query_BHSD.reshape(rows, keys, heads // keys, width)
    out_BGRD = scaled_dot_product_attention(
        shared_BGRD, key_BGSD, value_BGSD, attn_mask=attention_mask, scale=asked.get("scaling")
    )
    return out_BGRD.reshape(rows, 1, heads, -1), None


_CHANGING = {"position_bias", "softcap", "cache"}
"""What some families ask for besides: left to transformers."""


def install() -> None:
    """For all models of this process."""
    from transformers import AttentionInterface

    AttentionInterface.register("sdpa", attend)
