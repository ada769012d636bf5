"""Which weights a name means: `models.lock` beside show.toml pins each model on the hub to a commit.

A name alone means whatever is newest on the day of the run, so that the same show would give other results next week.
The lock belongs into version control with show.toml.
"""

import json
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from pipeline.engine import fingerprint
from pipeline.engine.work import Services
from pipeline.schemas.weights import Weights

LOCK = "models.lock"
HEAD = "# The commit of each model that this show uses. `dailies models update NAME` moves one on purpose.\n"

C = TypeVar("C", bound=BaseModel)

Ask = Callable[[str, str], str]
"""From a model's name and a branch or tag on the hub to the commit that it is now; ValueError where nobody knows."""


@dataclass(frozen=True, slots=True)
class Named:
    """Weights as a step's settings name them. `alone` is False where the step has others to fall back on."""

    weights: Weights
    alone: bool

    @property
    def key(self) -> str | None:
        """Its entry in the lock; None where there is nothing to pin: no hub, or a commit in the settings already."""
        repository, revision = self.weights.repository(), self.weights.revision
        if repository is None or (revision is not None and _is_commit(revision)):
            return None
        return repository if revision is None else f"{repository}@{revision}"


def named(config: BaseModel) -> Iterator[Named]:
    """All weights that a step's settings name, in their order."""
    yield from _named(config, alone=True)


def _named(value: Any, *, alone: bool) -> Iterator[Named]:
    if isinstance(value, Weights):
        yield Named(value, alone)
    if isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _named(getattr(value, field), alone=True)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _named(each, alone=len(value) == 1)


def filled(config: C, revision: Callable[[Weights], str | None]) -> C:
    """`config` with the revision of each of its weights, by `revision`, which gives None where it knows none."""
    made: C = _filled(config, revision)
    return made


def _filled(value: Any, revision: Callable[[Weights], str | None]) -> Any:
    if isinstance(value, tuple | list):
        items = [_filled(each, revision) for each in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else type(value)(items)
    if not isinstance(value, BaseModel):
        return value
    fields = {field: getattr(value, field) for field in type(value).model_fields}
    changed = {field: new for field, old in fields.items() if (new := _filled(old, revision)) is not old}
    if isinstance(value, Weights) and (found := revision(value)) is not None:
        changed["revision"] = found
    return value.model_copy(update=changed) if changed else value


def read(folder: Path) -> dict[str, str]:
    """The lock of the show in `folder`: commits by name. Raises ValueError where somebody damaged it."""
    path = folder / LOCK
    if not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{LOCK} cannot be read ({error}): mend it, or delete it to pin all models anew as they are now"
        ) from error
    pins = found.get("models", {})
    if found.keys() - {"models"} or not all(isinstance(each, str) and _is_commit(each) for each in pins.values()):
        raise ValueError(f'{LOCK}: each line of [models] must be "NAME" = "COMMIT", a commit being 40 hex digits')
    return dict(pins)


def write(folder: Path, pins: Mapping[str, str]) -> None:
    """Write the lock as a whole; the same pins are the same bytes."""
    lines = [f"{json.dumps(name)} = {json.dumps(pins[name])}\n" for name in sorted(pins)]
    aside = folder / f".{LOCK}.{os.getpid()}"
    aside.write_text(HEAD + "\n[models]\n" + "".join(lines), encoding="utf-8")
    aside.replace(folder / LOCK)


def completed(wanted: list[Named], pins: Mapping[str, str], ask: Ask) -> dict[str, str]:
    """`pins` with those of `wanted` that lack one, as the hub has them now.

    Raises ValueError naming all that could not be resolved and have nothing to fall back on; the others stay without.
    """
    found, problems = dict(pins), dict[str, str]()
    for each in wanted:
        key = each.key
        if key is None or key in found or key in problems:
            continue
        repository, _, branch = key.partition("@")
        known = each.weights.shipped()
        try:
            found[key] = known if known and not branch else ask(repository, branch or "main")
        except ValueError as error:
            problems[key] = str(error)
    needed = [problems[each.key] for each in wanted if each.alone and each.key in problems]
    if needed:
        raise ValueError("\n".join(dict.fromkeys(needed)))
    return found


def revision_of(weights: Weights, pins: Mapping[str, str], folders: "Folders") -> str | None:
    """What the recipe says of `weights`: its commit, its folder's digest; None where that is not known (yet)."""
    if weights.folder() is not None:
        return folders.revision(weights.folder() or "")
    key = Named(weights, alone=True).key
    if key is None:
        return weights.revision
    return pins.get(key) or (weights.shipped() if weights.revision is None else None)


class Folders:
    """Digests of model folders. A file that keeps its size and time is not read again: weights are long."""

    def __init__(self, services: Services, cache: Path) -> None:
        self._services, self._path = services, cache
        self._known: dict[str, list[Any]] = json.loads(cache.read_text()) if cache.exists() else {}

    def revision(self, name: str) -> str | None:
        """`sha256:` and the digest of the names and contents of all files in a folder; None where there is none."""
        folder = Path(self._services.place(name))
        if not folder.is_dir():
            return None
        before, files = dict(self._known), []
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not any(part.startswith(".") for part in inside.parts):
                files.append([inside.as_posix(), self._digest(path)])
        if self._known != before:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            aside = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            aside.write_text(json.dumps(self._known, indent=0))
            aside.replace(self._path)
        return f"sha256:{fingerprint.of_value('weights', files)}"

    def _digest(self, path: Path) -> str:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns, status.st_ino]
        known = self._known.get(str(path))
        if known is None or known[:3] != stamp:
            known = self._known[str(path)] = [*stamp, fingerprint.of_file(path)]
        return str(known[3])


def _is_commit(revision: str) -> bool:
    return len(revision) == 40 and all(letter in "0123456789abcdef" for letter in revision)
