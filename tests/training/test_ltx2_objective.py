"""What LTX-2's transformer is given of a clip: noise levels, the first frame, text; and how often."""

import pytest
import torch
from safetensors.torch import load_file

from pipeline.training import ltx2
from pipeline.training.randomness import generator

from . import tiny

DRAWS = 300


def drawn(asked, count=DRAWS):
    objective = ltx2.Objective(asked)
    return [objective.draw([0], [generator("draw", number)]).tensors for number in range(count)]


def given(asked):
    """The arguments that the transformer gets for one batch."""
    transformer, seen = tiny.transformer(), []
    transformer.register_forward_pre_hook(lambda _, args, kwargs: seen.append(kwargs), with_kwargs=True)
    objective = ltx2.Objective(asked)
    with torch.no_grad():
        objective.losses(transformer, objective.draw([0, 1], [generator(1), generator(2)]))
    return seen[0]


def test_where_sigma_is_the_same_for_all_tokens_the_model_gets_one_timestep_a_sample_and_no_mask(tmp_path):
    found = given(tiny.training(tmp_path))
    assert (found["timestep"].shape, found["audio_timestep"].shape) == ((2, 1), (2, 1))
    assert not [name for name, value in found.items() if "mask" in name and value is not None]


def test_a_given_first_frame_is_clean_at_timestep_0_and_the_others_keep_theirs(tmp_path):
    asked = tiny.training(tmp_path, first_frame=1.0)
    found, first = given(asked), asked.clips[0].height * asked.clips[0].width
    timestep = found["timestep"]
    assert timestep.shape == (2, asked.clips[0].tokens)
    assert not timestep[:, :first].any()
    assert (timestep[:, first:] == timestep[:, -1:]).all()
    clean = torch.load(asked.clips[0].latents)["latents"].float().permute(1, 2, 3, 0).reshape(-1, 128)
    assert found["hidden_states"][0, :first].equal(clean[:first])


def test_the_first_frame_is_given_and_the_caption_left_out_as_often_as_asked(tmp_path):
    asked = tiny.training(tmp_path, clips=1, held_out=0, first_frame=0.3, caption_dropout=0.2)
    found, empty = drawn(asked), load_file(asked.empty)["video"].float()
    assert sum("given_T" in each for each in found) / DRAWS == pytest.approx(0.3, abs=0.08)
    assert sum(each["text"][0].equal(empty) for each in found) / DRAWS == pytest.approx(0.2, abs=0.08)


def test_a_clip_of_one_frame_is_never_given_away(tmp_path):
    asked = tiny.training(tmp_path, clips=3, held_out=0, first_frame=1.0)
    assert asked.clips[2].frames == 1
    assert "given_T" not in ltx2.Objective(asked).draw([2], [generator(1)]).tensors


def test_picture_and_sound_share_a_noise_level_or_have_each_its_own(tmp_path):
    one = drawn(tiny.training(tmp_path, clips=1, held_out=0))
    assert all(each["sigma"].equal(each["audio_sigma"]) for each in one)
    separate = drawn(tiny.training(tmp_path, clips=1, held_out=0, sigmas="separate"))
    pairs = torch.stack([torch.cat([each["sigma"], each["audio_sigma"]]) for each in separate])
    assert abs(torch.corrcoef(pairs.T)[0, 1]) < 0.2
    assert [each["sigma"].item() for each in one] == [each["sigma"].item() for each in separate]


def test_a_held_out_clip_is_judged_with_its_caption_and_nothing_given_whatever_training_does(tmp_path):
    asked = tiny.training(tmp_path, clips=1, held_out=1, first_frame=1.0, caption_dropout=1.0, sigmas="separate")
    tensors = ltx2.Objective(asked).question(0, 0.25, generator("fixed")).tensors
    assert tensors["text"][0].equal(load_file(asked.held_out[0].text)["video"].float())
    assert "given_T" not in tensors
    assert (tensors["sigma"].item(), tensors["audio_sigma"].item()) == (0.25, 0.25)
