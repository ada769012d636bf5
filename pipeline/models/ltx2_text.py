"""A text as LTX-2 takes it: all layers of Gemma's hidden states, before and behind the connectors.

Tensors are named by their shape: B texts, L tokens, D channels of a token, N layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

TEXT_TOKENS = 1024
"""What the connectors take of each text (LTX2Pipeline's max_sequence_length)."""

BLOCK_TOKENS = 64
"""Texts are padded to multiples of this before the text encoder, so that it meets few shapes."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """One text, on the CPU, in bf16. `video_LD` and `audio_LD` are what Lightricks' trainer keeps: the features before
    the connectors, padded on the left, with `mask_L` (int64, 1 is a token). For LTX-2.0 both are the same.

    `connected_*` are what the transformer takes: behind the connectors, whose registers stand in for padding, so that
    no mask is needed. `cut_off` counts the tokens that did not fit.
    """

    video_LD: Tensor
    audio_LD: Tensor
    mask_L: Tensor
    connected_video_LD: Tensor
    connected_audio_LD: Tensor
    cut_off: int


EmbedTexts: TypeAlias = "Callable[[Sequence[str]], list[Embedded]]"


def embedding(tokenizer: Any, gemma: Any, connectors: Any, device: str) -> EmbedTexts:
    """The function that embeds texts together, by models that are loaded."""
    import torch

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> list[Embedded]:
        rows = [tokenizer(text.strip(), add_special_tokens=True, verbose=False).input_ids for text in texts]
        ids_BL, mask_BL = _padded([row[:TEXT_TOKENS] for row in rows], tokenizer.pad_token_id)
        places_BL = torch.arange(TEXT_TOKENS - ids_BL.shape[1], TEXT_TOKENS).expand_as(ids_BL)
        # The language model's head, a quarter of a million words for each token, is not asked.
        states = gemma.model(
            input_ids=ids_BL.to(device),
            attention_mask=mask_BL.to(device),
            position_ids=places_BL.to(device),
            output_hidden_states=True,
            use_cache=False,
        ).hidden_states
        lacking = TEXT_TOKENS - ids_BL.shape[1]
        states_BLDN = torch.nn.functional.pad(torch.stack(states, dim=-1), (0, 0, 0, 0, lacking, 0))
        mask_BL = torch.nn.functional.pad(mask_BL, (lacking, 0))
        features = _inputs(connectors.video_connector), _inputs(connectors.audio_connector)
        with features[0] as video, features[1] as audio:
            video_BLD, audio_BLD, kept_BL = connectors(states_BLDN, mask_BL.to(device), padding_side="left")
        assert bool(kept_BL.all())  # Registers stand where padding stood.
        before = [stored(each) for each in (video[0], audio[0])]
        behind = [stored(each) for each in (video_BLD, audio_BLD)]
        return [
            Embedded(
                video_LD=before[0][index],
                audio_LD=before[1][index],
                mask_L=mask_BL[index],
                connected_video_LD=behind[0][index],
                connected_audio_LD=behind[1][index],
                cut_off=max(len(row) - TEXT_TOKENS, 0),
            )
            for index, row in enumerate(rows)
        ]

    return embed


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Ids and masks (int64), padded on the left to the longest row, rounded up."""
    import torch

    length = min(TEXT_TOKENS, -(-max(map(len, rows)) // BLOCK_TOKENS) * BLOCK_TOKENS)
    ids = [[pad] * (length - len(row)) + list(row) for row in rows]
    mask = [[0] * (length - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)


@contextmanager
def _inputs(module: Any) -> Iterator[list[Tensor]]:
    """The first argument of each call of `module` meanwhile.

    The connectors compute the features that Lightricks' trainer keeps on their way, and do not return them.
    """
    seen: list[Tensor] = []
    hook = module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        hook.remove()


def stored(tensor: Tensor) -> Tensor:
    """As files keep it: bf16, on the CPU."""
    import torch

    return tensor.to("cpu", torch.bfloat16)
