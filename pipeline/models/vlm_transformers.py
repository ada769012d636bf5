"""Models that see and hear, in this process, by transformers: asked in batches, held to JSON by a grammar.

Requests are answered in batches of alike ones, longest first. A batch that does not fit into memory is halved, and
so are those after it. An answer that is no answer is asked for once more, with dice; then it is a problem on record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pipeline.models import vlm_classes
from pipeline.models.memory import free
from pipeline.models.vlm import Reply, Request, Vlm
from pipeline.models.vlm_confidence import agreed
from pipeline.models.vlm_inputs import Budget, Inputs
from pipeline.models.vlm_writing import Row, Writer, Written

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
    has_fixed_cache: bool = False,
) -> Iterator[Vlm]:
    """The model in `folder`; `name` and `revision` say whose weights these are.

    `device` as `vlm_classes.opened` takes it. Of a video at most `frames` frames are shown, evenly taken. Pixels are
    those of one frame and of one picture; the defaults are 256 and 512 tokens of 28 x 28 in Qwen's families, where one
    token holds two frames. `has_fixed_cache` as `Writer` takes it. Raises ValueError where the model cannot be opened.
    """
    checkpoint = vlm_classes.opened(Path(folder), name, device)
    inputs = Inputs(name, checkpoint.processor, Budget(frames, frame_pixels, picture_pixels))
    writer = Writer(name, checkpoint, inputs, has_fixed_cache=has_fixed_cache)
    vlm = LocalVlm(name, revision, checkpoint.notes, inputs, writer, batch_size)
    del checkpoint, writer
    try:
        yield vlm
    finally:
        # Whoever still holds the model by then shall not hold its weights.
        del vlm.writer
        free()


@dataclass(slots=True)
class LocalVlm:
    """A loaded model. `batch_size` gets smaller where memory runs out."""

    name: str
    revision: str
    notes: tuple[str, ...]
    inputs: Inputs
    writer: Writer
    batch_size: int

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
                return self.writer.write(batch)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    raise ValueError(
                        f"{self.name}: one request alone does not fit into the device's memory: show fewer frames or "
                        "pixels, or name a smaller model"
                    ) from error
            # Only here, outside of `except`, do the failed attempt's tensors go.
            self.batch_size = len(batch) // 2
            free()


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
