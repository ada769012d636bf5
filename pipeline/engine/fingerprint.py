"""Names for content: the same value always gets the same 64 hex digits."""

import hashlib
import json
from pathlib import Path
from typing import NewType

Digest = NewType("Digest", str)


def of_value(kind: str, value: object) -> Digest:
    """Digest of a JSON-able value; `kind` keeps equal values of different meaning apart.

    Raises ValueError for NaN and infinities, which have no canonical JSON.
    """
    text = json.dumps([kind, value], sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return of_bytes(text.encode())


def of_bytes(content: bytes) -> Digest:
    return Digest(hashlib.sha256(content).hexdigest())


def of_file(path: Path) -> Digest:
    """Digest of a file's bytes, read in chunks so an episode never sits in memory."""
    with path.open("rb") as stream:
        return Digest(hashlib.file_digest(stream, "sha256").hexdigest())
