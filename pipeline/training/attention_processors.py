"""diffusers' attention with the same result, made for the compiler.

Queries, keys and values of the same inputs have one thin product for their LoRAs. And rotary embedding is one pass:
diffusers writes each half of a turned pair into a tensor of its own making, which compiled is a whole tensor in fp32
written, written over and read again, forward and backward, beside what must be moved. Here a pair is turned as
x cos + swapped(x) sin, elementwise, which the compiler joins with the normalisation before it.

Shapes by name: B batch, T tokens, H heads, C channels of a head, D = H * C.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipeline.training.adapters import together


def install(transformer: nn.Module) -> int:
    """Let the attentions of LTX-2 (its "split" pairs) and Wan2.1 work so; how many there are.

    Attentions with a mask, a gate or pictures beside the text go on as diffusers has them.
    """
    ours = _processors()
    found = [each for each in transformer.modules() if type(getattr(each, "processor", None)) in ours]
    for attention in found:
        attention.processor = ours[type(attention.processor)]()
    return len(found)


def turned_halves(x_BTD: Tensor, cos_BHTC: Tensor, sin_BHTC: Tensor) -> Tensor:
    """Channel c of a head's first half is a pair with channel c of its second; `cos` and `sin` have C / 2 channels."""
    heads, half = cos_BHTC.shape[1], cos_BHTC.shape[3]
    pairs = torch.unflatten(x_BTD, -1, (heads, 2, half)).float()
    cos, sin = (each.transpose(1, 2).unsqueeze(-2) for each in (cos_BHTC, sin_BHTC))
    return (pairs * cos + pairs.flip(-2) * (sin * _signs(x_BTD).unsqueeze(-1))).flatten(2).to(x_BTD.dtype)


def turned_neighbours(x_BTD: Tensor, cos_BTHC: Tensor, sin_BTHC: Tensor) -> Tensor:
    """Channels 2c and 2c + 1 of a head are a pair; `cos` and `sin` have each value twice, for one head or for all."""
    pairs, cos, sin = (torch.unflatten(each, -1, (-1, 2)) for each in (_by_head(x_BTD, cos_BTHC), cos_BTHC, sin_BTHC))
    return (pairs * cos + pairs.flip(-1) * (sin * _signs(x_BTD))).flatten(2).to(x_BTD.dtype)


def _by_head(x_BTD: Tensor, like_BTHC: Tensor) -> Tensor:
    return torch.unflatten(x_BTD, -1, (-1, like_BTHC.shape[-1]))


def _signs(like: Tensor) -> Tensor:
    """-1 for the first of a pair, 1 for the second; computed, so that the compiler need not read it."""
    return torch.arange(2, device=like.device) * 2 - 1


def _projected(attention: Any, x_BTD: Tensor, other_BTD: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Queries of `x`, keys and values of `other` (None: of `x`, too); queries and keys normalised."""
    if other_BTD is None:
        query, key, value = together([attention.to_q, attention.to_k, attention.to_v], x_BTD)
    else:
        query = attention.to_q(x_BTD)
        key, value = together([attention.to_k, attention.to_v], other_BTD)
    return attention.norm_q(query), attention.norm_k(key), value


def _attended(attention: Any, query_BTD: Tensor, key_BTD: Tensor, value_BTD: Tensor) -> Tensor:
    query, key, value = (
        torch.unflatten(each, 2, (attention.heads, -1)).transpose(1, 2) for each in (query_BTD, key_BTD, value_BTD)
    )
    out_BTD = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
    projection, dropout = attention.to_out
    told_BTD: Tensor = dropout(projection(out_BTD))
    return told_BTD


@functools.cache
def _processors() -> dict[type, type]:
    """Ours by diffusers' own; made here because diffusers takes seconds to import."""
    from diffusers.models.transformers.transformer_ltx2 import LTX2AudioVideoAttnProcessor
    from diffusers.models.transformers.transformer_wan import WanAttnProcessor

    class Halves(LTX2AudioVideoAttnProcessor):
        def __call__(
            self,
            attn: Any,
            hidden_states: Tensor,
            encoder_hidden_states: Tensor | None = None,
            attention_mask: Tensor | None = None,
            query_rotary_emb: tuple[Tensor, Tensor] | None = None,
            key_rotary_emb: tuple[Tensor, Tensor] | None = None,
        ) -> Tensor:
            if attention_mask is not None or attn.to_gate_logits is not None or attn.rope_type != "split":
                return super().__call__(
                    attn, hidden_states, encoder_hidden_states, attention_mask, query_rotary_emb, key_rotary_emb
                )
            query, key, value = _projected(attn, hidden_states, encoder_hidden_states)
            if query_rotary_emb is not None:
                query = turned_halves(query, *query_rotary_emb)
                key = turned_halves(key, *(key_rotary_emb or query_rotary_emb))
            return _attended(attn, query, key, value)

    class Neighbours(WanAttnProcessor):
        def __call__(
            self,
            attn: Any,
            hidden_states: Tensor,
            encoder_hidden_states: Tensor | None = None,
            attention_mask: Tensor | None = None,
            rotary_emb: tuple[Tensor, Tensor] | None = None,
        ) -> Tensor:
            if attention_mask is not None or attn.add_k_proj is not None or attn.fused_projections:
                return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
            query, key, value = _projected(attn, hidden_states, encoder_hidden_states)
            if rotary_emb is not None:
                query, key = (turned_neighbours(each, *rotary_emb) for each in (query, key))
            return _attended(attn, query, key, value)

    return {LTX2AudioVideoAttnProcessor: Halves, WanAttnProcessor: Neighbours}
