"""LTX-2's encoders on small random weights, against diffusers' own pipeline and the formulas written out."""

import hashlib

import pytest
import torch

from pipeline.models import ltx2, ltx2_layout, ltx2_text
from pipeline.models.roundtrip import psnr_db
from pipeline.models.tiny_ltx2 import TEXT_DIM, build

TEXTS = ["Ann walks home.", "", "A street at night, wet from rain: " + "lamps, " * 20]


@pytest.fixture(scope="module")
def pipe(tiny_ltx2):
    from diffusers import LTX2Pipeline

    return LTX2Pipeline.from_pretrained(tiny_ltx2)


@pytest.fixture(scope="module")
def embedded(tiny_ltx2):
    with ltx2.text_encoder(tiny_ltx2, "cpu") as embed:
        return embed(TEXTS)


def test_the_tiny_model_is_the_same_bytes_every_time(tiny_ltx2, tmp_path):
    torch.rand(3)
    build(tmp_path)
    assert digests(tmp_path) == digests(tiny_ltx2)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_tiny_pipeline_makes_a_video_with_sound(pipe):
    pipe.set_progress_bar_config(disable=True)
    made = pipe(
        prompt="hello", height=64, width=64, num_frames=9, frame_rate=24.0, num_inference_steps=2, output_type="pt"
    )
    assert tuple(made.frames.shape) == (1, 9, 3, 64, 64)
    assert torch.isfinite(made.audio).all()
    assert made.audio.shape[1] == 2


def test_the_tiny_transformer_is_of_the_true_architecture(pipe):
    assert pipe.transformer.config.rope_type == "split"
    assert pipe.transformer.config.in_channels == pipe.transformer.config.audio_in_channels == 128
    assert (pipe.vae.spatial_compression_ratio, pipe.vae.temporal_compression_ratio) == (32, 8)
    assert pipe.audio_vae.latents_mean.shape == (128,)
    assert pipe.vocoder.config.output_sampling_rate == 24_000


def test_a_text_behind_the_connectors_is_what_the_pipeline_gives_its_transformer(pipe, embedded):
    """The pipeline computes all 1024 places of Gemma and connects them; we compute those that hold tokens."""
    hidden, mask = pipe._get_gemma_prompt_embeds(TEXTS, device="cpu", dtype=torch.float32)
    with torch.no_grad():
        video, audio, kept = pipe.connectors(hidden, mask, padding_side="left")
    assert kept.all()
    for index, one in enumerate(embedded):
        torch.testing.assert_close(one.connected_video_LD, video[index].bfloat16(), rtol=0.02, atol=0.02)
        torch.testing.assert_close(one.connected_audio_LD, audio[index].bfloat16(), rtol=0.02, atol=0.02)
        assert torch.equal(one.mask_L, mask[index])


def test_features_before_the_connectors_are_gemma_s_layers_normalised_and_projected(pipe, embedded):
    """Each layer less its masked mean, over its masked range, times eight; then one projection (LTX-2.0)."""
    hidden, mask = pipe._get_gemma_prompt_embeds(TEXTS[:1], device="cpu", dtype=torch.float32)
    layers = hidden.unflatten(2, (TEXT_DIM, -1))[0][mask[0].bool()]
    normal = torch.stack(
        [8 * (each - each.mean()) / (each.max() - each.min() + 1e-6) for each in layers.unbind(-1)], dim=-1
    )
    expected = normal.flatten(1) @ pipe.connectors.text_proj_in.weight.T
    one = embedded[0]
    torch.testing.assert_close(one.video_LD[one.mask_L.bool()].float(), expected, rtol=0.02, atol=0.02)
    assert not one.video_LD[~one.mask_L.bool()].any()
    assert torch.equal(one.video_LD, one.audio_LD)


def test_ltx_2_3_has_other_features_for_picture_and_sound(pipe):
    """Its connectors project the layers twice, each to its own width: the official files of that model."""
    from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

    connectors = LTX2TextConnectors(
        caption_channels=TEXT_DIM, text_proj_in_factor=3, per_modality_projections=True, proj_bias=True,
        video_hidden_dim=32, video_connector_num_attention_heads=2, video_connector_attention_head_dim=16,
        audio_hidden_dim=16, audio_connector_num_attention_heads=2, audio_connector_attention_head_dim=8,
        video_gated_attn=True, audio_gated_attn=True, rope_type="split",
    ).eval()  # fmt: skip
    (one,) = ltx2_text.embedding(pipe.tokenizer, pipe.text_encoder, connectors, "cpu")(TEXTS[:1])
    assert (one.video_LD.shape, one.audio_LD.shape) == ((1024, 32), (1024, 16))
    hidden, mask = pipe._get_gemma_prompt_embeds(TEXTS[:1], device="cpu", dtype=torch.float32)
    with torch.no_grad():
        video, audio, _ = connectors(hidden, mask, padding_side="left")
    torch.testing.assert_close(one.connected_video_LD, video[0].bfloat16(), rtol=0.02, atol=0.02)
    torch.testing.assert_close(one.connected_audio_LD, audio[0].bfloat16(), rtol=0.02, atol=0.02)


def test_a_text_does_not_depend_on_those_beside_it(tiny_ltx2, embedded):
    with ltx2.text_encoder(tiny_ltx2, "cpu") as embed:
        (alone,) = embed(TEXTS[:1])
    torch.testing.assert_close(alone.connected_video_LD, embedded[0].connected_video_LD, rtol=0.02, atol=0.02)


def test_no_words_are_one_token(embedded):
    assert embedded[1].mask_L.sum() == 1


def test_what_is_beyond_1024_tokens_is_counted(tiny_ltx2):
    with ltx2.text_encoder(tiny_ltx2, "cpu") as embed:
        (one,) = embed(["a" * 1100])
    assert one.cut_off == 1101 - 1024
    assert one.mask_L.all()


def test_a_picture_s_latents_are_the_vae_s_mean_normalised(pipe, tiny_ltx2):
    pictures = torch.randint(0, 256, (2, 9, 64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with ltx2.video_encoder(tiny_ltx2, "cpu") as encode:
        latents = encode(pictures)
    assert latents.shape == (2, 128, 2, 2, 3)
    assert latents.dtype == torch.bfloat16
    with torch.no_grad():
        raw = pipe.vae.encode(pictures.permute(0, 4, 1, 2, 3) / 127.5 - 1).latent_dist.mean
    expected = pipe._normalize_latents(raw, pipe.vae.latents_mean, pipe.vae.latents_std, 1.0)
    torch.testing.assert_close(latents, expected.bfloat16(), rtol=0.01, atol=0.01)


def test_other_pictures_have_other_latents_of_about_unit_deviation(tiny_ltx2):
    """Random weights, but not degenerate: there is something to learn."""
    ramp = torch.linspace(0, 255, 96).to(torch.uint8).expand(1, 17, 96, 96)[..., None].repeat(1, 1, 1, 1, 3)
    turned = ramp.transpose(2, 3).contiguous()
    with ltx2.video_encoder(tiny_ltx2, "cpu") as encode:
        one, other = encode(ramp).float(), encode(turned).float()
    assert 0.2 < one.std() < 5
    assert (one - other).std() > 0.1


def test_decoding_is_the_inverse_of_the_normalisation(pipe, tiny_ltx2):
    latents = torch.randn(1, 128, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    with ltx2.video_decoder(tiny_ltx2, "cpu") as decode:
        found = decode(latents)
    raw = pipe._denormalize_latents(latents, pipe.vae.latents_mean, pipe.vae.latents_std, 1.0)
    with torch.no_grad():
        expected = (pipe.vae.decode(raw).sample.clamp(-1, 1) + 1) * 127.5
    assert found.shape == (1, 9, 64, 64, 3)
    assert (found.permute(0, 4, 1, 2, 3).float() - expected).abs().max() <= 1


def test_sound_s_latents_are_normalised_over_channels_and_bins_together(pipe, tiny_ltx2):
    from pipeline.models.mel import log_mel

    waves = 0.1 * torch.randn(1, 2, 16_000, generator=torch.Generator().manual_seed(0))
    with ltx2.audio_encoder(tiny_ltx2, "cpu") as audio:
        assert audio.rate == 16_000
        latents = audio.encode(waves)
    assert latents.shape == (1, 8, 26, 16)  # 101 frames of mel, by fours.
    assert latents.dtype == torch.float32
    with torch.no_grad():
        raw = pipe.audio_vae.encode(log_mel(waves, 16_000, 160, 64)).latent_dist.mean
    packed = pipe._normalize_audio_latents(
        pipe._pack_audio_latents(raw), pipe.audio_vae.latents_mean, pipe.audio_vae.latents_std
    )
    torch.testing.assert_close(pipe._pack_audio_latents(latents), packed)


def test_a_model_of_another_kind_is_refused(tiny_ltx2, tmp_path):
    import json
    import shutil

    folder = tmp_path / "other"
    shutil.copytree(tiny_ltx2, folder)
    index = json.loads((folder / "model_index.json").read_text())
    index["text_encoder"] = ["transformers", "Gemma99Model"]
    (folder / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"transformers\.Gemma99Model, which this release does not know"):
        ltx2.text_encoder(folder, "cpu").__enter__()


def test_psnr_is_ten_logarithms_of_the_error():
    black = torch.zeros(1, 2, 2, 3, dtype=torch.uint8)
    assert psnr_db(black, black) == 100
    assert psnr_db(black, black + 255) == pytest.approx(0)
    assert psnr_db(black, black + 1) == pytest.approx(48.13, abs=0.01)


# The official layout, row by row (`.precomputed` of Lightricks/LTX-2's trainer at 400fd310).


def described(path):
    return {
        name: (tuple(each.shape), each.dtype) if isinstance(each, torch.Tensor) else type(each)
        for name, each in torch.load(path, weights_only=True).items()
    }


def test_row_latents(tmp_path):
    ltx2_layout.write_latents(tmp_path / "a.pt", torch.zeros(2, 128, 7, 14, 24, dtype=torch.bfloat16)[1], 24.0)
    assert described(tmp_path / "a.pt") == {
        "latents": ((128, 7, 14, 24), torch.bfloat16), "num_frames": int, "height": int, "width": int, "fps": float,
    }  # fmt: skip
    found = torch.load(tmp_path / "a.pt", weights_only=True)
    assert (found["num_frames"], found["height"], found["width"], found["fps"]) == (7, 14, 24, 24.0)


def test_row_audio_latents(tmp_path):
    strided = torch.zeros(127, 8, 16).transpose(0, 1)
    ltx2_layout.write_audio_latents(tmp_path / "a.pt", strided, 5.04)
    assert described(tmp_path / "a.pt") == {
        "latents": ((8, 127, 16), torch.float32), "num_time_steps": int, "frequency_bins": int, "duration": float,
    }  # fmt: skip
    found = torch.load(tmp_path / "a.pt", weights_only=True)
    assert (found["num_time_steps"], found["frequency_bins"], found["duration"]) == (127, 16, 5.04)
    assert found["latents"].is_contiguous()


def test_row_conditions(tmp_path, embedded):
    ltx2_layout.write_conditions(tmp_path / "a.pt", embedded[0])
    assert described(tmp_path / "a.pt") == {
        "video_prompt_embeds": ((1024, TEXT_DIM), torch.bfloat16),
        "audio_prompt_embeds": ((1024, TEXT_DIM), torch.bfloat16),
        "prompt_attention_mask": ((1024,), torch.int64),
    }
    mask = torch.load(tmp_path / "a.pt", weights_only=True)["prompt_attention_mask"]
    assert mask[0] == 0  # Padded on the left.
    assert mask[-1] == 1


@pytest.mark.parametrize(("video", "audio"), [(3840, 3840), (4096, 2048)], ids=["LTX-2.0", "LTX-2.3"])
def test_row_conditions_in_the_models_true_widths(video, audio, tmp_path):
    words = [torch.zeros(1024, width, dtype=torch.bfloat16) for width in (video, audio)]
    text = ltx2_text.Embedded(*words, torch.ones(1024, dtype=torch.int64), *words, 0)
    ltx2_layout.write_conditions(tmp_path / "a.pt", text)
    assert described(tmp_path / "a.pt") == {
        "video_prompt_embeds": ((1024, video), torch.bfloat16),
        "audio_prompt_embeds": ((1024, audio), torch.bfloat16),
        "prompt_attention_mask": ((1024,), torch.int64),
    }


def test_the_connected_file_has_both_modalities(tmp_path, embedded):
    from safetensors.torch import load_file

    ltx2_layout.write_connected(tmp_path / "a.safetensors", embedded[0])
    found = load_file(tmp_path / "a.safetensors")
    assert {name: (tuple(each.shape), each.dtype) for name, each in found.items()} == {
        "video": ((1024, TEXT_DIM), torch.bfloat16), "audio": ((1024, TEXT_DIM), torch.bfloat16),
    }  # fmt: skip


def test_the_same_tensors_are_the_same_bytes_whatever_their_file_is_called(tmp_path):
    whole = torch.randn(4, 128, 2, 2, 2).bfloat16()
    ltx2_layout.write_latents(tmp_path / "one.pt", whole[2], 24.0)
    ltx2_layout.write_latents(tmp_path / "other.pt", whole[2].clone(), 24.0)
    one, other = (tmp_path / name for name in ("one.pt", "other.pt"))
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 2 * whole[2].numel() * 2 + 4096
