"""The tiny LTX-2 in the middle of a training: what it makes equals what diffusers' whole pipeline makes."""

import numpy as np
import pytest
import torch
from diffusers import LTX2Pipeline
from peft import LoraConfig

from pipeline.models import ltx2_sampling, tiny_ltx2

SHAPE = {"width": 64, "height": 64, "num_frames": 9, "steps": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("ltx2")
    tiny_ltx2.build(made)
    return made


@pytest.fixture(scope="module")
def whole(folder):
    pipeline = LTX2Pipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def texts(whole):
    """Of a prompt and of no words: what the text encoder says, its mask, and what the connectors make of it."""
    texts = []
    for words in ("a spy runs", ""):
        embeds, mask, _, _ = whole.encode_prompt(words, do_classifier_free_guidance=False)
        with torch.no_grad():
            video, audio, _ = whole.connectors(embeds, mask, padding_side="left")
        texts.append((embeds, mask, {"video": video[0], "audio": audio[0]}))
    return texts


def test_a_sample_is_what_the_whole_pipeline_makes(whole, folder, texts):
    (embeds, mask, prompt), (nothing, unmasked, empty) = texts
    take = ltx2_sampling.sample(whole.transformer, folder, prompt, empty, seed=3, **SHAPE)
    with torch.no_grad():
        frames, sound = whole(
            prompt_embeds=embeds, prompt_attention_mask=mask, negative_prompt_embeds=nothing,
            negative_prompt_attention_mask=unmasked, generator=torch.Generator().manual_seed(3), width=64, height=64,
            num_frames=9, frame_rate=24.0, num_inference_steps=2, guidance_scale=3.0, audio_guidance_scale=7.0,
            stg_scale=0.0, audio_stg_scale=0.0, modality_scale=1.0, audio_modality_scale=1.0, use_cross_timestep=False,
            output_type="np", return_dict=False,
        )  # fmt: skip
    assert np.abs(take.pictures_FHWC.astype(int) - np.round(frames[0] * 255)).max() <= 1
    np.testing.assert_allclose(take.sound_CS, sound[0].numpy(), atol=1e-4)
    assert take.rate_hz == 24_000


def test_sampling_leaves_the_training_as_it_was_and_shows_the_lora(folder, whole, texts):
    transformer = whole.transformer
    prompt, empty = texts[0][2], texts[1][2]
    before = ltx2_sampling.sample(transformer, folder, prompt, empty, seed=3, guidance=1, sound_guidance=1, **SHAPE)
    transformer.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    transformer.train()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    fresh = ltx2_sampling.sample(transformer, folder, prompt, empty, seed=3, guidance=1, sound_guidance=1, **SHAPE)
    assert torch.equal(torch.get_rng_state(), state)
    assert transformer.training
    np.testing.assert_array_equal(fresh.pictures_FHWC, before.pictures_FHWC)
    with torch.no_grad():
        for name, parameter in transformer.named_parameters():
            if "lora_B" in name:
                parameter.normal_()
    learnt = ltx2_sampling.sample(transformer, folder, prompt, empty, seed=3, guidance=1, sound_guidance=1, **SHAPE)
    assert (learnt.pictures_FHWC != before.pictures_FHWC).any()
    assert (learnt.sound_CS != before.sound_CS).any()
    transformer.delete_adapters("default")
