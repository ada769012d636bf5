"""Models that see and hear, in this process, by transformers: asked in batches, held to JSON by a grammar.

Requests are answered in batches of alike ones, longest first. A batch that does not fit into memory is halved, and
so are those after it. An answer that is no answer is asked for once more, with dice; then it is a problem on record.
"""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.models import vlm_classes
from pipeline.models.vlm import Reply, Request, Vlm
from pipeline.models.vlm_confidence import agreed
from pipeline.models.vlm_decoding import Dice, Watch
from pipeline.models.vlm_inputs import Budget, Inputs, Prepared
from pipeline.models.vlm_logprobs import of_tokens
from pipeline.models.vlm_parsing import Parsed, parse

if TYPE_CHECKING:
    import torch

LOOKAHEAD = 4
"""Batches of requests that are read ahead, to find alike ones; their frames are in memory meanwhile."""


@contextmanager
def load(
    folder: str,
    name: str,
    revision: str,
    device: str,
    batch_size: int = 8,
    frames: int = 32,
    frame_pixels: int = 200_704,
    picture_pixels: int = 401_408,
) -> Iterator[Vlm]:
    """The model in `folder`; `name` and `revision` say whose weights these are.

    `device` as `vlm_classes.opened` takes it. Of a video at most `frames` frames are shown, evenly taken. Pixels are
    those of one frame and of one picture; the defaults are 256 and 512 tokens of 28 x 28 in Qwen's families, where one
    token holds two frames. Raises ValueError where the model cannot be opened.
    """
    checkpoint = vlm_classes.opened(Path(folder), name, device)
    vlm = LocalVlm(name, revision, checkpoint, Budget(frames, frame_pixels, picture_pixels), batch_size)
    del checkpoint
    try:
        yield vlm
    finally:
        # Whoever still holds the model by then shall not hold its weights.
        del vlm.checkpoint
        _free()


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


@dataclass(slots=True)
class LocalVlm:
    """A loaded model. `batch_size` gets smaller where memory runs out."""

    name: str
    revision: str
    checkpoint: vlm_classes.Checkpoint
    budget: Budget
    batch_size: int
    inputs: Inputs = field(init=False)
    _grammars: dict[str, Any] = field(default_factory=dict, init=False)
    _compiler: Any = field(init=False)
    _spelling: list[bytes] = field(init=False)
    _quotes: torch.Tensor = field(init=False)

    def __post_init__(self) -> None:
        import torch
        import xgrammar

        self.inputs = Inputs(self.name, self.checkpoint.processor, self.budget)
        words = xgrammar.TokenizerInfo.from_huggingface(
            self.checkpoint.tokenizer, vocab_size=self.checkpoint.width, stop_token_ids=list(self.checkpoint.ends)
        )
        self._compiler = xgrammar.GrammarCompiler(words)
        self._spelling = words.decoded_vocab
        quotes = [word.startswith(b'"') for word in self._spelling]
        self._quotes = torch.tensor(quotes, device=self.checkpoint.model.device)

    @property
    def notes(self) -> tuple[str, ...]:
        return self.checkpoint.notes

    @property
    def sees(self) -> bool:
        return self.inputs.sees

    @property
    def hears(self) -> bool:
        return self.inputs.hears

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        waiting = iter(requests)
        while window := list(islice(waiting, LOOKAHEAD * self.batch_size)):
            yield from self._answered(window)

    def _answered(self, window: Sequence[Request]) -> Iterator[Reply]:
        rows = [
            Row(index, request, prepared, seed)
            for index, request in enumerate(window)
            for prepared in (self.inputs.prepared(request),)
            for seed in _seeds(request)
        ]
        written: list[list[Written]] = [[] for _ in window]
        due = 0
        for batch in self._batches(rows):
            for row, first in batch:
                written[row.index].append(first)
            while due < len(window) and len(written[due]) == len(_seeds(window[due])):
                yield _reply(window[due], written[due])
                written[due] = []
                due += 1

    def _batches(self, rows: Sequence[Row]) -> Iterator[list[tuple[Row, Written]]]:
        """Rows with what came of them, batch by batch, the second attempts of a batch right behind the first."""
        kinds = {alike: number for number, alike in enumerate(dict.fromkeys(row.alike for row in rows))}
        waiting = sorted(rows, key=lambda row: (kinds[row.alike], -row.prepared.length, row.index))
        while waiting:
            batch = [row for row in waiting[: self.batch_size] if row.alike == waiting[0].alike]
            first = self._written(batch)
            batch = batch[: len(first)]
            waiting = waiting[len(first) :]
            unread = [
                Row(row.index, row.request, row.prepared, _second_seed(row))
                for row, one in zip(batch, first, strict=True)
                if one.parsed.data is None
            ]
            second: list[Written] = []
            while len(second) < len(unread):
                second += self._written(unread[len(second) :])
            seconds = iter(second)
            yield [
                (row, one if one.parsed.data is not None else _both(one, next(seconds)))
                for row, one in zip(batch, first, strict=True)
            ]

    def _written(self, rows: Sequence[Row]) -> list[Written]:
        """What the model writes for the first `batch_size` of `rows`, or for fewer, where memory holds no more."""
        import torch

        while True:
            batch = rows[: self.batch_size]
            try:
                return self._generated(batch)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise ValueError(
                        f"{self.name}: one request alone does not fit into the device's memory: show fewer frames or "
                        "pixels, or name a smaller model"
                    ) from error
            # Only here, outside of `except`, do the failed attempt's tensors go.
            self.batch_size = len(batch) // 2
            _free()

    def _generated(self, rows: Sequence[Row]) -> list[Written]:
        import torch
        import xgrammar

        began = time.perf_counter()
        _forget_peak()
        model = self.checkpoint.model
        inputs = self.checkpoint.accepted(self.inputs.tensors([row.prepared for row in rows]))
        prompt, most = inputs["input_ids"].shape[1], rows[0].request.max_tokens
        if self.checkpoint.longest is not None and prompt + most > self.checkpoint.longest:
            raise ValueError(
                f"{self.name}: a request of {prompt} tokens and an answer of {most} are more than the model's "
                f"{self.checkpoint.longest}: show fewer frames or pixels, or ask less at once"
            )
        grammar = xgrammar.contrib.hf.LogitsProcessor([self._grammar(row.request.schema) for row in rows])
        watch = Watch(self._quotes) if any(row.request.measured for row in rows) else None
        dice = Dice([row.seed for row in rows], model.device) if any(row.seed is not None for row in rows) else None
        interleaving = {"use_audio_in_video": True} if rows[0].prepared.interleaved else {}
        with torch.inference_mode():
            output = model.generate(
                **{name: _placed(value, name, model) for name, value in inputs.items()},
                **interleaving,
                max_new_tokens=most,
                logits_processor=[step for step in (grammar, watch, dice) if step is not None],
            )
        noted = watch.noted(output) if watch else [[] for _ in rows]
        answers = [_until_end(ids, self.checkpoint.ends) for ids in output[:, prompt:].tolist()]
        prompts = inputs["attention_mask"].sum(dim=1).tolist()
        # Cleaning up would take away spaces that the model wrote.
        texts = [
            self.checkpoint.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            for ids in answers
        ]
        read = [parse(text, row.request.schema) for row, text in zip(rows, texts, strict=True)]
        share, peak = (time.perf_counter() - began) / len(rows), _peak()
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


def _seeds(request: Request) -> list[int | None]:
    """One for each time that the request is asked."""
    return [None] if request.samples <= 1 else [request.seed * 1000 + number for number in range(request.samples)]


def _second_seed(row: Row) -> int:
    return row.request.seed * 1000 + 500 if row.seed is None else row.seed + 500


def _both(first: Written, second: Written) -> Written:
    return Written(
        parsed=second.parsed,
        raw=second.raw,
        confidence=second.confidence,
        tokens_in=first.tokens_in + second.tokens_in,
        tokens_out=first.tokens_out + second.tokens_out,
        seconds=first.seconds + second.seconds,
        peak_bytes=max(first.peak_bytes, second.peak_bytes),
    )


def _reply(request: Request, written: Sequence[Written]) -> Reply:
    answers = [one.parsed.data for one in written]
    chosen, confidence = agreed(answers, request.measured)
    best = written[chosen or 0]
    if len(written) == 1:
        confidence = dict(best.confidence) if best.parsed.data is not None else {}
    return Reply(
        data=best.parsed.data,
        raw=best.raw,
        confidence=confidence,
        problem="" if best.parsed.data is not None else f"no answer after one retry: {best.parsed.problem}",
        tokens_in=sum(one.tokens_in for one in written),
        tokens_out=sum(one.tokens_out for one in written),
        seconds=sum(one.seconds for one in written),
        peak_bytes=max(one.peak_bytes for one in written),
    )


def _until_end(ids: Sequence[int], ends: Sequence[int]) -> list[int]:
    return list(ids[: next((index for index, token in enumerate(ids) if token in ends), len(ids))])


def _placed(value: Any, name: str, model: Any) -> Any:
    """On the model's device; pictures and sounds also in its precision, times and lengths as they are."""
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    is_medium = value.is_floating_point() and name.startswith(("pixel_values", "input_features"))
    return value.to(model.device, model.dtype if is_medium else None)


def _forget_peak() -> None:
    import torch

    for device in range(torch.cuda.device_count()):
        torch.cuda.reset_peak_memory_stats(device)


def _peak() -> int:
    """Bytes on all GPUs together; without one, what this process holds."""
    import psutil
    import torch

    if torch.cuda.is_available():
        return sum(torch.cuda.max_memory_allocated(device) for device in range(torch.cuda.device_count()))
    return int(psutil.Process().memory_info().rss)


def _free() -> None:
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
