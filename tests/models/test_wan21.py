"""Wan2.1's text encoder and VAE: tiny random models by the real loading code, against formulas written out here."""

import json

import pytest
import torch

from pipeline.models import tiny_wan21, wan21

# The first and last of 16 channels, from wan/modules/vae.py of Wan-Video/Wan2.1.
MEANS, DEVIATIONS = (-0.7571, -0.2921), (2.8184, 1.9160)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wan21")
    tiny_wan21.build(folder)
    return folder


def test_the_tiny_model_is_the_same_every_time(folder, tmp_path):
    torch.manual_seed(7)
    tiny_wan21.build(tmp_path)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.parts[0] for path in made} == {*wan21.ENCODING, "transformer", "scheduler", "model_index.json"}
    assert all((tmp_path / path).read_bytes() == (folder / path).read_bytes() for path in made)


def test_a_text_is_embedded_as_the_pipeline_does_it(folder):
    from diffusers import WanPipeline

    with wan21.text_encoder(folder, "cpu") as encode:
        found = encode("Anna  waves &amp; says “hello”")
        assert (found.embedding_LD.shape[1], found.embedding_LD.dtype) == (tiny_wan21.TEXT_DIM, torch.bfloat16)
        assert encode("").embedding_LD.shape[0] == 1  # The end sign alone.
    pipeline = WanPipeline.from_pretrained(folder, dtype=torch.bfloat16)
    with torch.inference_mode():
        padded, _ = pipeline.encode_prompt(
            'Anna waves & says "hello"', do_classifier_free_guidance=False, max_sequence_length=wan21.TEXT_TOKENS
        )
    length = found.embedding_LD.shape[0]
    assert torch.equal(padded[0, :length], found.embedding_LD)
    assert not padded[0, length:].any()


def test_what_a_long_text_loses_is_counted(folder):
    with wan21.text_encoder(folder, "cpu") as encode:
        found = encode("a" * 600)
    assert (found.embedding_LD.shape[0], found.cut_off) == (512, 600 + 2 - 512)  # A word's begin and the end sign.


@pytest.mark.parametrize("frames", [1, 9])
def test_latents_are_normalised_by_the_model_s_own_means_and_deviations(folder, frames):
    from diffusers import AutoencoderKLWan

    pictures = torch.randint(0, 256, (2, frames, 32, 48, 3), dtype=torch.uint8)
    with wan21.video_encoder(folder, "cpu") as encode:
        latents = encode(pictures)
    assert (latents.shape, latents.dtype) == ((2, 16, (frames - 1) // 4 + 1, 4, 6), torch.bfloat16)
    vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae")
    with torch.no_grad():
        raw = vae.encode(pictures[1:].permute(0, 4, 1, 2, 3) / 255 * 2 - 1).latent_dist.mean
    for channel, mean, deviation in zip((0, 15), MEANS, DEVIATIONS, strict=True):
        expected = (raw[0, channel] - mean) / deviation
        torch.testing.assert_close(latents[1, channel].float(), expected, atol=2e-3, rtol=2**-8)


def test_a_decoded_latent_is_what_the_vae_says_of_it(folder):
    from diffusers import AutoencoderKLWan

    latents = torch.randn(1, 16, 2, 4, 4).bfloat16()
    with wan21.video_decoder(folder, "cpu") as decode:
        pictures = decode(latents)
    assert (pictures.shape, pictures.dtype) == ((1, 5, 32, 32, 3), torch.uint8)
    vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae")
    mean, deviation = (torch.tensor(vae.config[f"latents_{name}"]).view(1, 16, 1, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        said = vae.decode(latents.float() * deviation + mean).sample
    assert (pictures - (said.permute(0, 2, 3, 4, 1) * 127.5 + 127.5)).abs().max() <= 0.51


def test_a_freed_component_cannot_be_used(folder):
    with wan21.text_encoder(folder, "cpu") as encode:
        pass
    with pytest.raises((NotImplementedError, RuntimeError)):
        encode("")


def test_other_models_are_refused_with_what_to_choose(folder, tmp_path):
    true = json.loads((folder / "model_index.json").read_text())

    def refused(**changed) -> str:
        (tmp_path / "model_index.json").write_text(json.dumps({**true, **changed}))
        with pytest.raises(ValueError, match=r"set `model` to Wan-AI/Wan2\.1-T2V-1\.3B-Diffusers or") as error:
            wan21.check(tmp_path, "some/model")
        return str(error.value)

    assert "makes video from pictures" in refused(_class_name="WanImageToVideoPipeline")
    assert "is a Wan2.2" in refused(transformer_2=["diffusers", "WanTransformer3DModel"])
    assert "is a Wan2.2" in refused(expand_timesteps=True)
    assert "is a WanVACEPipeline" in refused(_class_name="WanVACEPipeline")
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text(json.dumps({"in_channels": 36}))
    assert "makes video from pictures" in refused()
    wan21.check(folder, "tiny")
    with pytest.raises(ValueError, match="cannot be read"):
        wan21.check(tmp_path / "none", "empty")
