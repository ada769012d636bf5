"""A Wan2.1 of the true architecture and next to no size, with random weights: to try everything on a CPU, offline.

What decides shapes is as in Wan-AI/Wan2.1-T2V-1.3B-Diffusers: 16 latent channels with their means and deviations, 8x8x4
compression, patches of 1x2x2, 512 text tokens, and the names of every module. Only widths and depths are small.
"""

from __future__ import annotations

import importlib
import string
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import T5Tokenizer

SEED = 0
TEXT_DIM = 32
"""Channels of a text token; 4096 in the true model."""


def build(folder: Path) -> None:
    """Write the model to `folder` in diffusers' layout, as `WanPipeline.from_pretrained` takes it; always the same."""
    import torch
    from transformers import UMT5Config, UMT5EncoderModel

    diffusers: Any = importlib.import_module("diffusers")  # It says nothing of its types.
    tokenizer = _tokenizer()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        text_encoder = UMT5EncoderModel(
            UMT5Config(
                vocab_size=len(tokenizer),
                d_model=TEXT_DIM,
                d_kv=8,
                d_ff=64,
                num_layers=2,
                num_heads=4,
                dropout_rate=0.0,
            )
        )
        vae = diffusers.AutoencoderKLWan(base_dim=2, num_res_blocks=1)
        # Sides of 32 and 64, so that quantised matrix products, which want multiples of 16, are tried as well.
        transformer = diffusers.WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, text_dim=TEXT_DIM, freq_dim=32, ffn_dim=64, num_layers=2
        )
    scheduler = diffusers.UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    diffusers.WanPipeline(tokenizer, text_encoder, vae, scheduler, transformer).save_pretrained(folder)


def _tokenizer() -> T5Tokenizer:
    """One token a character; those outside of ASCII are unknown."""
    from transformers import T5Tokenizer

    pieces = ["<pad>", "</s>", "<unk>", "▁", *string.digits, *string.ascii_letters, *string.punctuation]
    return T5Tokenizer(vocab=[(piece, 0.0 if piece[0] == "<" else -2.0) for piece in pieces], extra_ids=0)
