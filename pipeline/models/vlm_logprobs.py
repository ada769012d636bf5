"""How sure a model on a server was of the fields of its answer, from the log-probabilities that the server gives."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any


def of_tokens(
    tokens: Sequence[tuple[bytes, float]], answer: Mapping[str, Any] | None, fields: Sequence[str]
) -> dict[str, float]:
    """The probability of each field's value in `answer`: the product of the probabilities of the tokens that spell it.

    `tokens` are (bytes, natural logarithm of the probability), in order; together they are what the model wrote, drafts
    and thoughts included, and `answer` is what was read from it. The quote that ends a text counts, because it tells
    "Ann" from "Anna". A field whose value cannot be found is left out: nothing was measured.
    """
    written = b"".join(token for token, _ in tokens)
    ends: list[int] = []
    for token, _ in tokens:
        ends.append((ends[-1] if ends else 0) + len(token))
    found: dict[str, float] = {}
    for field in fields:
        if answer is not None and field in answer and (span := _value(written, field, answer[field])) is not None:
            start, end = span
            spelt = [
                logarithm
                for (token, logarithm), stop in zip(tokens, ends, strict=True)
                if stop > start and stop - len(token) < end
            ]
            found[field] = min(math.exp(sum(spelt)), 1.0)
    return found


def _value(written: bytes, field: str, value: Any) -> tuple[int, int] | None:
    """Where `value` stands behind a `"field":`, in bytes; a text without the quote that opens it."""
    for key in re.finditer(rb'"%s"\s*:\s*' % re.escape(json.dumps(field)[1:-1].encode()), written):
        rest = written[key.end() :].decode("utf-8", "ignore")
        try:
            found, length = json.JSONDecoder(strict=False).raw_decode(rest)
        except (ValueError, RecursionError):
            continue
        if _plain(found) == _plain(value):
            return key.end() + rest.startswith('"'), key.end() + len(rest[:length].encode())
    return None


def _plain(value: Any) -> str:
    """The same for what reading puts right: "80" and 80, " anna " and "Anna"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:g}"
    return value.strip().casefold() if isinstance(value, str) else json.dumps(value, sort_keys=True)
