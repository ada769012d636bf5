"""A small LTX-2 of the true architecture, with random weights: to try everything on a CPU, without a hub.

Kept true, so that whatever runs on it runs on LTX-2: both modalities and their cross attention, split RoPE, connectors
with 128 registers, 1024 tokens of text padded on the left, the VAEs' compression (32 x 32 x 8 to 128 channels; mel to
8 channels of 16 bins) and their own statistics, mel to a stereo wave of 24 kHz. What it makes of them is noise.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SEED = 2

TEXT_DIM = 32
"""Channels of the text encoder; the connectors' heads must make up the same."""

TEXT_LAYERS = 2

TEXT_TOKENS = 1024


def build(folder: Path) -> None:
    """Write the whole pipeline to an empty `folder`, as `LTX2Pipeline.save_pretrained` does."""
    import torch

    diffusers: Any = importlib.import_module("diffusers")  # It says nothing of its types.
    tokenizer = tokenizer_of_characters()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        pipeline = diffusers.LTX2Pipeline(
            # The scheduler's settings are those of Lightricks/LTX-2 on the hub.
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(
                use_dynamic_shifting=True,
                base_shift=0.95,
                max_shift=2.05,
                base_image_seq_len=1024,
                max_image_seq_len=4096,
                shift_terminal=0.1,
            ),
            vae=video_vae(),
            audio_vae=audio_vae(),
            tokenizer=tokenizer,
            text_encoder=text_encoder(tokenizer),
            connectors=connectors(),
            transformer=_transformer(),
            vocoder=_vocoder(),
        )
    pipeline.save_pretrained(folder)


def _transformer() -> Any:
    diffusers: Any = importlib.import_module("diffusers")
    return diffusers.LTX2VideoTransformer3DModel(
        num_layers=2,
        num_attention_heads=2,
        attention_head_dim=16,
        cross_attention_dim=32,
        audio_num_attention_heads=2,
        audio_attention_head_dim=8,
        audio_cross_attention_dim=16,
        caption_channels=TEXT_DIM,
        rope_type="split",
    )


def connectors() -> Any:
    connectors: Any = importlib.import_module("diffusers.pipelines.ltx2.connectors")
    return connectors.LTX2TextConnectors(
        caption_channels=TEXT_DIM,
        text_proj_in_factor=TEXT_LAYERS + 1,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=TEXT_DIM // 2,
        video_connector_num_layers=1,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=TEXT_DIM // 2,
        audio_connector_num_layers=1,
        rope_type="split",
    )


def tokenizer_of_characters() -> Any:
    """Characters, and bytes for all others, behind Gemma's `<bos>`: no words are one token, other words other ones."""
    from tokenizers.processors import TemplateProcessing
    from transformers import GemmaTokenizer

    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *(chr(code) for code in range(33, 127))]
    tokenizer = GemmaTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)}, merges=[], model_max_length=TEXT_TOKENS
    )
    first = (tokenizer.bos_token, tokenizer.bos_token_id)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single=f"{first[0]} $A", special_tokens=[first])
    return tokenizer


def text_encoder(tokenizer: Any) -> Any:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config={
                "vocab_size": len(tokenizer),
                "hidden_size": TEXT_DIM,
                "intermediate_size": 2 * TEXT_DIM,
                "num_hidden_layers": TEXT_LAYERS,
                "num_attention_heads": 2,
                "num_key_value_heads": 1,
                "head_dim": 16,
                "query_pre_attn_scalar": 16,
                "sliding_window": TEXT_TOKENS,
                "max_position_embeddings": TEXT_TOKENS,
                "layer_types": ["sliding_attention", "full_attention"],
                "pad_token_id": tokenizer.pad_token_id,
                "bos_token_id": tokenizer.bos_token_id,
                "eos_token_id": tokenizer.eos_token_id,
            },
            # Never asked: prompts are text.
            vision_config={
                "hidden_size": 16,
                "intermediate_size": 16,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "image_size": 28,
                "patch_size": 14,
            },
            mm_tokens_per_image=4,
            boi_token_index=len(tokenizer) - 3,
            eoi_token_index=len(tokenizer) - 2,
            image_token_index=len(tokenizer) - 1,
        )
    )


def video_vae() -> Any:
    import torch

    diffusers: Any = importlib.import_module("diffusers")
    vae = diffusers.AutoencoderKLLTX2Video(
        block_out_channels=(8, 16, 32, 64),
        # The encoder is 128 channels wide before its first halving, whatever is asked: next to nothing happens there,
        # and patches of 8 pixels (4 in LTX-2) leave a quarter of the places. Both together are a tenth of the time.
        layers_per_block=(0, 1, 1, 1, 1),
        patch_size=8,
        downsample_type=("spatial", "temporal", "temporal", "spatiotemporal"),
        upsample_type=("spatiotemporal", "spatiotemporal", "temporal"),
        decoder_block_out_channels=(8, 16, 32),
        decoder_layers_per_block=(1, 1, 1, 1),
        # Its constructor reckons them from its blocks, and wrongly where those differ.
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    ).eval()
    with torch.no_grad():
        latents = vae.encode(_moving_picture()).latent_dist.mode()
        vae.latents_mean.copy_(latents.mean(dim=(0, 2, 3, 4)))
        vae.latents_std.copy_(latents.std(dim=(0, 2, 3, 4)))
    return vae


def audio_vae() -> Any:
    import torch

    diffusers: Any = importlib.import_module("diffusers")
    # `base_channels` is also the length of its statistics, which must be 8 channels of 16 bins. No residual blocks on
    # the way down: at 128 channels they would take longer than all the rest.
    vae = diffusers.AutoencoderKLLTX2Audio(base_channels=128, ch_mult=(1, 1, 1), num_res_blocks=0).eval()
    with torch.no_grad():
        mel = 3 * torch.randn(4, 2, 101, 64) - 5  # Logarithms, of quiet to loud.
        packed = vae.encode(mel).latent_dist.mode().transpose(1, 2).flatten(2)
        vae.latents_mean.copy_(packed.mean(dim=(0, 1)))
        vae.latents_std.copy_(packed.std(dim=(0, 1)))
    return vae


def _vocoder() -> Any:
    vocoder: Any = importlib.import_module("diffusers.pipelines.ltx2.vocoder")
    # Its rates are the true ones: 6 * 5 * 2 * 2 * 2 = 240 samples of 24 kHz for each of a hundred frames a second.
    return vocoder.LTX2Vocoder(hidden_channels=32, resnet_kernel_sizes=[3], resnet_dilations=[[1, 3, 5]])


def _moving_picture() -> Tensor:
    """(2, 3, 17, 96, 96) in [-1, 1]: soft blotches that change, with as much contrast as pictures have."""
    import torch

    coarse = torch.randn(2, 3, 5, 7, 7)
    return torch.nn.functional.interpolate(coarse, size=(17, 96, 96), mode="trilinear").mul(0.8).clamp(-1, 1)
