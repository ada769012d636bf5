"""A trained LoRA as one file that ComfyUI and diffusers both load, and back.

In training peft names each pair of matrices after diffusers' modules. The file names them after the modules of the
model's authors, behind `diffusion_model.`: ComfyUI knows no others of Wan2.1, and diffusers' pipelines translate these
back. Both take a pair without an `alpha` at scale 1, so that any other scale goes into the matrix B.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from pipeline.engine.records import Record

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["ltx2", "wan21"]

VERSION = "0.1.0"
"""The product's, as in pyproject.toml (a test compares them): a file says what wrote it."""

PREFIX = "diffusion_model."

_PAIR = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")

# Read from the key maps of diffusers 0.42's loaders (loaders/lora_conversion_utils.py) and the models' own checkpoints.
_LTX2 = re.compile(
    r"transformer_blocks\.\d+\.(?:"
    r"(?:attn1|attn2|audio_attn1|audio_attn2|audio_to_video_attn|video_to_audio_attn)\.(?:to_q|to_k|to_v|to_out\.0)"
    r"|(?:audio_)?ff\.net\.(?:0\.proj|2))"
)
_WAN21 = re.compile(r"blocks\.(?P<block>\d+)\.(?P<layer>.+)")
_ATTENTION = {"to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o"}
_WAN21_LAYERS = {
    **{f"attn1.{theirs}": f"self_attn.{original}" for theirs, original in _ATTENTION.items()},
    **{f"attn2.{theirs}": f"cross_attn.{original}" for theirs, original in _ATTENTION.items()},
    "attn2.add_k_proj": "cross_attn.k_img",
    "attn2.add_v_proj": "cross_attn.v_img",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
_WAN21_BACK = {original: theirs for theirs, original in _WAN21_LAYERS.items()}


class About(Record):
    """What a file says of itself, in the header of its safetensors format.

    `base` and `revision` name the model that it was trained on, `dataset` the digest of what it learnt from, `config`
    the step's settings. `merged` says of what it was merged; it is empty for a training's own.
    """

    kind: Kind
    base: str
    revision: str | None = None
    trigger: str = ""
    dataset: str = ""
    step: int = 0
    config: dict[str, Any] = {}
    merged: tuple[str, ...] = ()


def save(path: Path, state: Mapping[str, Tensor], about: About, alpha: float | None = None) -> None:
    """Write a LoRA to `path` in bfloat16; the same LoRA gives the same bytes.

    `state` is what `peft.get_peft_model_state_dict(transformer)` returns: A of (rank, in), B of (out, rank). `alpha` is
    the LoraConfig's `lora_alpha`; None stands for equal to the rank, a scale of 1. Raises ValueError for a module that
    has no name in the original model, for a matrix without its other half, and where nothing is given.
    """
    import torch

    tensors: dict[str, Tensor] = {}
    for module, (down, up) in pairs(state).items():
        scale = 1.0 if alpha is None else alpha / down.shape[0]
        name = PREFIX + original_name(about.kind, module)
        tensors[f"{name}.lora_A.weight"] = down.detach().to("cpu", torch.bfloat16).contiguous()
        tensors[f"{name}.lora_B.weight"] = (up.detach().float() * scale).to("cpu", torch.bfloat16).contiguous()
    path.write_bytes(_bytes(tensors, about))


def load(path: Path) -> tuple[dict[str, Tensor], About]:
    """The LoRA of a file that `save` wrote, named as peft names it, for `peft.set_peft_model_state_dict`; bfloat16, and
    its scale is 1: the LoraConfig's alpha is its rank. Raises ValueError for any other file.
    """
    from safetensors.torch import load_file

    about = read_about(path)
    state = {}
    for key, tensor in load_file(path).items():
        module, dot, matrix = key.removeprefix(PREFIX).rpartition(".lora_")
        if not key.startswith(PREFIX) or not dot:
            raise ValueError(f"{path.name}: {key} is no matrix of a LoRA that Dailies wrote")
        state[f"{peft_name(about.kind, module)}.lora_{matrix}"] = tensor
    return state, about


def read_about(path: Path) -> About:
    """What a LoRA's file says of itself, without reading its matrices."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as opened:
            said = opened.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: not a safetensors file that can be read ({error})") from error
    if said.get("product") != "dailies":
        raise ValueError(f"{path.name} does not say that Dailies wrote it, so what it was trained on is not known")
    try:
        texts = {name for name in said if name in ("kind", "base", "revision", "trigger", "dataset")}
        told = {
            name: said[name] if name in texts else json.loads(said[name]) for name in About.model_fields if name in said
        }
        return About.model_validate(told)
    except (ValueError, ValidationError) as error:
        raise ValueError(f"{path.name}: what it says of itself cannot be read; it is of another version") from error


def pairs(state: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """(A, B) by diffusers' module name, in the order of names; whatever peft put around the names is taken off."""
    halves: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        if (found := _PAIR.fullmatch(key)) is None:
            raise ValueError(f"{key} is no matrix of a plain LoRA")
        halves.setdefault(found["module"].removeprefix("transformer."), {})[found["side"]] = tensor
    for module, sides in halves.items():
        if len(sides) != 2:
            raise ValueError(f"{module} has only its matrix {next(iter(sides))}: the LoRA is not whole")
    if not halves:
        raise ValueError("there is no LoRA to be saved: no module of the model carries one")
    return {module: (halves[module]["A"], halves[module]["B"]) for module in sorted(halves)}


def original_name(kind: Kind, module: str) -> str:
    """The name that the model's authors gave the module that diffusers calls `module`."""
    name = _known(module) if kind == "ltx2" else _moved(module, _WAN21_LAYERS)
    if name is None:
        raise ValueError(f"{module} has no name in {kind}'s original model that others would load: leave it out")
    return name


def peft_name(kind: Kind, original: str) -> str:
    """The inverse of `original_name`."""
    if kind == "ltx2":
        return original_name(kind, original)
    name = _moved(original, _WAN21_BACK)
    if name is None:
        raise ValueError(f"{original} is no module of {kind} that a LoRA is known for")
    return name


def _known(module: str) -> str | None:
    return module if _LTX2.fullmatch(module) else None


def _moved(module: str, layers: Mapping[str, str]) -> str | None:
    found = _WAN21.fullmatch(module)
    layer = layers.get(found["layer"]) if found else None
    return f"blocks.{found['block']}.{layer}" if found and layer else None


def _bytes(tensors: dict[str, Tensor], about: About) -> bytes:
    """The safetensors file. Its library writes what the header says in another order each time; here it is sorted."""
    from safetensors.torch import save as serialised

    raw = serialised(tensors)
    (length,) = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8 : 8 + length])
    said = {"format": "pt", "product": "dailies", "version": VERSION}
    for name, value in about.model_dump(mode="json", exclude_none=True).items():
        said[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    header["__metadata__"] = said
    text = json.dumps(header, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + raw[8 + length :]
