"""Ten families of multimodal models, tiny and random, each made offline with a processor and tokenizer of its own.

They have the shape of the real ones (towers, tokens, templates, file layout) and a thousandth of a thousandth of their
weights. What they say is noise that fits the grammar; what they are told is checked.
"""

import functools
import json
from pathlib import Path

WORDS = [
    "the quick brown fox jumps over the lazy dog",
    '{"speaker": "Anna", "text": "hello", "sure": true, "score": 10}',
    "system user assistant Describe the clip. Who is speaking? Bob, Anna or UNKNOWN?",
] * 50
CHAT = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}
VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 32}
PLAIN_VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
EARS = {
    "num_mel_bins": 128,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "d_model": 32,
    "max_source_positions": 1500,
    "output_dim": 32,
}
ROPE = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [1, 1, 2]}
INTERLEAVED_ROPE = {**ROPE, "mrope_section": [2, 1, 1], "mrope_interleaved": True}

QWEN = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
OMNI3 = {
    **QWEN,
    "audio_token": "<|audio_pad|>",
    "audio_bos_token": "<|audio_start|>",
    "audio_eos_token": "<|audio_end|>",
}
OMNI2 = {
    "image_token": "<|IMAGE|>",
    "video_token": "<|VIDEO|>",
    "audio_token": "<|AUDIO|>",
    "vision_bos_token": "<|vision_bos|>",
    "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>",
    "audio_eos_token": "<|audio_eos|>",
}
GEMMA = {
    "image_token": "<image_soft_token>",
    "boi_token": "<start_of_image>",
    "eoi_token": "<end_of_image>",
    "audio_token": "<audio_soft_token>",
    "boa_token": "<start_of_audio>",
    "eoa_token": "<end_of_audio>",
    "video_token": "<|video|>",
}
INTERN = {
    "start_image_token": "<img>",
    "end_image_token": "</img>",
    "context_image_token": "<IMG_CONTEXT>",
    "video_token": "<video>",
}
IDEFICS = {
    "image_token": "<image>",
    "fake_image_token": "<fake_token_around_image>",
    "global_image_token": "<global-img>",
    "end_of_utterance_token": "<end_of_utterance>",
}


@functools.lru_cache
def pieces(special, size=600):
    """A byte-level BPE: (vocabulary, merges)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=size - len(special), initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(WORDS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]


def words_of(extra):
    """A tokenizer like Qwen's; each of `extra` becomes an attribute of it."""
    from transformers import Qwen2Tokenizer

    vocabulary, merges = pieces((*CHAT, *extra.values()))
    tokenizer = Qwen2Tokenizer(
        vocab=dict(vocabulary),
        merges=list(merges),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        extra_special_tokens=dict(extra),
    )
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    return tokenizer


def template(image, video, audio=""):
    heard = "{% elif c.type == 'audio' %}" + audio if audio else ""
    return (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for c in m.content %}"
        "{% if c.type == 'image' %}"
        + image
        + "{% elif c.type == 'video' %}"
        + video
        + heard
        + "{% else %}{{ c.text }}{% endif %}"
        "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


QWEN_CHAT = template(
    "<|vision_start|><|image_pad|><|vision_end|>",
    "<|vision_start|><|video_pad|><|vision_end|>",
    "<|audio_start|><|audio_pad|><|audio_end|>",
)
OMNI2_CHAT = template(
    "<|vision_bos|><|IMAGE|><|vision_eos|>",
    "<|vision_bos|><|VIDEO|><|vision_eos|>",
    "<|audio_bos|><|AUDIO|><|audio_eos|>",
)


def ids(tokenizer, **names):
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def ends(tokenizer):
    return {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}


def qwen_marks(tokenizer):
    return ids(
        tokenizer,
        image_token_id="<|image_pad|>",
        video_token_id="<|video_pad|>",
        vision_start_token_id="<|vision_start|>",
        vision_end_token_id="<|vision_end|>",
    )


def small(side):
    """Pixels of a picture for processors with patches of `side`."""
    return {"shortest_edge": side * side * 4, "longest_edge": side * side * 64}


def qwen2_5_vl():
    import transformers as t

    tokenizer = words_of(QWEN)
    config = t.Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            "vocab_size": len(tokenizer),
            "rope_parameters": ROPE,
            "bos_token_id": None,
            **ends(tokenizer),
        },
        vision_config={**VISION, "patch_size": 14, "window_size": 112, "fullatt_block_indexes": [1]},
        **qwen_marks(tokenizer),
    )
    processor = t.Qwen2_5_VLProcessor(
        t.Qwen2VLImageProcessor(size=small(28)),
        tokenizer,
        t.Qwen2VLVideoProcessor(size=small(28)),
        chat_template=QWEN_CHAT,
    )
    return t.Qwen2_5_VLForConditionalGeneration(config), processor


def thinker2(tokenizer):
    marks = ids(
        tokenizer,
        image_token_index="<|IMAGE|>",
        video_token_index="<|VIDEO|>",
        audio_token_index="<|AUDIO|>",
        vision_start_token_id="<|vision_bos|>",
        vision_end_token_id="<|vision_eos|>",
        audio_start_token_id="<|audio_bos|>",
        audio_end_token_id="<|audio_eos|>",
    )
    return {
        "text_config": {**TEXT, "vocab_size": len(tokenizer), "rope_parameters": ROPE, **ends(tokenizer)},
        "vision_config": {**VISION, "patch_size": 14, "fullatt_block_indexes": [1]},
        "audio_config": {**EARS, "n_window": 100},
        **marks,
    }


def qwen2_5_omni():
    """As it is published: thinker, talker and vocoder in one checkpoint."""
    import transformers as t

    tokenizer, codes = words_of(OMNI2), 64
    thinker = thinker2(tokenizer)
    marks = {name: value for name, value in thinker.items() if not name.endswith("_config")}
    talker = {
        **TEXT,
        "vocab_size": codes,
        "embedding_size": 32,
        "head_dim": 8,
        "rope_parameters": ROPE,
        "tts_codec_pad_token_id": 60,
        "tts_codec_start_token_id": 61,
        "tts_codec_end_token_id": 62,
        "tts_codec_mask_token_id": 63,
        "tts_text_start_token_id": 5,
        "tts_text_end_token_id": 6,
        "tts_text_pad_token_id": 7,
        **marks,
    }
    vocoder = {
        "dit_config": {
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "ff_mult": 2,
            "emb_dim": 16,
            "head_dim": 16,
            "num_embeds": codes,
            "mel_dim": 80,
            "enc_emb_dim": 8,
            "enc_dim": 8,
            "enc_channels": [16, 16, 16, 16, 48],
            "enc_attention_channels": 8,
            "enc_res2net_scale": 2,
            "enc_se_channels": 8,
            "look_ahead_layers": [1],
            "look_backward_layers": [0],
        },
        "bigvgan_config": {
            "mel_dim": 80,
            "upsample_initial_channel": 128,
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3, 5]],
            "upsample_rates": [5, 3, 2, 2, 2, 2],
            "upsample_kernel_sizes": [11, 7, 4, 4, 4, 4],
        },
    }
    config = t.Qwen2_5OmniConfig(thinker_config=thinker, talker_config=talker, token2wav_config=vocoder)
    return t.Qwen2_5OmniForConditionalGeneration(config), omni2_processor(tokenizer)


def omni2_processor(tokenizer):
    import transformers as t

    return t.Qwen2_5OmniProcessor(
        t.Qwen2VLImageProcessor(size=small(28)),
        t.Qwen2VLVideoProcessor(size=small(28)),
        t.WhisperFeatureExtractor(feature_size=128),
        tokenizer,
        chat_template=OMNI2_CHAT,
    )


def qwen2_5_omni_thinker():
    """Only the part that thinks, as fine-tuned captioners are published."""
    import transformers as t

    tokenizer = words_of(OMNI2)
    config = t.Qwen2_5OmniThinkerConfig(**thinker2(tokenizer))
    return t.Qwen2_5OmniThinkerForConditionalGeneration(config), omni2_processor(tokenizer)


def qwen3_vl():
    import transformers as t

    tokenizer = words_of(QWEN)
    text = {**TEXT, "vocab_size": len(tokenizer), "head_dim": 8, "rope_parameters": INTERLEAVED_ROPE, **ends(tokenizer)}
    vision = {**VISION, "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]}
    config = t.Qwen3VLConfig(text_config=text, vision_config=vision, **qwen_marks(tokenizer))
    return t.Qwen3VLForConditionalGeneration(config), qwen3_processor(tokenizer)


def qwen3_processor(tokenizer):
    import transformers as t

    pictures = t.Qwen2VLImageProcessor(patch_size=16, size=small(32))
    return t.Qwen3VLProcessor(pictures, tokenizer, t.Qwen3VLVideoProcessor(size=small(32)), chat_template=QWEN_CHAT)


def qwen3_5():
    import transformers as t

    tokenizer = words_of(QWEN)
    text = {
        **TEXT,
        "vocab_size": len(tokenizer),
        "head_dim": 16,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "layer_types": ["linear_attention", "full_attention"],
        "rope_parameters": {**INTERLEAVED_ROPE, "partial_rotary_factor": 0.5},
        **ends(tokenizer),
    }
    vision = {**VISION, "patch_size": 16, "num_position_embeddings": 64}
    config = t.Qwen3_5Config(text_config=text, vision_config=vision, **qwen_marks(tokenizer))
    return t.Qwen3_5ForConditionalGeneration(config), qwen3_processor(tokenizer)


def qwen3_omni():
    import transformers as t

    tokenizer = words_of(OMNI3)
    text = {
        **TEXT,
        "vocab_size": len(tokenizer),
        "head_dim": 8,
        "moe_intermediate_size": 16,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "rope_parameters": INTERLEAVED_ROPE,
        **ends(tokenizer),
    }
    marks = ids(
        tokenizer,
        audio_token_id="<|audio_pad|>",
        audio_start_token_id="<|audio_start|>",
        audio_end_token_id="<|audio_end|>",
    )
    config = t.Qwen3OmniMoeThinkerConfig(
        text_config=text,
        vision_config={**VISION, "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0]},
        audio_config={**EARS, "n_window": 50, "n_window_infer": 800, "downsample_hidden_size": 16},
        **qwen_marks(tokenizer),
        **marks,
    )
    processor = t.Qwen3OmniMoeProcessor(
        t.Qwen2VLImageProcessor(patch_size=16, size=small(32)),
        t.Qwen2VLVideoProcessor(patch_size=16, size=small(32)),
        t.WhisperFeatureExtractor(feature_size=128),
        tokenizer,
        chat_template=QWEN_CHAT,
    )
    return t.Qwen3OmniMoeThinkerForConditionalGeneration(config), processor


def idefics_parts(family):
    import transformers as t

    cells = [f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)]
    vocabulary, merges = pieces((*CHAT, *IDEFICS.values(), *cells), 700)
    tokenizer = t.GPT2Tokenizer(
        vocab=dict(vocabulary),
        merges=list(merges),
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        extra_special_tokens=dict(IDEFICS),
    )
    tokenizer.add_tokens(cells, special_tokens=True)
    config = getattr(t, f"{family}Config")(
        text_config={
            **TEXT,
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.bos_token_id,
            **ends(tokenizer),
        },
        vision_config={**PLAIN_VISION, "image_size": 64, "patch_size": 8},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    sizes = {"size": {"longest_edge": 128}, "max_image_size": {"longest_edge": 64}}
    told = {"image_seq_len": (64 // 8) ** 2 // 4, "chat_template": template("<image>", "{{ '<video>' }}")}
    return config, tokenizer, sizes, told


def smolvlm():
    import transformers as t

    config, tokenizer, sizes, told = idefics_parts("SmolVLM")
    videos = t.SmolVLMVideoProcessor(**sizes, fps=1, num_frames=8)
    processor = t.SmolVLMProcessor(t.SmolVLMImageProcessor(**sizes), tokenizer, videos, **told)
    return t.SmolVLMForConditionalGeneration(config), processor


def idefics3():
    import transformers as t

    config, tokenizer, sizes, told = idefics_parts("Idefics3")
    processor = t.Idefics3Processor(t.Idefics3ImageProcessor(**sizes), tokenizer, **told)
    return t.Idefics3ForConditionalGeneration(config), processor


def gemma4():
    import transformers as t

    tokenizer = words_of(GEMMA)
    size = len(tokenizer)
    text = {
        "vocab_size": size,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "global_head_dim": 8,
        "sliding_window": 64,
        "layer_types": ["sliding_attention", "full_attention"],
        "vocab_size_per_layer_input": size,
        "hidden_size_per_layer_input": 8,
        "bos_token_id": tokenizer.pad_token_id,
        **ends(tokenizer),
    }
    vision = {
        **PLAIN_VISION,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 8,
        "patch_size": 16,
        "position_embedding_size": 1024,
    }
    ears = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "output_proj_dims": 32,
        "subsampling_conv_channels": [128, 8],
    }
    marks = ids(
        tokenizer,
        boi_token_id=GEMMA["boi_token"],
        eoi_token_id=GEMMA["eoi_token"],
        image_token_id=GEMMA["image_token"],
        video_token_id=GEMMA["video_token"],
        boa_token_id=GEMMA["boa_token"],
        eoa_token_index=GEMMA["eoa_token"],
        audio_token_id=GEMMA["audio_token"],
    )
    config = t.Gemma4Config(text_config=text, vision_config=vision, audio_config=ears, **marks)
    # Its audio tower has no other attention, and a class made from a config does not choose for itself.
    config._attn_implementation = "eager"
    processor = t.Gemma4Processor(
        feature_extractor=t.Gemma4AudioFeatureExtractor(),
        image_processor=t.Gemma4ImageProcessor(),
        tokenizer=tokenizer,
        video_processor=t.Gemma4VideoProcessor(),
        chat_template=template(GEMMA["image_token"], GEMMA["video_token"], GEMMA["audio_token"]),
    )
    return t.Gemma4ForConditionalGeneration(config), processor


def internvl():
    import transformers as t

    tokenizer = words_of(INTERN)
    config = t.InternVLConfig(
        text_config={**TEXT, "model_type": "qwen2", "vocab_size": len(tokenizer), **ends(tokenizer)},
        vision_config={**PLAIN_VISION, "image_size": [56, 56], "patch_size": [14, 14]},
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        downsample_ratio=0.5,
    )
    side = {"height": 56, "width": 56}
    processor = t.InternVLProcessor(
        t.GotOcr2ImageProcessor(size=side),
        tokenizer,
        t.InternVLVideoProcessor(size=side),
        image_seq_length=4,
        chat_template=template("<IMG_CONTEXT>\n", "<video>\n"),
    )
    return t.InternVLForConditionalGeneration(config), processor


FAMILIES = {
    made.__name__: made
    for made in (
        qwen2_5_vl,
        qwen2_5_omni,
        qwen2_5_omni_thinker,
        qwen3_vl,
        qwen3_5,
        qwen3_omni,
        smolvlm,
        idefics3,
        gemma4,
        internvl,
    )
}
HEARING = frozenset({"qwen2_5_omni", "qwen2_5_omni_thinker", "qwen3_omni", "gemma4"})


def save(family: str, folder: Path) -> Path:
    """The family's checkpoint as it would lie in a download."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, processor = FAMILIES[family]()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
