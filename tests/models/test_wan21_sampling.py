"""The tiny Wan2.1 in the middle of a training: what it makes equals what diffusers' whole pipeline makes."""

import numpy as np
import pytest
import torch
from diffusers import WanPipeline

from pipeline.models import tiny_wan21, wan21, wan21_sampling


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("wan21")
    tiny_wan21.build(made)
    return made


def test_a_sample_is_what_the_whole_pipeline_makes(folder):
    whole = WanPipeline.from_pretrained(folder)
    whole.set_progress_bar_config(disable=True)
    with wan21.text_encoder(folder, "cpu") as encode:
        prompt, empty = (encode(words).embedding_LD for words in ("a spy runs", ""))
    whole.transformer.train()
    state = torch.get_rng_state()
    made = wan21_sampling.sample(
        whole.transformer, folder, prompt, empty, seed=3, width=64, height=32, num_frames=5, steps=2
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert whole.transformer.training
    whole.transformer.eval()
    whole.text_encoder.to(torch.bfloat16)  # As captions are embedded for training.
    frames = whole(
        "a spy runs", "", generator=torch.Generator().manual_seed(3), width=64, height=32, num_frames=5,
        num_inference_steps=2, guidance_scale=5.0, return_dict=False,
    )[0]  # fmt: skip
    assert made.shape == (5, 32, 64, 3)
    assert np.abs(made.astype(int) - np.round(frames[0] * 255)).max() <= 1
