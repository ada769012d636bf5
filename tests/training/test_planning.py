import gc
import weakref
from dataclasses import replace

import diffusers
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.training import blocks, estimating, lora, ltx2, speed, wan21
from pipeline.training.planning import Adapters, Card, Setting, Shape, Speed, plan
from pipeline.training.randomness import generator

from . import tiny, tiny_wan21

LTX2 = {"num_layers": 48, "rope_type": "split"}
SHAPE = Shape(1, 4290, 101, 1024)
LORA = Adapters(32, ("to_q", "to_k", "to_v", "to_out.0"))


def card(gigabytes: float) -> Card:
    return Card("a card", "cuda", int(gigabytes * 1e9), int(gigabytes * 1e9), (8, 9))


def test_ltx2_fits_48_gb_in_bf16() -> None:
    setting = plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(48))
    assert setting.base == "bf16"
    assert setting.estimated_bytes < 48e9


def test_estimates_for_an_80_gb_card_tell_the_peaks_measured_there() -> None:
    selective = plan("ltx2", LTX2, [SHAPE], LORA, Speed(checkpointing="selective"), card(85))
    assert selective.estimated_bytes == pytest.approx(47.19e9, rel=0.1)
    fp8 = plan("ltx2", LTX2, [SHAPE], LORA, Speed(base="fp8", checkpointing="none"), card(70))
    assert fp8.estimated_bytes == pytest.approx(57.4e9, rel=0.1)


def test_weights_in_fp8_lie_there_for_both_ways_where_there_is_room() -> None:
    asked = Speed(base="fp8", checkpointing="none")
    small, large = (plan("ltx2", LTX2, [SHAPE], LORA, asked, card(gigabytes)) for gigabytes in (70, 85))
    assert (small.is_turned, large.is_turned) == (False, True)
    assert large.estimated_bytes - small.estimated_bytes == pytest.approx(18.5e9, rel=0.01)  # A byte each.
    assert "fp8 for both ways" in large.words
    assert not plan("ltx2", LTX2, [SHAPE], LORA, Speed(base="bf16"), card(200)).is_turned


@pytest.mark.parametrize(
    ("gigabytes", "base", "kept"),
    [(96, "bf16", "none"), (80, "bf16", "selective"), (49, "bf16", "full"), (40, "int8", "selective")],
)
def test_the_fastest_that_fits_is_chosen_and_said(gigabytes, base, kept) -> None:
    """Nothing recomputed before attention kept before all twice, and all of these before other weights."""
    setting = plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(gigabytes))
    assert (setting.base, setting.checkpointing) == (base, kept)
    assert setting.estimated_bytes <= 0.92 * gigabytes * 1e9
    assert f"base weights in {base}" in setting.words
    assert f"{setting.estimated_bytes / 1e9:.1f} GB of {0.92 * gigabytes:.1f} GB on a card" in setting.words


def test_what_cannot_fit_is_refused_with_numbers() -> None:
    with pytest.raises(ValueError, match=r"take .* GB even with the base in int8.*has room for 14"):
        plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(16))


def test_several_gpus_share_a_base_that_fits_none_of_them_whole() -> None:
    wan14 = {"num_layers": 40}
    shape, linears = Shape(1, 20_280, 0, 512), Adapters(32, ("to_q", "to_k", "to_v", "to_out.0"))
    assert plan("wan21", wan14, [shape], linears, Speed(), card(34)).base == "int8"
    shared = plan("wan21", wan14, [shape], linears, Speed(), card(34), gpus=4)
    assert (shared.base, shared.is_sharded) == ("bf16", True)
    assert "a part of 4 on each GPU" in shared.words
    assert not plan("wan21", wan14, [shape], linears, Speed(), card(80), gpus=4).is_sharded


def test_where_more_gpus_would_do_it_says_so() -> None:
    with pytest.raises(ValueError, match="gpus = 4"):
        plan("ltx2", LTX2, [SHAPE], LORA, Speed(), card(21))


def test_a_base_in_8_bits_is_never_in_parts() -> None:
    with pytest.raises(ValueError, match="cannot be sharded: set"):
        plan("ltx2", LTX2, [SHAPE], LORA, Speed(base="int8", sharding="on"), card(80), gpus=2)


# (model, shape, targets, speed, peak on an H100 80GB or an H200 in GB, as benchmarks/gpu-log.md has it)
WAN = {"num_layers": 30, "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960}
ALL = Adapters(32, (*LORA.targets, "ffn.net.0.proj", "ffn.net.2"))
MEASURED = {
    "LTX-2 704x480x97 selective": ("ltx2", LTX2, SHAPE, LORA, {"checkpointing": "selective"}, 47.3),
    "LTX-2 704x480x97 full": ("ltx2", LTX2, SHAPE, LORA, {"checkpointing": "full"}, 43.5),
    "LTX-2 704x480x97 none": ("ltx2", LTX2, SHAPE, LORA, {"checkpointing": "none"}, 76.5),
    "LTX-2 704x480x97 fp8": ("ltx2", LTX2, SHAPE, LORA, {"base": "fp8", "checkpointing": "none"}, 76.5),
    "Wan 832x480x49": ("wan21", WAN, Shape(1, 20_280, 0, 512), ALL, {"checkpointing": "none"}, 37.0),
    "Wan 832x480x81": ("wan21", WAN, Shape(1, 32_760, 0, 512), ALL, {"checkpointing": "none"}, 57.3),
    "Wan 832x480x81 selective": ("wan21", WAN, Shape(1, 32_760, 0, 512), ALL, {"checkpointing": "selective"}, 17.0),
}


@pytest.mark.parametrize("name", MEASURED)
def test_estimates_are_within_a_tenth_of_every_peak_measured_on_a_gpu(name: str) -> None:
    kind, config, shape, adapters, speed, peak = MEASURED[name]
    setting = plan(kind, config, [shape], adapters, Speed(**speed), card(200))
    assert setting.estimated_bytes == pytest.approx(peak * 1e9, rel=0.1)


class Living(TorchDispatchMode):
    """Bytes of all that operations made inside of it and that still lives, but for the model's own weights."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.weights = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}
        self.sizes: dict[int, int] = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        found = function(*args, **(kwargs or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor):
                storage = each.untyped_storage()
                if storage._cdata not in self.sizes and storage.data_ptr() not in self.weights:
                    self.sizes[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.sizes.pop, storage._cdata, None)
        return found


def kept_by_a_block(make, asked, kept: str) -> tuple[float, estimating.Model, Shape]:
    """Bytes that live after a forward pass for each block more, of a real small model in bf16."""
    living, found = [], None
    for layers in (1, 3):
        kind, cls, config, losses, shape, targets = make(asked, layers)
        setting = Setting(
            base="bf16", checkpointing=kept, checkpointed=layers, compile=False, attention="auto", optimizer="adamw",
            estimated_bytes=0, words="",
        )  # fmt: skip
        model = cls(**config).to(torch.bfloat16)
        speed.prepare(model, setting)
        lora.attach(model, rank=4, alpha=4, targets=targets)
        speed.finish(model, setting)
        blocks.begin_gradients([model.proj_in, model.audio_proj_in] if kind == "ltx2" else [model.patch_embedding])
        with Living(model) as mode:
            said = losses(model)
        gc.collect()
        living.append(sum(mode.sizes.values()))
        del said
        found = estimating.Model.of(kind, config, 4, tuple(targets)), shape
    assert found is not None
    return (living[1] - living[0]) / 2, *found


def small_ltx2(asked, layers: int):
    config = {**tiny.FIELDS, "num_layers": layers}
    batch = ltx2.Objective(asked, torch.bfloat16).question(0, 0.5, generator(1))
    clip = asked.held_out[0]
    shape = Shape(1, clip.tokens, clip.audio_steps, tiny.TEXT_TOKENS)
    objective = ltx2.Objective(asked, torch.bfloat16)
    cls = diffusers.LTX2VideoTransformer3DModel
    return "ltx2", cls, config, lambda model: objective.losses(model, batch), shape, ltx2.targets(asked.config)


def small_wan21(asked, layers: int):
    config = {**asked.transformer_config, "num_layers": layers}
    config = {name: value for name, value in config.items() if not name.startswith("_")}
    objective = wan21.Objective(asked, torch.bfloat16)
    batch = objective.question(0, 0.5, generator(1))
    (tokens,) = {asked.tokens(clip) for clip in asked.held_out}
    shape = Shape(1, tokens, 0, wan21.TEXT_TOKENS)
    cls = diffusers.WanTransformer3DModel
    return "wan21", cls, config, lambda model: objective.losses(model, batch), shape, asked.config.targets


@pytest.mark.parametrize(
    ("make", "training"), [(small_ltx2, tiny.training), (small_wan21, tiny_wan21.training)], ids=["ltx2", "wan21"]
)
@pytest.mark.parametrize("kept", ["selective", "full"])
def test_what_recomputing_blocks_keep_is_what_is_counted(make, training, kept, tmp_path) -> None:
    asked = training(tmp_path, clips=1, held_out=0)
    large = (
        tiny.clip(tmp_path, "large", (4, 16, 16), audio_steps=200)
        if make is small_ltx2
        else tiny_wan21.clip(tmp_path, "large", (4, 32, 32), 3, 0)
    )
    asked = replace(asked, held_out=[large])
    living, model, shape = kept_by_a_block(make, asked, kept)
    inputs = 2 * (shape.video_tokens * model.video + shape.audio_tokens * model.audio)
    counted = inputs + (model.attended(shape, 2) if kept == "selective" else 0)
    assert living == pytest.approx(counted, rel=0.1)


# What a block keeps where nothing heavy is computed again, counted on small blocks of the true shapes: the compiler
# takes them apart into forward and backward as for a GPU, and eager kernels run what it gives.


def saved_by_a_block(kind, asked, batch, config) -> float:
    """Bytes that are saved for the backward pass for each block more, all blocks compiled."""
    module, targets = (ltx2 if kind == "ltx2" else wan21), asked.config.targets
    cls = diffusers.LTX2VideoTransformer3DModel if kind == "ltx2" else diffusers.WanTransformer3DModel
    saved = []
    for layers in (1, 2):
        wishes = Speed(compile="on", base="bf16")
        setting = plan(kind, config, [SHAPE], Adapters(4, targets), wishes, Card("CPU", "cpu"))
        model = cls(**{**config, "num_layers": layers})
        for name, each in model.named_parameters():
            if not set(name.split(".")) & set(model._keep_in_fp32_modules or ()):
                each.data = each.data.bfloat16()
        lora.attach(model, rank=4, alpha=4, targets=targets)
        speed.finish(model, setting)
        weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
        sizes: dict[int, int] = {}

        def see(tensor: torch.Tensor, weights=weights, sizes=sizes) -> torch.Tensor:
            if (storage := tensor.untyped_storage()).data_ptr() not in weights:
                sizes[storage.data_ptr()] = storage.nbytes()
            return tensor

        objective = module.Objective(asked, torch.bfloat16)
        objective.losses(model.train(), batch)  # Compiling calls the hooks too.
        with torch.autograd.graph.saved_tensors_hooks(see, lambda tensor: tensor):
            loss = objective.losses(model, batch)
        saved.append(sum(sizes.values()))
        loss.sum().backward()
    return saved[1] - saved[0]


WIDTH = {"num_attention_heads": 4, "attention_head_dim": 32}
LTX2_BLOCK = {
    **WIDTH, "cross_attention_dim": 128, "audio_num_attention_heads": 4, "audio_attention_head_dim": 16,
    "audio_cross_attention_dim": 64, "caption_channels": 32, "rope_type": "split",
}  # fmt: skip
WAN_BLOCK = {**WIDTH, "ffn_dim": 746, "text_dim": 32}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # Dynamo's own.
@pytest.mark.parametrize("kind", ["ltx2", "wan21"])
def test_a_compiled_block_that_computes_nothing_heavy_again_keeps_what_is_counted(kind, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(blocks, "COMPILER", "aot_eager_decomp_partition")
    if kind == "ltx2":
        config, asked = LTX2_BLOCK, tiny.training(tmp_path, clips=1, held_out=0)
        clip = tiny.clip(tmp_path, "large", (4, 16, 16), audio_steps=20)
    else:
        config, asked = WAN_BLOCK, tiny_wan21.training(tmp_path, clips=1, held_out=0)
        clip = tiny_wan21.clip(tmp_path, "large", (4, 32, 32), 3, 0)
    asked = replace(asked, held_out=[clip])
    module = ltx2 if kind == "ltx2" else wan21
    batch = module.Objective(asked, torch.bfloat16).question(0, 0.5, generator(1))
    counted = estimating.Model.of(kind, {**config, "num_layers": 1}, 4, asked.config.targets)
    (shape,) = {each for each in module.shapes(asked) if each.video_tokens == 1024}
    values = shape.video_tokens * counted.video + shape.audio_tokens * counted.audio
    rows = saved_by_a_block(kind, asked, batch, config) / (2 * values)
    assert rows == pytest.approx(estimating.KEPT_NONE[kind] + counted.inner, rel=0.1)
