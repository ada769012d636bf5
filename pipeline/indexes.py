"""Small answers kept on disk: what a page shows of records that are too many to read for each look.

An index is named by what it was made of, so it is never wrong, and may be deleted at any moment.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from pipeline.engine import fingerprint
from pipeline.engine.store import Store

T = TypeVar("T")


def kept(store: Store, name: str, made_of: Sequence[Any], kind: type[T], build: Callable[[], T]) -> T:
    """The index `name` of all that it is `made_of` (JSON values); built and written down where it is not there, or is
    not whole. Indexes of the same name that were made of something else go.
    """
    key = fingerprint.of_value("index", [kind.__name__, *made_of])
    folder = store.root / "index" / name
    path = folder / f"{key}.json"
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        built = build()
    older = list(folder.glob("*.json"))
    store.replace(path, adapter.dump_json(built))
    for each in older:  # Of outputs that stand no more.
        if each != path:
            each.unlink(missing_ok=True)
    return built
