"""How fast and how small a step of LoRA training is: ours, each lever of it alone, and a plain loop, in one run.

    python -m benchmarks.training [--models wan13 ltx2] [--shapes 832x480x49 ...] [--levers plain ours ours-fp8 ...]
    python -m benchmarks.training --correct      errors of every way to compute against fp32, on a small model

Full-size models with random weights, made on the GPU; random data; medians, warm-up and compilation outside. Without a
GPU it runs tiny models of the same architectures. `plain` is what one gets from diffusers, peft and autocast: every
block recomputed whole, a timestep for each token (LTX-2), torch's default AdamW. The other levers change one thing of
it; `ours` is what the planner chooses for the card. `mfu` counts what a step must compute, nothing that is computed
twice, against the card's own rate of bf16 products. The last line is JSON.
"""

import argparse
import collections
import contextlib
import gc
import json
import statistics
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.card import matmul_rate, seconds
from benchmarks.training_models import MODELS, Model, Size, build, flops, inputs, loss
from pipeline.training import adapters, attention, blocks, graphs, lora, ltx2, speed
from pipeline.training.copies import Copies
from pipeline.training.speed import Adapters, Card, Setting, Shape, Speed

RANK = 32
SHAPES = {
    "wan13": ("832x480x49", "832x480x81"), "ltx2": ("704x480x97", "960x544x49"), "wan14": ("832x480x49",),
    "small-ltx2": ("704x480x97",), "small-wan": ("416x240x17",), "tiny-ltx2": ("192x128x25",), "tiny-wan": ("96x64x9",),
}  # fmt: skip
LEVERS = ("plain", "attention", "compile", "selective", "timesteps", "adapters", "ours", "ours-fp8")


class Run(NamedTuple):
    """One lever, measured. `ratio_to_plain` is how many times faster it is; None where plain was not run."""

    model: str
    shape: str
    lever: str
    step_ms: float
    tokens_s: float
    mfu: float | None
    peak_gb: float | None
    reserved_gb: float | None
    estimated_gb: float | None
    first_s: float
    words: str
    ratio_to_plain: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=sorted(MODELS))
    parser.add_argument("--shapes", nargs="+", help="WIDTHxHEIGHTxFRAMES")
    more = "also ours-int8, ours-SETTING=VALUE,...; with ,launched at its end: without CUDA graphs"
    parser.add_argument("--levers", nargs="+", default=list(LEVERS), help=more)
    parser.add_argument("--steps", type=int, default=5, help="timed steps of each")
    parser.add_argument("--cap-gb", type=float, help="act as if the card had no more than this")
    parser.add_argument("--correct", nargs="*", metavar="WORD", help="only ways whose names hold one of these")
    parser.add_argument("--profile", action="store_true", help="what takes longest in a step of each")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if arguments.cap_gb and device == "cuda":
        torch.cuda.set_per_process_memory_fraction(
            min(1.0, arguments.cap_gb * 1e9 / torch.cuda.get_device_properties(0).total_memory)
        )
    if arguments.correct is not None:
        print(json.dumps({"errors": correct(device, arguments.models, arguments.correct)}))
        return
    rate = matmul_rate(device)
    print(f"{Card.here().name}: bf16 products at {rate / 1e12:.1f} TFLOP/s; torch {torch.__version__}", flush=True)
    models = arguments.models or (["wan13", "ltx2"] if device == "cuda" else ["tiny-wan", "tiny-ltx2"])
    found: list[Run] = []
    for name in models:
        for size in arguments.shapes or SHAPES[name]:
            for lever in arguments.levers:
                run = tried(name, size, lever, device, rate, arguments)
                if run:
                    plain = [each.step_ms for each in found if each[:3] == (name, size, "plain")]
                    found.append(run._replace(ratio_to_plain=round(plain[0] / run.step_ms, 2) if plain else None))
                    print(json.dumps(found[-1]._asdict()), flush=True)
    print(json.dumps({"card": Card.here().name, "tflops": rate / 1e12, "runs": [each._asdict() for each in found]}))


def tried(name: str, size: str, lever: str, device: str, rate: float, arguments: argparse.Namespace) -> Run | None:
    """None where it fails, having said why: one lever that does not fit must not lose the others."""
    gc.collect()
    torch._dynamo.reset()
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        return measured(name, Size.of(size), lever, device, rate, arguments)
    except torch.cuda.OutOfMemoryError as error:
        print(f"{name} {size} {lever}: {str(error).splitlines()[0]}", flush=True)
    except (RuntimeError, ValueError):
        print(f"{name} {size} {lever}: failed\n{traceback.format_exc()[-3000:]}", flush=True)
    return None


def measured(name: str, size: Size, lever: str, device: str, rate: float, arguments: argparse.Namespace) -> Run:
    model = MODELS[name]
    shape = size.shape(model)
    begun = time.perf_counter()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    ours = lever.startswith("ours")
    setting = settled(model, shape, lever, arguments.cap_gb) if ours else None
    if setting:
        step = our_step(model, size, dtype, device, setting, not lever.endswith("launched"))
    else:
        step = plain_step(model, size, dtype, device, lever)
    step()
    first = time.perf_counter() - begun
    for _ in range(3):  # Until the shape has its graph.
        step()
    times = [seconds(step, device) for _ in range(arguments.steps)]
    if arguments.profile:
        profiled(step, f"{name} {size} {lever}")
    middle = statistics.median(times)
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else None
    return Run(
        name, f"{size.width}x{size.height}x{size.frames}", lever,
        step_ms=round(middle * 1000, 1),
        tokens_s=round((shape.video_tokens + shape.audio_tokens) / middle),
        mfu=round(flops(model, shape, RANK) / middle / rate, 3),
        peak_gb=round(peak / 1e9, 2) if peak else None,
        reserved_gb=round(torch.cuda.max_memory_reserved() / 1e9, 2) if peak else None,
        estimated_gb=round(setting.estimated_bytes / 1e9, 2) if setting else None,
        first_s=round(first, 1),
        words=setting.words if setting else "",
    )  # fmt: skip


def settled(model: Model, shape: Shape, lever: str, cap_gb: float | None) -> Setting:
    """The planner's choice under the wishes in the lever's name: `ours-fp8`, `ours-base=int8,compile=off`."""
    wishes: dict[str, Any] = {}
    for part in filter(None, lever.removeprefix("ours").removesuffix("launched").strip("-,").split(",")):
        key, _, value = part.partition("=")
        wishes.update({key: value} if value else {"base": part})
    if cap_gb and "max_memory_gb" not in wishes:
        wishes["max_memory_gb"] = cap_gb
    changes = {"checkpointed": int(wishes.pop("blocks"))} if "blocks" in wishes else {}
    adapters = Adapters(RANK, model.targets)
    setting = speed.plan(model.kind, _config(model), [shape], adapters, Speed(**wishes), Card.here())  # type: ignore[arg-type]
    return setting.model_copy(update=changes)


def our_step(
    model: Model, size: Size, dtype: torch.dtype, device: str, setting: Setting, use_graphs: bool
) -> Callable[[], None]:
    if setting.base == "fp32":
        dtype = torch.float32
    transformer = build(model, dtype, device)
    speed.prepare(transformer, setting)
    parameters = attach(transformer, model)
    words = speed.finish(transformer, setting, [size.shape(model)])
    print(f"  {setting.words} {words}", flush=True)
    optimizer = speed.optimizer(parameters, setting, 1e-4)
    given, wanted = inputs(model, size, dtype, device, per_token=False)
    if model.kind == "ltx2":
        shape = *size.latent("ltx2"), given["audio_num_frames"], given["fps"]
        given |= ltx2.positions(transformer, 1, torch.device(device), shape)
    tensors = {name: each for name, each in given.items() if isinstance(each, torch.Tensor)}

    is_graph = use_graphs and graphs.possible(
        torch.device(device), setting, processes=1, shapes=1, is_mixed=False, dropout=0.0
    )
    recorded = graphs.Graphs(parameters, print, graphs.CudaGraph.of) if is_graph else None
    copies = Copies(transformer, speed.dtype(transformer)) if is_graph else None

    def work(tensors: Mapping[str, torch.Tensor]) -> torch.Tensor:
        with copies.in_use() if copies else contextlib.nullcontext():
            lost = loss(transformer, {**given, **tensors}, wanted)
            lost.backward()  # type: ignore[no-untyped-call]
        return lost.detach()

    def step() -> None:
        if recorded:
            recorded.run("step", tensors, work)
        else:
            work(tensors)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0, foreach=True)
        optimizer.step()
        optimizer.zero_grad(set_to_none=recorded is None)

    return step


def plain_step(model: Model, size: Size, dtype: torch.dtype, device: str, lever: str) -> Callable[[], None]:
    """diffusers, peft, autocast and whole blocks recomputed; of what we do, only what `lever` names."""
    from peft import LoraConfig

    transformer = build(model, dtype, device).requires_grad_(False)
    if lever == "adapters":
        parameters = attach(transformer, model)
        adapters.fuse(transformer)
    else:
        transformer.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(model.targets)))
        parameters = [each for each in transformer.parameters() if each.requires_grad]
        for each in parameters:
            each.data = each.data.float().normal_(std=0.01)
    repeated = blocks.of(transformer)
    kernels = []
    if lever == "attention" and device == "cuda":
        asked = speed._attention(transformer, [size.shape(model)])
        found = attention.measure(asked, dtype, device)
        kernels = attention.order(found[0].name)
        print(f"  {attention.in_words(found)}", flush=True)
    if lever in {"attention", "compile", "selective"}:
        kept: blocks.Kept = "selective" if lever == "selective" else "full"
        blocks.recompute(repeated, kept, len(repeated), kernels)
    else:
        transformer.enable_gradient_checkpointing()
    if lever == "compile":
        blocks.compile_all(repeated, several_shapes=False)
    optimizer = torch.optim.AdamW(parameters, lr=1e-4)
    given, wanted = inputs(model, size, dtype, device, per_token=lever != "timesteps")

    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            lost = loss(transformer, given, wanted)
        lost.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def attach(transformer: Any, model: Model) -> list[torch.nn.Parameter]:
    """The product's LoRA; B is drawn too, for from zeros less would be computed than later."""
    trained = lora.attach(transformer, rank=RANK, alpha=RANK, targets=model.targets)
    generator = torch.Generator().manual_seed(1)
    for name, parameter in trained.items():
        if "lora_B" in name:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.01)
    return list(trained.values())


def profiled(step: Callable[[], None], title: str) -> None:
    """Kernels by the time they take in one step, longest first."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        step()
        torch.cuda.synchronize()
    kernels = [
        each for each in seen.key_averages() if each.self_device_time_total > 0 and each.device_type.name == "CUDA"
    ]
    total = sum(each.self_device_time_total for each in kernels)
    print(f"--- {title}: {total / 1000:.1f} ms of {sum(each.count for each in kernels)} kernels", flush=True)
    kinds: dict[str, float] = collections.defaultdict(float)
    for each in kernels:
        kinds[_kind(each.key)] += each.self_device_time_total / 1000
    print("    " + ", ".join(f"{kind} {spent:.1f} ms" for kind, spent in sorted(kinds.items())), flush=True)
    for each in sorted(kernels, key=lambda each: -each.self_device_time_total)[:100]:
        print(f"{each.self_device_time_total / 1000:9.2f} ms {each.count:6d} x  {each.key[:110]}", flush=True)


def _kind(kernel: str) -> str:
    """Which of the four parts of a step a kernel belongs to, by its name."""
    for kind, marks in _KINDS.items():
        if any(mark in kernel for mark in marks):
            return kind
    return "others"


_KINDS = {
    "attention": ("fmha", "flash", "sdpa", "cudnn_generated"),
    "products": ("gemm", "nvjet", "cutlass", "xmma", "splitK"),
    "elementwise": ("triton", "elementwise", "vectorized"),
}


# Correctness


def correct(device: str, models: Sequence[str] | None, words: Sequence[str]) -> list[dict[str, Any]]:
    """Relative errors of loss and LoRA gradients against eager fp32 without recomputation: |x - ref| / |ref|."""
    torch.backends.cuda.matmul.allow_tf32 = False
    found = []
    low = torch.bfloat16
    ways: list[tuple[str, torch.dtype, dict[str, Any]]] = [
        ("fp32 selective", torch.float32, {"checkpointing": "selective"}),
        ("fp32 full", torch.float32, {"checkpointing": "full"}),
        ("fp32 compiled, selective", torch.float32, {"checkpointing": "selective", "compile": True}),
        ("bf16", low, {}),
        ("bf16 compiled, selective", low, {"checkpointing": "selective", "compile": True}),
        ("fp8 compiled, selective", low, {"base": "fp8", "checkpointing": "selective", "compile": True}),
        ("fp8 compiled, both ways", low, {"base": "fp8", "is_turned": True, "compile": True}),
        ("fp8 eager", low, {"base": "fp8"}),
        ("fp8 storage", low, {"base": "fp8-storage"}),
        ("int8", low, {"base": "int8"}),
    ]
    for name in models or (("small-ltx2", "small-wan") if device == "cuda" else ("tiny-ltx2", "tiny-wan")):
        size = Size.of(SHAPES[name][0])
        reference = gradients(name, size, torch.float32, device, {})
        for way, dtype, changes in ways:
            if words and not any(word in way for word in words):
                continue
            torch._dynamo.reset()
            try:
                lost, gradient = gradients(name, size, dtype, device, changes)
            except Exception:  # A way that fails must not lose the others.
                print(f"{name} {way}: failed\n{traceback.format_exc()[-2500:]}", flush=True)
                continue
            error = {
                "model": name,
                "way": way,
                "loss": abs(lost - reference[0]) / reference[0],
                "gradient": float((gradient - reference[1]).norm() / reference[1].norm()),
            }
            found.append(error)
            print(f"{name:11s} {way:26s} loss {error['loss']:.1e} gradient {error['gradient']:.1e}", flush=True)
    return found


def gradients(
    name: str, size: Size, dtype: torch.dtype, device: str, changes: dict[str, Any]
) -> tuple[float, torch.Tensor]:
    model = MODELS[name]
    torch.manual_seed(0)
    transformer = build(model, torch.float32, device)
    if dtype != torch.float32:
        kept = transformer._keep_in_fp32_modules or ()
        for part, parameter in transformer.named_parameters():
            if not any(piece in part.split(".") for piece in kept):
                parameter.data = parameter.data.to(dtype)
    plain: dict[str, Any] = {
        "base": "bf16", "checkpointing": "none", "checkpointed": 99, "compile": False, "attention": "auto",
        "optimizer": "adamw", "estimated_bytes": 0, "words": "",
    }  # fmt: skip
    setting = Setting(**{**plain, **changes})
    if changes:
        speed.prepare(transformer, setting)
    trained = attach(transformer, model)
    if changes:
        speed.finish(transformer, setting)
    given, wanted = inputs(model, size, torch.float32, device, per_token=False)
    as_asked = {
        key: value.to(dtype) if torch.is_tensor(value) and "timestep" not in key else value
        for key, value in given.items()
    }
    lost = loss(transformer, as_asked, wanted)
    lost.backward()  # type: ignore[no-untyped-call]
    return float(lost), torch.cat([each.grad.float().flatten() for each in trained if each.grad is not None])


def _config(model: Model) -> dict[str, Any]:
    from benchmarks.training_models import _defaults

    return {**_defaults(model), **model.config}


if __name__ == "__main__":
    main()
