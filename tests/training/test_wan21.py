"""The step of Wan2.1's training against formulas written out here; what it keeps, and how it goes on."""

import math

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from pipeline.models import wan21 as models
from pipeline.training import blocks, lora, speed, wan21
from pipeline.training.planning import Adapters, Card, Speed
from pipeline.training.randomness import generator

from . import tiny_wan21 as tiny

HEADS, SIDE = 2, 16
"""Of the tiny transformer; of its 16 channels a head, rotation takes 8 for time, 4 for rows and 4 for columns."""


def reference(weights, pairs, scale, clean, noise, sigma, text):
    """The loss of one sample in fp32: rectified flow, and Wan2.1's transformer from its paper and checkpoint.

    `weights` by the checkpoint's names, `pairs` (A, B) by module. Nothing is called but torch's own functions.
    """

    def linear(name, x):
        added = 0.0
        if name in pairs:
            a, b = pairs[name]
            added = scale * (x @ a.T @ b.T)
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"] + added

    def layer_norm(x, name=None):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        return x if name is None else x * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def rms_norm(x, name):
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * weights[f"{name}.weight"]

    channels, frames, height, width = clean.shape
    grid = frames, height // 2, width // 2
    places = torch.stack(torch.meshgrid(*(torch.arange(n).double() for n in grid), indexing="ij"), -1).reshape(-1, 3)
    angles = torch.cat(
        [places[:, [axis]] / 10000 ** (torch.arange(0, n, 2) / n) for axis, n in enumerate((8, 4, 4))], dim=1
    )
    turn = torch.polar(torch.ones_like(angles), angles)[:, None]  # (tokens, 1, pairs of channels)

    def rotated(x):
        x = torch.view_as_complex(x.double().reshape(*x.shape[:-1], -1, 2)) * turn
        return torch.view_as_real(x).flatten(-2).float()

    def attention(name, x, memory, rotate):
        q, k = (rms_norm(linear(f"{name}.to_{n}", y), f"{name}.norm_{n}") for n, y in (("q", x), ("k", memory)))
        q, k, v = (each.unflatten(-1, (HEADS, SIDE)) for each in (q, k, linear(f"{name}.to_v", memory)))
        if rotate:
            q, k = rotated(q), rotated(k)
        share = (torch.einsum("qhc,khc->hqk", q, k) / math.sqrt(SIDE)).softmax(-1)
        return linear(f"{name}.to_out.0", torch.einsum("hqk,khc->qhc", share, v).flatten(1))

    def gelu(x):
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    noised = (1 - sigma) * clean + sigma * noise
    patches = noised.reshape(channels, frames, height // 2, 2, width // 2, 2).permute(1, 2, 4, 0, 3, 5).flatten(3)
    x = patches.flatten(0, 2) @ weights["patch_embedding.weight"].flatten(1).T + weights["patch_embedding.bias"]

    embedder = "condition_embedder"
    frequencies = 10000 ** (-torch.arange(16) / 16)
    waves = torch.cat([(1000 * sigma * frequencies).cos(), (1000 * sigma * frequencies).sin()])
    time = linear(
        f"{embedder}.time_embedder.linear_2", functional.silu(linear(f"{embedder}.time_embedder.linear_1", waves))
    )
    modulation = linear(f"{embedder}.time_proj", functional.silu(time)).reshape(6, -1)
    words = torch.cat([text, torch.zeros(512 - len(text), text.shape[1])])
    words = linear(f"{embedder}.text_embedder.linear_2", gelu(linear(f"{embedder}.text_embedder.linear_1", words)))

    for block in ("blocks.0", "blocks.1"):
        shift1, scale1, gate1, shift2, scale2, gate2 = weights[f"{block}.scale_shift_table"][0] + modulation
        own = layer_norm(x) * (1 + scale1) + shift1
        x = x + attention(f"{block}.attn1", own, own, rotate=True) * gate1
        x = x + attention(f"{block}.attn2", layer_norm(x, f"{block}.norm2"), words, rotate=False)
        inner = gelu(linear(f"{block}.ffn.net.0.proj", layer_norm(x) * (1 + scale2) + shift2))
        x = x + linear(f"{block}.ffn.net.2", inner) * gate2

    shift, scale_out = weights["scale_shift_table"][0] + time
    x = linear("proj_out", layer_norm(x) * (1 + scale_out) + shift)
    velocity = x.reshape(*grid, 2, 2, channels).permute(5, 0, 1, 3, 2, 4).reshape(clean.shape)
    return (velocity - (noise - clean)).square().mean()


def ours(asked, options):
    """(transformer, its objective, the LoRA's parameters by module and side) as `wan21.train` makes them, B not 0."""
    setting = speed.plan(
        "wan21", asked.transformer_config, wan21.shapes(asked), Adapters(4, asked.config.targets), options,
        Card("CPU", "cpu"),
    )  # fmt: skip
    dtype = torch.float32 if setting.base == "fp32" else torch.bfloat16
    transformer = asked.load(dtype)
    speed.prepare(transformer, setting)
    parameters = lora.attach(transformer, rank=4, alpha=8, targets=asked.config.targets, seed=3)
    for name, parameter in parameters.items():
        if "lora_B" in name:
            parameter.data = torch.randn(parameter.shape, generator=generator(name)) * 0.05
    speed.finish(transformer, setting, wan21.shapes(asked))
    return transformer.train(), wan21.Objective(asked, dtype), parameters


def expected(asked, indexes, batch, parameters):
    """The reference's mean loss of a batch, and its gradients. Of the batch it reads sigma and noise only."""
    weights = asked.load(torch.float32).state_dict()
    leaves = {name: each.detach().clone().requires_grad_() for name, each in parameters.items()}
    modules = {name.split(".lora_")[0] for name in leaves}
    pairs = {m: tuple(leaves[f"{m}.lora_{side}.default.weight"] for side in "AB") for m in modules}
    losses = []
    for index, point, sigma in zip(indexes, batch.tensors["video"], batch.tensors["sigma"], strict=True):
        clean = load_file(asked.clips[index].latents)["latents"].float()
        noise = (point - (1 - sigma) * clean) / sigma
        text = load_file(asked.clips[index].text)["embedding"].float()
        losses.append(reference(weights, pairs, 8 / 4, clean, noise, sigma, text))
    loss = torch.stack(losses).mean()
    return loss, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))


# (options, relative tolerance of the loss, of each gradient by its norm). "compiled" writes, builds and runs C++;
# "graphs" traces the blocks and takes them apart in the same way, and runs eager kernels. "fp8" multiplies in
# fp8 forward and backward, as this PyTorch does on a CPU; "storage" multiplies what is unpacked.
SETTINGS = {
    "plain": ({"base": "fp32", "checkpointing": "none", "compile": "off"}, 1e-5, 1e-4),
    "selective checkpointing": ({"base": "fp32", "checkpointing": "selective", "compile": "off"}, 1e-5, 1e-4),
    "full checkpointing": ({"base": "fp32", "checkpointing": "full", "compile": "off"}, 1e-5, 1e-4),
    "compiled": ({"base": "fp32", "checkpointing": "selective", "compile": "on"}, 1e-5, 1e-4),
    "bf16": ({"base": "bf16", "checkpointing": "none", "compile": "off"}, 1e-2, 0.1),
    "int8": ({"base": "int8", "checkpointing": "none", "compile": "off"}, 1e-2, 0.1),
    "fp8 storage": ({"base": "fp8-storage", "checkpointing": "full", "compile": "off"}, 2e-2, 0.3),
    "fp8": ({"base": "fp8", "checkpointing": "none", "compile": "off"}, 2e-2, 0.3),
    "fp8, graphs": ({"base": "fp8", "checkpointing": "selective", "compile": "on"}, 2e-2, 0.3),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # Dynamo's own.
@pytest.mark.parametrize("name", SETTINGS)
def test_a_step_s_loss_and_all_its_gradients_are_the_formula_s(name, tmp_path, monkeypatch):
    options, near, nearly = SETTINGS[name]
    if "graphs" in name:
        monkeypatch.setattr(blocks, "COMPILER", "aot_eager_decomp_partition")
    asked = tiny.training(tmp_path, rank=4, alpha=8, tokens=400)
    transformer, objective, parameters = ours(asked, Speed(**options))
    batch = objective.draw([0, 1], [generator("a"), generator("b")])
    loss = objective.losses(transformer, batch).mean()
    loss.backward()
    wanted, gradients = expected(asked, (0, 1), batch, parameters)
    assert len(parameters) == 2 * 2 * 10  # Blocks, matrices, and q k v o twice and two of the feed-forward.
    assert loss.item() == pytest.approx(wanted.item(), rel=near)
    off = {n: ((p.grad - gradients[n]).norm() / gradients[n].norm()).item() for n, p in parameters.items()}
    assert max(off.values()) < nearly, {n: round(v, 5) for n, v in off.items() if v > nearly}


def test_sigmas_are_logit_normal_moved_towards_noise_by_3(tmp_path):
    objective = wan21.Objective(tiny.training(tmp_path, clips=1, held_out=0))
    sigmas = torch.tensor([objective.draw([0], [generator("sigma", n)]).sigmas[0] for n in range(400)])
    straight = (sigmas / (3 - 2 * sigmas)).logit()  # The inverse of 3 s / (1 + 2 s), then of the sigmoid.
    assert abs(straight.mean()) < 0.15
    assert abs(straight.std() - 1) < 0.1


def test_a_sample_without_its_caption_is_given_the_empty_text(tmp_path):
    asked = tiny.training(tmp_path, clips=1, held_out=0, caption_dropout=1.0)
    text = wan21.Objective(asked).draw([0], [generator("any")]).tensors["text"][0]
    assert text[:1].equal(load_file(asked.empty)["embedding"].float())
    assert (len(text), text[1:].any().item()) == (models.TEXT_TOKENS, False)


def test_the_loop_pads_texts_as_the_pipeline_does():
    assert wan21.TEXT_TOKENS == models.TEXT_TOKENS
