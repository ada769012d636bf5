"""The store over the years: what may go (`gc`), what is damaged (`verify`), what a change leaves right (`adopt`)."""

import json
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import portalocker

from pipeline.engine import fingerprint, plan
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import Node, Plan, Recipe
from pipeline.engine.records import File
from pipeline.engine.store import Run, Store

GRACE_SECONDS = 7 * 24 * 3600
"""Memo entries and objects younger than this stay: they may belong to a run that was interrupted."""


_DIGEST = re.compile(r"[0-9a-f]{64}")

IN_USE = "in-use"
"""The lock that runs share and that garbage collection holds alone."""


@dataclass(frozen=True, slots=True)
class Freed:
    runs: int
    objects: int
    memos: int
    size_bytes: int


def gc(store: Store, *, roots: frozenset[Digest], grace_seconds: float = GRACE_SECONDS, dry: bool = False) -> Freed:
    """Remove runs that are no unit's head, and the objects and memo entries that neither a head nor `roots` reach.

    `roots` are objects kept for other reasons: snapshots of review decisions, sources. Raises ValueError while a
    run is going on.
    """
    try:
        with store.lock(IN_USE, wait=False):
            return _gc(store, roots, grace_seconds, dry)
    except portalocker.AlreadyLocked:
        raise ValueError("a run is going on: wait for it, or cancel it, before you collect garbage") from None


def _gc(store: Store, roots: frozenset[Digest], grace_seconds: float, dry: bool) -> Freed:
    store.sweep()
    heads = {path.read_text() for path in (store.root / "heads").glob("*/*")}
    kept = [run for name in sorted(heads) if (run := store.find_run(name))]
    wanted = set(roots) | {digest for run in kept for digest in reached(store, run)}
    memos: set[str] = set().union(*(run.memo for run in kept))
    young = time.time() - grace_seconds
    runs = [path for path in (store.root / "runs").glob("*") if path.name not in heads]
    old_memos = [path for path in (store.root / "memo").glob("*/*/*.json") if path.stat().st_mtime < young]
    old_memos = [path for path in old_memos if path.parent.name + path.stem not in memos]
    spared = set((store.root / "memo").glob("*/*/*.json")) - set(old_memos)
    wanted |= {digest for path in spared for digest in digests_in(json.loads(path.read_bytes()))}
    objects = [
        path
        for path in (store.root / "objects").glob("*/*")
        if path.parent.name + path.name not in wanted and path.stat().st_mtime < young
    ]
    # That a mirror holds what nothing reaches, or what has come here since, need not be known any more.
    markers = [
        path
        for path in (store.root / "elsewhere").glob("*/*")
        if (digest := path.parent.name + path.name) not in wanted or store.object_path(Digest(digest)).exists()
    ]
    markers = [path for path in markers if path.stat().st_mtime < young]
    size = sum(path.stat().st_size for path in (*objects, *old_memos))
    if not dry:
        for path in runs:
            shutil.rmtree(path)
        locks = [path for kind in ("run", "sending") for path in (store.root / "locks").glob(f"{kind}-*.lock")]
        for path in (*objects, *old_memos, *markers, *locks):
            path.unlink()
    return Freed(len(runs), len(objects), len(old_memos), size)


def reached(store: Store, run: Run) -> Iterator[Digest]:
    """Its output, its inputs, and every file that one of these records names."""
    yield from _with_files(store, (run.output, *inputs_of(run)))


def read_by(store: Store, recipe: Recipe) -> Iterator[Digest]:
    """The records that a recipe reads, and every file that one of them names."""
    yield from _with_files(store, digests_in(recipe["inputs"]))


def _with_files(store: Store, records: Iterable[Digest]) -> Iterator[Digest]:
    for digest in records:
        yield digest
        if (path := store.object_path(digest)).exists():
            yield from digests_in(json.loads(path.read_bytes()))


def inputs_of(run: Run) -> Iterator[Digest]:
    """The records that it read."""
    return digests_in(run.recipe["inputs"])


def digests_in(value: Any) -> Iterator[Digest]:
    """Every string that has the form of a digest: reaching too much only keeps more."""
    if isinstance(value, dict):
        for item in value.values():
            yield from digests_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from digests_in(item)
    elif isinstance(value, str) and _DIGEST.fullmatch(value):
        yield Digest(value)


@dataclass(frozen=True, slots=True)
class Damage:
    path: Path
    what: str


def verify(store: Store, *, repair: bool = False) -> list[Damage]:
    """Hash every object again and look for what runs lack; `repair` removes what is damaged, to be made again."""
    found: list[Damage] = []
    for path in sorted((store.root / "objects").glob("*/*")):
        if fingerprint.of_file(path) != path.parent.name + path.name:
            found.append(Damage(path, "its bytes are not what its name says"))
            if repair:
                path.unlink()
    for path in sorted((store.root / "runs").glob("*")):
        run = store.find_run(path.name)
        missing = run is None or any(not store.knows(each) for each in files_in(store, run))
        if missing:
            found.append(Damage(path, "its output is incomplete"))
            if repair:
                shutil.rmtree(path)
    return found


def files_in(store: Store, run: Run) -> Iterator[Digest]:
    """Digests of the files that a run's output holds."""
    return (file.digest for file in files_of_output(store, run))


def files_of_output(store: Store, run: Run) -> Iterator[File]:
    """The files that a run's output holds, read as plain JSON: the step that made it need not be known here."""

    def walk(value: Any) -> Iterator[File]:
        if isinstance(value, dict):
            if {"digest", "name", "size_bytes"} == value.keys():
                yield File.model_validate(value)
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    return walk(json.loads(store.object_path(run.output).read_bytes()))


def adopt(what: Plan, node: Node, *, by: str, why: str) -> Run | None:
    """Say that what stands for `node` is still right: it gets the present recipe's key. None where it is fresh.

    Raises ValueError where nothing stands, or where an input has other content: that is no matter of opinion.
    """
    head = what.store.head(*node)
    recipe = what.recipe(node)
    if head is None or recipe is None:
        raise ValueError(f"{node[0]} of {node[1]}: there is no earlier result that could be adopted")
    if head.key == plan.key(recipe):
        return None
    changed = [cause.part for cause in plan.causes(head.recipe, recipe) if cause.part.startswith("inputs.")]
    if changed:
        raise ValueError(
            f"{node[0]} of {node[1]}: {', '.join(changed)} changed; only a change of code or settings can be adopted"
        )
    path = _adoptions(what.store, node[0])
    known = json.loads(path.read_text()) if path.exists() else {}
    new, old = plan.code_identity(recipe), memo_code(what.store, node[0], head.recipe)
    if new != old:
        what.store.replace(path, json.dumps({**known, new: old}, indent=1).encode())
    run = head.model_copy(
        update={
            "name": plan.run_name(what.show, node, recipe),
            "key": plan.key(recipe),
            "recipe": recipe,
            "adopted": {"from": head.name, "by": by, "why": why},
        }
    )
    return what.store.save_run(run, what.store.get(head.output, what.steps[node[0]].output))


def memo_code(store: Store, step: str, recipe: Recipe) -> Digest:
    """What names the code of `step` in its memo: the earliest code that adoptions say it equals."""
    identity = plan.code_identity(recipe)
    path = _adoptions(store, step)
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return Digest(known.get(identity, identity))


def _adoptions(store: Store, step: str) -> Path:
    return store.root / "adopted" / f"{step}.json"
