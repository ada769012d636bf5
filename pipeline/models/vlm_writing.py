"""Making a loaded model write: one batch of questions, held to their grammars, every token's probability noted."""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.models import vlm_grouped
from pipeline.models.vlm import Request
from pipeline.models.vlm_classes import Checkpoint
from pipeline.models.vlm_decoding import Dice, Watch
from pipeline.models.vlm_inputs import Inputs, Prepared
from pipeline.models.vlm_logprobs import of_tokens
from pipeline.models.vlm_parsing import Parsed, parse


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a batch: a request's question once. `seed` throws dice, None takes the likeliest answer."""

    index: int
    request: Request
    prepared: Prepared
    seed: int | None

    @property
    def alike(self) -> Hashable:
        return self.prepared.alike, self.request.max_tokens


@dataclass(frozen=True, slots=True)
class Written:
    """What came of a row."""

    parsed: Parsed
    raw: str
    confidence: Mapping[str, float]
    tokens_in: int
    tokens_out: int
    seconds: float
    peak_bytes: int


FIXED_TOKENS = 1024
"""A cache of fixed size is of a multiple of these, so that few sizes occur: a GPU compiles the model anew for each."""


class Writer:
    """A checkpoint with the grammar compiler of its vocabulary.

    With `has_fixed_cache` what the model remembers of a batch lies in one place from the first token to the last. On a
    GPU transformers then compiles a token's work and launches it at once; elsewhere it changes nothing but memory.
    """

    def __init__(self, name: str, checkpoint: Checkpoint, inputs: Inputs, *, has_fixed_cache: bool = False) -> None:
        import torch
        import xgrammar

        self._name, self._checkpoint, self._inputs = name, checkpoint, inputs
        self.has_fixed_cache = has_fixed_cache
        self._cache: tuple[tuple[int, int], Any] | None = None
        words = xgrammar.TokenizerInfo.from_huggingface(
            checkpoint.tokenizer, vocab_size=checkpoint.width, stop_token_ids=list(checkpoint.ends)
        )
        self._compiler = xgrammar.GrammarCompiler(words)
        self._grammars: dict[str, Any] = {}
        self._spelling: list[bytes] = words.decoded_vocab
        quotes = [word.startswith(b'"') for word in self._spelling]
        self._quotes = torch.tensor(quotes, device=checkpoint.model.device)

    def write(self, rows: Sequence[Row]) -> list[Written]:
        """What the model writes for rows that are `alike`. Raises torch.OutOfMemoryError where they are too many."""
        import torch
        import xgrammar

        began = time.perf_counter()
        model = self._checkpoint.model
        _forget_peak(model)
        inputs = self._checkpoint.accepted(self._inputs.tensors([row.prepared for row in rows]))
        prompt, most = inputs["input_ids"].shape[1], rows[0].request.max_tokens
        if self._checkpoint.longest is not None and prompt + most > self._checkpoint.longest:
            raise ValueError(
                f"{self._name}: a request of {prompt} tokens and an answer of {most} are more than the model's "
                f"{self._checkpoint.longest}: show fewer frames or pixels, or ask less at once"
            )
        grammar = xgrammar.contrib.hf.LogitsProcessor([self._grammar(row.request.schema) for row in rows])
        watch = Watch(self._quotes) if any(row.request.measured for row in rows) else None
        dice = Dice([row.seed for row in rows], model.device) if any(row.seed is not None for row in rows) else None
        interleaving = {"use_audio_in_video": True} if rows[0].prepared.interleaved else {}
        with torch.inference_mode():
            output = model.generate(
                **{name: _placed(value, name, model) for name, value in inputs.items()},
                **interleaving,
                **self._remembering(len(rows), prompt + most),
                max_new_tokens=most,
                logits_processor=[step for step in (grammar, watch, dice) if step is not None],
            )
        noted = watch.noted(output) if watch else [[] for _ in rows]
        answers = [_until_end(ids, self._checkpoint.ends) for ids in output[:, prompt:].tolist()]
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        # Cleaning up would take away spaces that the model wrote.
        texts = [
            self._checkpoint.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            for ids in answers
        ]
        read = [parse(text, row.request.schema) for row, text in zip(rows, texts, strict=True)]
        share, peak = (time.perf_counter() - began) / len(rows), _peak(model)
        return [
            Written(
                read[at],
                texts[at],
                self._confidence(row, answers[at], noted[at], read[at]),
                prompts[at],
                len(answers[at]),
                share,
                peak,
            )
            for at, row in enumerate(rows)
        ]

    def _remembering(self, rows: int, tokens: int) -> dict[str, Any]:
        """What generate() is told of its cache. The last one is emptied and used again where it is of the same size."""
        if not self.has_fixed_cache:
            self._cache = None
            return {}
        from transformers import StaticCache

        vlm_grouped.install()
        size = rows, -(-tokens // FIXED_TOKENS) * FIXED_TOKENS
        if self._cache is not None and self._cache[0] == size:
            self._cache[1].reset()
        else:
            self._cache = None  # Its memory first.
            words = self._checkpoint.model.config.get_text_config(decoder=True)
            self._cache = size, StaticCache(config=words, max_cache_len=size[1])
        return {"past_key_values": self._cache[1]}

    def _confidence(self, row: Row, ids: Sequence[int], steps: Sequence[float], read: Parsed) -> dict[str, float]:
        # Steps go on to the end of the batch, behind the end of this row's answer.
        tokens = [(self._spelling[token], step) for token, step in zip(ids, steps, strict=False)]
        return of_tokens(tokens, read.data, row.request.measured)

    def _grammar(self, schema: Mapping[str, Any]) -> Any:
        key = json.dumps(schema)
        if key not in self._grammars:
            # With free whitespace a weak model writes spaces until its tokens are used up.
            self._grammars[key] = self._compiler.compile_json_schema(key, any_whitespace=False)
        return self._grammars[key]


def _until_end(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    return list(ids[: next((index for index, token in enumerate(ids) if token in ends), len(ids))])


def _placed(value: Any, name: str, model: Any) -> Any:
    """On the model's device; pictures and sounds also in its precision, times and lengths as they are."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    is_medium = value.is_floating_point() and name.startswith(("pixel_values", "input_features"))
    return value.to(model.device, model.dtype if is_medium else None)


def _forget_peak(model: Any) -> None:
    import torch

    if model.device.type == "cuda":
        for device in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(device)


def _peak(model: Any) -> int:
    """Bytes on all GPUs together; for a model on the CPU, what this process holds."""
    import psutil
    import torch

    if model.device.type == "cuda":
        return sum(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count()))
    return int(psutil.Process().memory_info().rss)
