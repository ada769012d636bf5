"""LTX-2's loop on a small model of the true architecture. The reference is written from the formulas, without peft,
broadcasting, checkpointing or batches of the product's."""

import pytest
import torch
from safetensors.torch import load_file
from torch.nn.utils import parametrize

from pipeline.training import ltx2, speed
from pipeline.training.lora import attach
from pipeline.training.planning import Setting
from pipeline.training.randomness import generator

from . import tiny

PLAIN = Setting(
    base="fp32", checkpointing="none", checkpointed=0, compile=False, attention="auto", optimizer="adamw",
    estimated_bytes=0, words="",
)  # fmt: skip


def ready(asked, setting=PLAIN):
    """A transformer with a LoRA that says something, its trainable parameters, and the objective."""
    transformer = tiny.transformer()
    speed.prepare(transformer, setting)
    config = asked.config
    parameters = attach(transformer, rank=config.rank, alpha=8, targets=ltx2.targets(config), seed=1)
    for number, (name, parameter) in enumerate(parameters.items()):
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator(number)) * 0.1
    speed.finish(transformer, setting)
    return transformer, parameters, ltx2.Objective(asked)


def drawn(objective, indexes, step=1):
    return objective.draw(indexes, [generator("test", step, at) for at in range(len(indexes))])


class Sum(torch.nn.Module):
    def __init__(self, down, up, scale):
        super().__init__()
        self.down, self.up, self.scale = down, up, scale

    def forward(self, weight):
        return weight + self.scale * self.up @ self.down


def reference(asked, parameters, batch, indexes):
    """Mean loss over the batch and its gradients by peft's names, one sample after another, in fp32."""
    model = tiny.transformer()
    leaves = {name: each.detach().clone().requires_grad_() for name, each in parameters.items()}
    for name, down in leaves.items():
        if "lora_A" in name:
            module = name.partition(".lora_A")[0]
            up = leaves[name.replace("lora_A", "lora_B")]
            parametrize.register_parametrization(model.get_submodule(module), "weight", Sum(down, up, 8 / len(down)))
    joint = asked.config.modalities == "video and audio"
    total = 0.0
    for at, index in enumerate(indexes):
        clip = asked.clips[index]
        sigma, audio_sigma = (float(batch.tensors[name][at]) for name in ("sigma", "audio_sigma"))
        given = batch.tensors["given_T"][at] if "given_T" in batch.tensors else torch.zeros(clip.tokens)
        clean = torch.load(clip.latents)["latents"].float().permute(1, 2, 3, 0).reshape(-1, 128)
        point = batch.tensors["video"][at]
        noise = (point - (1 - sigma) * clean) / sigma  # From the point itself, so that it is checked with its target.
        sound = torch.load(clip.audio)["latents"].permute(1, 0, 2).reshape(clip.audio_steps, -1)
        heard = batch.tensors["audio"][at] if joint else torch.zeros(1, 128)
        words = load_file(asked.empty if asked.config.caption_dropout == 1 else clip.text)
        mask = torch.ones(1, tiny.TEXT_TOKENS)
        video, audio = model(
            hidden_states=point[None],
            audio_hidden_states=heard[None],
            encoder_hidden_states=words["video"].float()[None],
            audio_encoder_hidden_states=words["audio"].float()[None],
            timestep=((1 - given) * sigma * 1000)[None],
            audio_timestep=torch.full((1, len(heard)), audio_sigma * 1000),
            encoder_attention_mask=mask,
            audio_encoder_attention_mask=mask,
            num_frames=clip.frames,
            height=clip.height,
            width=clip.width,
            fps=clip.fps,
            audio_num_frames=len(heard),
            isolate_modalities=not joint,
            return_dict=False,
        )
        counted = given == 0
        assert point[~counted].equal(clean[~counted])
        total = total + (video[0] - (noise - clean))[counted].square().mean()
        if joint:
            audio_noise = (heard - (1 - audio_sigma) * sound) / audio_sigma
            total = total + (audio[0] - (audio_noise - sound)).square().mean()
    loss = total / len(indexes)
    loss.backward()
    return loss.item(), {name: each.grad for name, each in leaves.items()}


@pytest.mark.parametrize(
    ("settings", "setting"),
    [
        ({}, {}),
        ({"sigmas": "separate"}, {}),
        ({"first_frame": 1.0}, {}),
        ({"first_frame": 0.5, "sigmas": "separate"}, {"checkpointing": "full", "checkpointed": 2}),
        ({"caption_dropout": 1.0}, {"checkpointing": "selective", "checkpointed": 1}),
        ({"modalities": "video"}, {}),
    ],
)
def test_a_step_s_loss_and_all_its_gradients_are_the_formula_s(settings, setting, tmp_path):
    asked = tiny.training(tmp_path, clips=4, held_out=0, sampler="uniform", **settings)
    transformer, parameters, objective = ready(asked, PLAIN.model_copy(update=setting))
    indexes = (0, 1, 3)
    batch = drawn(objective, indexes)
    loss = objective.losses(transformer, batch).mean()
    loss.backward()
    expected, gradients = reference(asked, parameters, batch, indexes)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    for name, gradient in gradients.items():
        found = parameters[name].grad
        if gradient is None:  # What video alone leaves out has no LoRA at all, but for the last block's.
            assert found is None or not found.any(), name
            continue
        assert (found - gradient).norm() <= 1e-4 * gradient.norm() + 1e-7, name
