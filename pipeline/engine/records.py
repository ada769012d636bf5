"""What crosses from one step to the next: frozen records, and references to bytes in the store."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

from pipeline.engine.fingerprint import Digest


class Record(BaseModel):
    """Base of everything that crosses from one step to the next."""

    model_config = ConfigDict(frozen=True, extra="forbid")


_PART = r"(\.?[^./\\\x00]|\.{2}[^/\\\x00])[^/\\\x00]*"
FileName = Annotated[str, StringConstraints(pattern=rf"^{_PART}(/{_PART})*$", max_length=255)]
"""A plain name, or one below folders (`latents/a.pt`): a record can never point out of its run's directory."""


class File(Record):
    """A reference to bytes in the store, e.g. a clip or a checkpoint."""

    digest: Digest
    name: FileName
    size_bytes: int


def files_of(value: object) -> Iterator[File]:
    """Every File inside a record, however deep, in the order in which it stands there."""
    if isinstance(value, File):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from files_of(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from files_of(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from files_of(item)
