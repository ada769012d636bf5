"""Which files of the store a show refers to now: the only ones that the panel hands to a browser."""

import json
import time
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline import dag, indexes, runs_kept
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW
from pipeline.engine.records import File, Record
from pipeline.engine.store import Store
from pipeline.schemas.training import Lora
from pipeline.show import Show, open_show
from pipeline.timelines import outputs

MEDIA = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".zip": "application/zip",
}
"""What a browser is given, by suffix: pictures, sound and films, and nothing that it would run."""

TAKEN = {
    ".safetensors": "application/octet-stream",
    ".md": "text/markdown; charset=utf-8",
    ".jsonl": "application/x-ndjson",
}
"""What trainings are there for, to take away: weights, model card, log."""

FRESH_SECONDS = 2.0  # a digest that nobody knows makes the list be read anew, but not more often

_KINDS = MEDIA | TAKEN


class Referred:
    """The media of one show by digest. What was referred to once is still given out while the panel runs: a page may
    be open on it, and the bytes of a digest never change.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._names: Mapping[Digest, frozenset[str]] = {}
        self._read = float("-inf")
        self._store: Store

    def find(self, digest: str, name: str) -> tuple[Path, str] | None:
        """Where the bytes lie and what they are; None for all that the show does not refer to by just this name.

        Raises ValueError where the show cannot be read.
        """
        known = name in self._names.get(Digest(digest), ())
        if not known and time.monotonic() - self._read >= FRESH_SECONDS:
            show = open_show(self._folder)
            self._store, self._names = show.store, {**self._names, **media(show)}
            self._read = time.monotonic()
        if name not in self._names.get(Digest(digest), ()):
            return None
        # Only a digest that a record holds comes this far, so that the path is one of the store's own.
        path = self._store.object_path(Digest(digest))
        return (path, _KINDS[Path(name).suffix.lower()]) if path.is_file() else None


def media(show: Show) -> dict[Digest, frozenset[str]]:
    """The names by digest of every picture, sound and film in the outputs that stand, of what trainings made, and of
    what those that run told of by now.
    """
    units = [SHOW, *show.episodes()]
    trainings = {step.name for step in dag.STEPS if issubclass(step.output, Lora)}
    found: dict[Digest, set[str]] = defaultdict(set)
    for (step, unit), output in outputs(show, [step.name for step in dag.STEPS], units).items():
        for file in _files(show.store.root, step, unit, output):
            if step in trainings or Path(file.name).suffix.lower() in MEDIA:
                found[file.digest].add(file.name)
    for file in runs_kept.files(show.state):
        if Path(file.name).suffix.lower() in _KINDS:
            found[file.digest].add(file.name)
    return {digest: frozenset(names) for digest, names in found.items()}


class _Held(Record):
    files: tuple[File, ...]


@lru_cache(maxsize=20_000)
def _files(root: Path, step: str, unit: str, output: Digest) -> tuple[File, ...]:
    """The media that an output holds. They stand on disk: the first picture of a page waits for no 20,000 clips."""

    def read() -> _Held:
        found: list[File] = []

        def collect(values: dict[str, Any]) -> dict[str, Any] | None:
            if values.keys() == {"digest", "name", "size_bytes"}:
                if Path(values["name"]).suffix.lower() in _KINDS:
                    found.append(File(**values))
                return None
            return values

        # As plain JSON: no model need be built for names and digests.
        json.loads(Store(root).object_path(output).read_bytes(), object_hook=collect)
        return _Held(files=tuple(dict.fromkeys(found)))

    return indexes.kept(Store(root), f"media-{step}-{unit}", [output], _Held, read).files
