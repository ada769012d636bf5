"""The step of LTX-2's training against its formulas, which `ltx2_formulas` writes out; what they are given is read from
the clips' files and, of a batch, from its noise levels and noised points alone."""

import pytest
import torch
from safetensors.torch import load_file

from pipeline.training import blocks, lora, ltx2, speed
from pipeline.training.planning import Adapters, Card, Speed
from pipeline.training.randomness import generator

from . import tiny
from .ltx2_formulas import Formulas

CLIPS = (0, 1, 3)
"""Of one shape."""


def ours(asked, options):
    """(transformer, objective, the LoRA's parameters) as `ltx2.train` makes them, B not 0."""
    setting = speed.plan(
        "ltx2", asked.transformer_config, ltx2.shapes(asked), Adapters(4, ltx2.targets(asked.config)), options,
        Card("CPU", "cpu"),
    )  # fmt: skip
    dtype = torch.float32 if setting.base == "fp32" else torch.bfloat16
    transformer = asked.load(dtype)
    speed.prepare(transformer, setting)
    parameters = lora.attach(transformer, rank=4, alpha=8, targets=ltx2.targets(asked.config), seed=1)
    for number, (name, parameter) in enumerate(parameters.items()):
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator(number)) * 0.1
    speed.finish(transformer, setting, ltx2.shapes(asked))
    return transformer.train(), ltx2.Objective(asked, dtype), parameters


def expected(asked, batch, parameters):
    """The formulas' mean loss of the batch, and its gradients by the parameters' names."""
    leaves = {name: each.detach().clone().requires_grad_() for name, each in parameters.items()}
    modules = {name.split(".lora_")[0] for name in leaves}
    pairs = {each: tuple(leaves[f"{each}.lora_{side}.default.weight"] for side in "AB") for each in modules}
    formulas = Formulas(asked.load(torch.float32).state_dict(), pairs, 8 / 4)
    loss = torch.stack([one(formulas, asked, batch, *each) for each in enumerate(CLIPS)]).mean()
    return loss, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True), strict=True))


def one(formulas, asked, batch, at, index):
    clip = asked.clips[index]
    sigma, audio_sigma = (float(batch.tensors[name][at]) for name in ("sigma", "audio_sigma"))
    given_T = batch.tensors["given_T"][at] if "given_T" in batch.tensors else torch.zeros(clip.tokens)
    clean_TC = torch.load(clip.latents)["latents"].float().permute(1, 2, 3, 0).reshape(-1, 128)
    point_TC = batch.tensors["video"][at]
    noise_TC = (point_TC - (1 - sigma) * clean_TC) / sigma
    words = load_file(asked.empty if asked.config.caption_dropout == 1 else clip.text)
    text = words["video"].float()
    counted = given_T == 0
    assert point_TC[~counted].equal(clean_TC[~counted])
    if asked.config.modalities == "video":
        velocity_TC, _ = formulas.velocities(clip, point_TC, sigma * (1 - given_T), text)
        return (velocity_TC - (noise_TC - clean_TC))[counted].square().mean()
    heard_TC = batch.tensors["audio"][at]
    sound_TC = torch.load(clip.audio)["latents"].permute(1, 0, 2).flatten(1)
    audio_noise_TC = (heard_TC - (1 - audio_sigma) * sound_TC) / audio_sigma
    velocity_TC, audio_velocity_TC = formulas.velocities(
        clip, point_TC, sigma * (1 - given_T), text, heard_TC, audio_sigma, words["audio"].float()
    )
    video = (velocity_TC - (noise_TC - clean_TC))[counted].square().mean()
    return video + (audio_velocity_TC - (audio_noise_TC - sound_TC)).square().mean()


SEPARATE = {"sigmas": "separate"}
VIDEO = {"modalities": "video"}
PLAIN = {"base": "fp32", "checkpointing": "none", "compile": "off"}
SELECTIVE = {**PLAIN, "checkpointing": "selective"}
EXACT = 1e-5, 1e-4

# (what is trained, options of speed, (relative tolerance of the loss, of each gradient by its norm))
# "compiled" writes, builds and runs C++, half a minute for video alone. "graphs" is all but that, for video and sound:
# blocks are traced and taken apart into forward and backward, with what is computed again, and run by eager kernels.
# "fp8" multiplies in fp8 forward and backward, as this PyTorch does on a CPU; "storage" multiplies what is unpacked.
SETTINGS = {
    "plain": ({}, PLAIN, EXACT),
    "separate sigmas": (SEPARATE, PLAIN, EXACT),
    "first frame": ({"first_frame": 1.0}, PLAIN, EXACT),
    "no caption": ({"caption_dropout": 1.0}, PLAIN, EXACT),
    "full checkpointing": ({"first_frame": 0.5, **SEPARATE}, {**PLAIN, "checkpointing": "full"}, EXACT),
    "selective checkpointing": (SEPARATE, SELECTIVE, EXACT),
    "graphs": ({"first_frame": 0.5, **SEPARATE}, {**SELECTIVE, "compile": "on"}, EXACT),
    "bf16": (SEPARATE, {**PLAIN, "base": "bf16"}, (1e-2, 0.1)),
    "int8": (SEPARATE, {**PLAIN, "base": "int8"}, (1e-2, 0.1)),
    "fp8 storage": (SEPARATE, {**PLAIN, "base": "fp8-storage", "checkpointing": "full"}, (2e-2, 0.3)),
    "fp8": (SEPARATE, {**SELECTIVE, "base": "fp8"}, (2e-2, 0.3)),
    "video only": (VIDEO, PLAIN, EXACT),
    "video only, first frame, full checkpointing": (
        {**VIDEO, "first_frame": 1.0}, {**PLAIN, "checkpointing": "full"}, EXACT,
    ),
    "video only, selective checkpointing": (VIDEO, SELECTIVE, EXACT),
    "video only, compiled": (VIDEO, {**SELECTIVE, "compile": "on"}, EXACT),
    "video only, int8": (VIDEO, {**PLAIN, "base": "int8"}, (1e-2, 0.1)),
    "video only, fp8 storage": (VIDEO, {**PLAIN, "base": "fp8-storage"}, (2e-2, 0.3)),
    "video only, fp8": (VIDEO, {**SELECTIVE, "base": "fp8"}, (2e-2, 0.3)),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # Dynamo's own.
@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_s_loss_and_all_its_gradients_are_the_formula_s(name, tmp_path, monkeypatch):
    settings, options, (near, nearly) = SETTINGS[name]
    if name == "graphs":
        monkeypatch.setattr(blocks, "COMPILER", "aot_eager_decomp_partition")
    asked = tiny.training(tmp_path, clips=4, held_out=0, sampler="uniform", **settings)
    transformer, objective, parameters = ours(asked, Speed(**options))
    batch = objective.draw(CLIPS, [generator("test", 1, at) for at in range(len(CLIPS))])
    loss = objective.losses(transformer, batch).mean()
    loss.backward()
    wanted, gradients = expected(asked, batch, parameters)
    # Blocks, matrices, and q k v o of six attentions, or of the two that video alone goes through.
    assert len(parameters) == 2 * 2 * 4 * (2 if settings.get("modalities") else 6)
    assert loss.item() == pytest.approx(wanted.item(), rel=near)
    off = {each: ((p.grad - gradients[each]).norm() / gradients[each].norm()).item() for each, p in parameters.items()}
    assert max(off.values()) < nearly, {each: round(value, 5) for each, value in off.items() if value > nearly}
