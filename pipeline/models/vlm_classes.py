"""Opening a checkpoint that lies in a folder: which class reads it, in which precision, by which attention."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.models import vlm_pieces

THINKERS: Mapping[str, str] = {
    # Omni checkpoints hold three models: one that thinks, one that talks, one that makes sound. The composite class
    # wants all three in memory and its generate() fails on pictures (transformers 5.23); the thinker's own class reads
    # its part of the same files.
    "qwen2_5_omni": "Qwen2_5OmniThinkerForConditionalGeneration",
    "qwen3_omni_moe": "Qwen3OmniMoeThinkerForConditionalGeneration",
}

FAMILIES = "Qwen2.5-Omni, Qwen3-Omni, Qwen2.5-VL, Qwen3-VL, Qwen3.5, SmolVLM, Idefics3, InternVL, Gemma 4"
"""The families that tests load and ask; others of transformers' multimodal classes open too."""

ATTENTIONS = ("flash_attention_2", "flash_attention_2 (eager for sound)", "sdpa", "sdpa (eager for sound)", "eager")
"""Best first. Gemma 4's audio tower knows only the slowest, which is no reason to read pictures and text by it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model ready to be asked. `processor` makes its inputs; `ends` are the tokens that end an answer."""

    model: Any
    processor: Any
    ends: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)

    @property
    def width(self) -> int:
        """How many logits there are for each token, which may be more than the vocabulary has words."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def longest(self) -> int | None:
        """Tokens of prompt and answer together; None where the checkpoint does not say."""
        return getattr(self.model.config.get_text_config(), "max_position_embeddings", None)

    def accepted(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Those of a processor's outputs that this class's generate() takes: what one family needs, another rejects."""
        known = {
            name
            for method in (self.model.forward, self.model.prepare_inputs_for_generation)
            for name in inspect.signature(method).parameters
        }
        return {name: value for name, value in inputs.items() if name in known}


def class_name(config: Mapping[str, Any], found: str) -> str:
    """The class for a checkpoint's config.json. Raises ValueError saying what was `found` and what there could be."""
    import transformers
    from transformers.models.auto.modeling_auto import MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES as MULTIMODAL

    kind = config.get("model_type")
    architectures = config.get("architectures") or []
    name = THINKERS.get(str(kind)) or MULTIMODAL.get(str(kind)) or next(iter(architectures), "")
    # Whatever else transformers exports under such a name cannot answer.
    if not hasattr(getattr(transformers, str(name), None), "generate"):
        raise ValueError(
            f"{found} is of model_type {kind!r} with architectures {architectures}, which transformers "
            f"{transformers.__version__} cannot open: name a model of one of these families: {FAMILIES}; or serve it "
            "and use backend openai"
        )
    return str(name)


def opened(folder: Path, name: str, device: str) -> Checkpoint:
    """The checkpoint in `folder` on `device` ("cpu", "cuda", "cuda:1", or "auto" for all GPUs); `name` is for people.

    bfloat16 on a GPU, float32 on a CPU. Raises ValueError where the folder holds no such model, weights are missing,
    or the device is too small.
    """
    import torch
    import transformers

    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{name}: there is no config.json in {folder}; name a folder that holds a model")
    config = json.loads(path.read_text(encoding="utf-8"))
    cls = getattr(transformers, class_name(config, f"{name} in {folder}"))
    try:
        processor: Any = transformers.AutoProcessor.from_pretrained(str(folder), local_files_only=True)  # type: ignore[no-untyped-call]
    except (ImportError, OSError, ValueError) as error:
        raise ValueError(f"{name}: its processor in {folder} cannot be opened: {_first_sentence(error)}") from error
    reasons: list[str] = []
    without = "needs a GPU" if device == "cpu" else "" if find_spec("flash_attn") else "is not installed (flash-attn)"
    if without:
        reasons.append(f"flash_attention_2 {without}")
    for attention in ATTENTIONS:
        if (without and "flash" in attention) or ("sound" in attention and "audio_config" not in str(config)):
            continue
        try:
            model = _loaded(cls, folder, device, attention)
            break
        except torch.OutOfMemoryError as error:
            raise ValueError(f"{name} does not fit into the memory of {device}: name a smaller model") from error
        except (ImportError, OSError, RuntimeError, ValueError, KeyError) as error:
            if isinstance(error, MissingWeightsError) or attention == ATTENTIONS[-1]:
                raise ValueError(f"{name} cannot be opened by {cls.__name__}: {error}") from error
            reasons.append(f"{attention} does not work: {_first_sentence(error)}")
    ends = _ends(model, processor)
    tokenizer = getattr(processor, "tokenizer", processor)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token_id = ends[0]
    # What a publisher likes for chat (penalties for repetition above all) would distort JSON and its probabilities.
    model.generation_config = transformers.GenerationConfig(  # type: ignore[no-untyped-call]
        do_sample=False, eos_token_id=list(ends), pad_token_id=tokenizer.pad_token_id
    )
    note = f"{name}: {cls.__name__} on {device} in {str(model.dtype).removeprefix('torch.')}, attention {attention}"
    return Checkpoint(model, processor, ends, (f"{note} ({'; '.join(reasons)})" if reasons else note,))


class MissingWeightsError(ValueError):
    """The files lack weights that the class needs, which transformers would fill with random numbers."""


def _loaded(cls: Any, folder: Path, device: str, attention: str) -> Any:
    import torch

    first, sound, _ = attention.partition(" (")
    placed: dict[str, Any] = {} if device == "cpu" else {"device_map": "auto" if device == "auto" else {"": device}}
    model, info = cls.from_pretrained(
        str(folder),
        dtype=torch.float32 if device == "cpu" else torch.bfloat16,
        attn_implementation={"": first, "audio_config": "eager"} if sound else first,
        local_files_only=True,
        output_loading_info=True,
        **placed,
    )
    if missing := sorted(info["missing_keys"]):
        raise MissingWeightsError(f"weights are missing from its files, {missing[0]} and {len(missing) - 1} others")
    model.eval()
    vlm_pieces.install(model)
    # Some attentions fail only when they are used (head sizes, old GPUs): better now than at the first clip.
    with torch.inference_mode():
        model.generate(
            input_ids=torch.zeros((1, 4), dtype=torch.long, device=model.device),
            attention_mask=torch.ones((1, 4), dtype=torch.long, device=model.device),
            max_new_tokens=1,
        )
    return model


def _ends(model: Any, processor: Any) -> tuple[int, ...]:
    def listed() -> Iterator[int]:
        for found in (model.generation_config.eos_token_id, getattr(processor, "tokenizer", processor).eos_token_id):
            yield from found if isinstance(found, list) else [] if found is None else [found]

    ends = tuple(dict.fromkeys(listed()))
    if not ends:
        raise ValueError("neither its generation_config.json nor its tokenizer names a token that ends an answer")
    return ends


def _first_sentence(error: Exception) -> str:
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line.partition(". ")[0][:200]
