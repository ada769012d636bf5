"""Qwen2.5-VL-7B's architecture with random weights, and a tiny one, as checkpoints that the product opens."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers

from benchmarks.card import made_on

MARKS = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
    "{% if c.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ c.text }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# Qwen/Qwen2.5-VL-7B-Instruct, config.json: 8,292,166,656 parameters.
FULL: dict[str, Any] = {
    "text": {
        "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "max_position_embeddings": 128_000, "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    },
    "vision": {
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584,
        "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2,
    },
    "words": 151_665,
}  # fmt: skip
TINY: dict[str, Any] = {
    "text": {
        "vocab_size": 640, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]},
    },
    "vision": {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1],
    },
    "words": 600,
}  # fmt: skip


def save(folder: Path, sizes: dict[str, Any], device: str) -> None:
    """Makes the checkpoint on the device and writes it into `folder`: bfloat16 from a GPU, float32 from a CPU."""
    import transformers

    words = tokenizer(sizes["words"])
    with made_on(device, torch.bfloat16 if device == "cuda" else torch.float32):
        torch.manual_seed(0)
        model = transformers.Qwen2_5_VLForConditionalGeneration(config(sizes, words))
    model.save_pretrained(folder)
    taking: Any = transformers
    pictures, videos = taking.Qwen2VLImageProcessor(), taking.Qwen2VLVideoProcessor()
    taking.Qwen2_5_VLProcessor(pictures, words, videos, chat_template=CHAT).save_pretrained(folder)


def config(sizes: dict[str, Any], words: Any) -> Any:
    import transformers

    ends = {"bos_token_id": None, "eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id}
    marks = {
        "image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>",
    }  # fmt: skip
    return transformers.Qwen2_5_VLConfig(
        text_config={**sizes["text"], **ends},
        vision_config=dict(sizes["vision"]),
        tie_word_embeddings=False,
        **{name: words.convert_tokens_to_ids(mark) for name, mark in marks.items()},
    )


def tokenizer(size: int) -> Any:
    """Of Qwen's kind and of `size` tokens, each of which is one character, so that a text of so many characters is so
    many tokens: ASCII for what is asked, Han for what a random model answers.
    """
    import transformers

    taking: Any = transformers
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *MARKS.values()]
    characters = [*map(chr, range(128)), *map(chr, range(0x4E00, 0xA000)), *map(chr, range(0x20000, 0x40000))]
    spelled = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    pieces = [spelled.pre_tokenize_str(each)[0][0] for each in characters[: size - len(special)]]
    words = taking.Qwen2Tokenizer(
        vocab={piece: index for index, piece in enumerate([*pieces, *special])},
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        extra_special_tokens=dict(MARKS),
    )
    words.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    return words
