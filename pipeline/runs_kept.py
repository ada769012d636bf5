"""What runs told, read on from where it was read last and folded (`runs_told`).

What was folded is written down beside the events, so that neither a long run nor a long past is read twice. It may be
deleted at any moment: all truth is in the events.
"""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pipeline.engine.records import File
from pipeline.runs_told import UNREADABLE, Told

FORMAT = 2
"""Raise it when the same events would fold into something else."""

_MOST_HELD = 80  # runs in memory; those before them are read from what was written down
_WRITE_BYTES = 1 << 20  # what a run that goes on must have told anew before it is written down again


@dataclass(slots=True)
class _Held:
    told: Told
    offset: int = 0
    written: int = 0


@dataclass(slots=True)
class _Index:
    """What was folded so far, for all pages of this process."""

    runs: dict[str, _Held] = field(default_factory=dict)
    files: dict[str, tuple[int, tuple[File, ...]]] = field(default_factory=dict)
    guard: threading.Lock = field(default_factory=threading.Lock)


@lru_cache(maxsize=8)
def index(state: Path) -> _Index:
    return _Index()


def ids(state: Path) -> list[str]:
    """All runs, the newest first: names begin with the time."""
    return sorted((path.parent.name for path in (state / "runs").glob("*/events.jsonl")), reverse=True)


def told(state: Path, run_id: str) -> Told:
    """All that a run has told by now. Raises FileNotFoundError where there is none of this name."""
    here = index(state)
    with here.guard:
        held = here.runs.pop(run_id, None) or _kept(state, run_id) or _Held(Told(id=run_id))
        here.runs[run_id] = held  # Last, as what was used last; the first makes room.
        if len(here.runs) > _MOST_HELD:
            here.runs.pop(next(iter(here.runs)))
        path = state / "runs" / run_id / "events.jsonl"
        size = path.stat().st_size
        if size < held.offset:  # Another file of the same name.
            held.told, held.offset, held.written = Told(id=run_id), 0, 0
        if size > held.offset:
            _read_on(path, held)
        if held.offset - held.written >= (1 if held.told.ended else _WRITE_BYTES):
            _keep(state, held)
        return held.told.model_copy()


def _read_on(path: Path, held: _Held) -> None:
    with path.open("rb") as stream:
        stream.seek(held.offset)
        new = stream.read()
    whole_lines = new[: new.rfind(b"\n") + 1]
    # What is handed out is drawn while this goes on, so a page never sees a run change under its eyes.
    now = held.told.model_copy(deep=True)
    for line in whole_lines.splitlines():
        try:
            now.take(json.loads(line))
        except UNREADABLE:
            now.unread += 1
    held.told, held.offset = now, held.offset + len(whole_lines)


class _Written(BaseModel):
    format: int
    offset: int
    told: Told


def _path(state: Path, run_id: str) -> Path:
    return state / "index" / "runs" / f"{run_id}.json"


def _kept(state: Path, run_id: str) -> _Held | None:
    try:
        found = _Written.model_validate_json(_path(state, run_id).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
    return _Held(found.told, found.offset, found.offset) if found.format == FORMAT else None


def _keep(state: Path, held: _Held) -> None:
    path = _path(state, held.told.id)
    text = _Written(format=FORMAT, offset=held.offset, told=held.told).model_dump_json()
    held.written = held.offset
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_text(text)
        aside.replace(path)
    except OSError:  # A full or read-only disk must not keep anybody from looking; it is read again then.
        return


def files(state: Path) -> Iterator[File]:
    """All that trainings told of and people may look at or take: samples and weights, of running ones too."""
    here = index(state)
    for name in ids(state):
        size = (state / "runs" / name / "events.jsonl").stat().st_size
        if here.files.get(name, (-1, ()))[0] != size:
            here.files[name] = (size, tuple(_files(told(state, name))))
        yield from here.files[name][1]


def _files(of: Told) -> Iterator[File]:
    for training in (job.training for job in of.jobs.values() if job.training is not None):
        yield from (sample.video for sample in training.samples)
        yield from (kept.checkpoint.weights for kept in training.checkpoints)
