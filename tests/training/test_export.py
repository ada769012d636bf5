"""LoRAs of small random transformers as files: loaded by diffusers' own pipelines, and by ComfyUI's rules."""

import re
import tomllib
from pathlib import Path

import pytest
import torch
from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file

from pipeline.training import export
from pipeline.training.export import About

WAN = {
    "num_attention_heads": 2,
    "attention_head_dim": 12,
    "text_dim": 16,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
}
LTX2 = {
    "in_channels": 4,
    "out_channels": 4,
    "num_attention_heads": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 16,
    "audio_in_channels": 4,
    "audio_out_channels": 4,
    "audio_num_attention_heads": 2,
    "audio_attention_head_dim": 4,
    "audio_cross_attention_dim": 8,
    "num_layers": 2,
    "caption_channels": 16,
    "rope_double_precision": False,
    "rope_type": "split",
}
TARGETS = {
    "wan21": ["to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"],
    "ltx2": ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2"],
}
ABOUT = {
    kind: About(kind=kind, base="someone/model", revision="abc", trigger="spies", dataset="d" * 64, step=20)
    for kind in TARGETS
}


def transformer(kind):
    torch.manual_seed(0)
    made = WanTransformer3DModel(**WAN) if kind == "wan21" else LTX2VideoTransformer3DModel(**LTX2)
    return made.eval()


def trained(kind, rank=4, alpha=4, seed=1):
    model = transformer(kind)
    torch.manual_seed(seed)
    model.add_adapter(LoraConfig(r=rank, lora_alpha=alpha, init_lora_weights=False, target_modules=TARGETS[kind]))
    for name, parameter in model.named_parameters():
        if "lora_" in name:  # What bfloat16 holds, so that files change nothing.
            parameter.data = parameter.data.bfloat16().float()
    return model


@torch.no_grad()
def said(kind, model):
    torch.manual_seed(2)
    if kind == "wan21":
        return model(torch.randn(1, 16, 3, 4, 4), torch.tensor([500.0]), torch.randn(1, 7, 16), return_dict=False)
    return model(
        hidden_states=torch.randn(1, 8, 4),
        audio_hidden_states=torch.randn(1, 5, 4),
        encoder_hidden_states=torch.randn(1, 6, 16),
        audio_encoder_hidden_states=torch.randn(1, 6, 16),
        timestep=torch.tensor([[500.0]]),
        audio_timestep=torch.tensor([[500.0]]),
        num_frames=2,
        height=2,
        width=2,
        audio_num_frames=5,
        return_dict=False,
    )


def pipeline(kind):
    if kind == "wan21":
        return WanPipeline(None, None, None, UniPCMultistepScheduler(), transformer(kind))
    return LTX2Pipeline(FlowMatchEulerDiscreteScheduler(), None, None, None, None, None, transformer(kind), None)


def comfyui(state, model, renamed):
    """What ComfyUI does: keys are original names behind `diffusion_model.`, a pair without alpha has scale 1."""
    modules = {f"diffusion_model.{renamed(name)}": name for name, _ in model.named_modules()}
    weights = dict(model.named_parameters())
    used = set()
    for name, module in modules.items():
        if f"{name}.lora_A.weight" not in state:
            continue
        scale = 1 if f"{name}.alpha" not in state else state[f"{name}.alpha"] / len(state[f"{name}.lora_A.weight"])
        with torch.no_grad():
            up, down = (state[f"{name}.lora_{side}.weight"].float() for side in "BA")
            weights[f"{module}.weight"] += scale * up @ down
        used |= {f"{name}.lora_{side}.weight" for side in "AB"}
    return set(state) - used


def wan_original(name):
    name = name.replace("attn1", "self_attn").replace("attn2", "cross_attn")
    name = name.replace("ffn.net.0.proj", "ffn.0").replace("ffn.net.2", "ffn.2")
    return re.sub(r"\.to_(q|k|v)$", r".\1", name).replace(".to_out.0", ".o")


@pytest.mark.parametrize("kind", TARGETS)
def test_diffusers_own_loader_gives_the_model_that_was_trained(kind, tmp_path):
    model = trained(kind)
    export.save(tmp_path / "lora.safetensors", get_peft_model_state_dict(model), ABOUT[kind])
    loaded = pipeline(kind)
    before = said(kind, loaded.transformer)
    loaded.load_lora_weights(tmp_path, weight_name="lora.safetensors", adapter_name="mine")
    for ours, theirs, base in zip(said(kind, model), said(kind, loaded.transformer), before, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert (ours - base).abs().max() > 1e-3


@pytest.mark.parametrize("kind", TARGETS)
def test_comfyui_finds_a_module_for_every_key_and_the_same_model_comes_of_it(kind, tmp_path):
    model, plain = trained(kind), transformer(kind)
    export.save(tmp_path / "lora.safetensors", get_peft_model_state_dict(model), ABOUT[kind])
    rename = wan_original if kind == "wan21" else lambda name: name
    assert comfyui(load_file(tmp_path / "lora.safetensors"), plain, rename) == set()
    for ours, theirs in zip(said(kind, model), said(kind, plain), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_wan_keys_are_those_of_the_original_model(tmp_path):
    export.save(tmp_path / "lora.safetensors", get_peft_model_state_dict(trained("wan21")), ABOUT["wan21"])
    names = {key.rpartition(".lora_")[0] for key in load_file(tmp_path / "lora.safetensors")}
    layers = [f"{kind}_attn.{part}" for kind in ("self", "cross") for part in "qkvo"] + ["ffn.0", "ffn.2"]
    assert names == {f"diffusion_model.blocks.{block}.{layer}" for block in (0, 1) for layer in layers}


def test_an_alpha_that_is_not_the_rank_goes_into_the_matrices(tmp_path):
    model = trained("wan21", rank=4, alpha=8)
    export.save(tmp_path / "lora.safetensors", get_peft_model_state_dict(model), ABOUT["wan21"], alpha=8)
    loaded = pipeline("wan21")
    loaded.load_lora_weights(tmp_path, weight_name="lora.safetensors")
    torch.testing.assert_close(said("wan21", model), said("wan21", loaded.transformer))


@pytest.mark.parametrize("kind", TARGETS)
def test_what_was_saved_is_loaded_by_the_names_of_peft(kind, tmp_path):
    state = get_peft_model_state_dict(trained(kind))
    export.save(tmp_path / "lora.safetensors", state, ABOUT[kind])
    loaded, about = export.load(tmp_path / "lora.safetensors")
    assert about == ABOUT[kind]
    assert set(loaded) == set(state)
    for name, tensor in loaded.items():
        torch.testing.assert_close(tensor.float(), state[name], atol=0, rtol=0)


def test_the_same_lora_gives_the_same_bytes_and_the_header_says_where_it_comes_from(tmp_path):
    state = get_peft_model_state_dict(trained("wan21"))
    about = ABOUT["wan21"].model_copy(update={"config": {"steps": 20, "rank": 4}, "trigger": "Ünïque"})
    export.save(tmp_path / "a.safetensors", state, about)
    export.save(tmp_path / "b.safetensors", dict(reversed(state.items())), about)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    with safe_open(tmp_path / "a.safetensors", "pt") as opened:
        header = opened.metadata()
        assert {opened.get_tensor(key).dtype for key in opened.keys()} == {torch.bfloat16}  # noqa: SIM118
    assert (header["base"], header["revision"], header["step"]) == ("someone/model", "abc", "20")
    assert header["trigger"] == "Ünïque"


def test_the_version_in_files_is_the_products():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == export.VERSION


def test_what_other_programs_could_not_load_is_refused(tmp_path):
    half = {"blocks.0.attn1.to_q.lora_A.weight": torch.ones(2, 4)}
    with pytest.raises(ValueError, match="only its matrix A"):
        export.save(tmp_path / "lora.safetensors", half, ABOUT["wan21"])
    unknown = {f"blocks.0.norm2.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    with pytest.raises(ValueError, match=r"blocks.0.norm2 has no name in wan21's original model"):
        export.save(tmp_path / "lora.safetensors", unknown, ABOUT["wan21"])
    with pytest.raises(ValueError, match="no module of the model carries one"):
        export.save(tmp_path / "lora.safetensors", {}, ABOUT["wan21"])


def test_a_file_of_others_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"lora_unet_blocks_0.lora_down.weight": torch.ones(2, 2)}, tmp_path / "theirs.safetensors")
    with pytest.raises(ValueError, match="does not say that Dailies wrote it"):
        export.load(tmp_path / "theirs.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="not a safetensors file"):
        export.load(tmp_path / "broken.safetensors")
