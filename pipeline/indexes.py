"""Small answers kept on disk: what a page shows of records that are too many to read for each look.

An index is named by what it was made of, so it is never wrong, and may be deleted at any moment.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.engine import fingerprint
from pipeline.engine.store import Store

T = TypeVar("T")


def kept(store: Store, name: str, made_of: Sequence[Any], kind: type[T], build: Callable[[], T]) -> T:
    """The index `name` of all that it is `made_of` (JSON values); built and written down where it is not there, or is
    not whole. Indexes of the same name that were made of something else go.
    """
    found = there(store, name, made_of, kind)
    if found is not None:
        return found
    built = build()
    path = _path(store, name, made_of, kind)
    older = list(path.parent.glob("*.json"))
    store.replace(path, TypeAdapter(kind).dump_json(built))
    for each in older:  # Of outputs that stand no more.
        if each != path:
            each.unlink(missing_ok=True)
    return built


def there(store: Store, name: str, made_of: Sequence[Any], kind: type[T]) -> T | None:
    """The index `name` of all that it is `made_of`, if somebody built it."""
    return _read(_path(store, name, made_of, kind), kind)


def last(store: Store, name: str, kind: type[T]) -> T | None:
    """The index `name` as it was built last, of whatever it was made; None where it never was."""
    return next((found for path in (store.root / "index" / name).glob("*.json") if (found := _read(path, kind))), None)


def _path(store: Store, name: str, made_of: Sequence[Any], kind: type[T]) -> Path:
    return store.root / "index" / name / f"{fingerprint.of_value('index', [kind.__name__, *made_of])}.json"


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return TypeAdapter(kind).validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
