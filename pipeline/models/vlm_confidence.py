"""How sure a model was of the fields of its answer: from its tokens' probabilities, or from several answers."""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def of_tokens(tokens: Sequence[tuple[bytes, float]], fields: Sequence[str]) -> dict[str, float]:
    """The probability of each field's value: the product of the probabilities of the tokens that spell it.

    `tokens` are (bytes, natural logarithm of the probability), in order; together they are what the model wrote. The
    quote that ends a text counts, because it tells "Ann" from "Anna". Where an answer has a field twice, at any depth,
    the first counts. A field that cannot be found is left out: nothing was measured.
    """
    written = b"".join(token for token, _ in tokens)
    ends: list[int] = []
    for token, _ in tokens:
        ends.append((ends[-1] if ends else 0) + len(token))
    found: dict[str, float] = {}
    for field in fields:
        if (span := _value(written, field)) is not None:
            start, end = span
            spelt = [
                logarithm
                for (token, logarithm), stop in zip(tokens, ends, strict=True)
                if stop > start and stop - len(token) < end
            ]
            found[field] = min(math.exp(sum(spelt)), 1.0)
    return found


def agreed(answers: Sequence[Mapping[str, Any] | None], fields: Sequence[str]) -> tuple[int | None, dict[str, float]]:
    """Which of several answers to one question to take, and the share of all that agree with it in each field.

    It is the first of those that most agree with in all fields; None where none could be read. An answer that could
    not be read agrees with nobody.
    """
    told = [None if each is None else tuple(_plain(each.get(field)) for field in fields) for each in answers]
    votes = Counter(each for each in told if each is not None)
    if not votes:
        return None, {}
    chosen = told.index(votes.most_common(1)[0][0])
    best = told[chosen]
    assert best is not None
    return chosen, {
        field: sum(each is not None and each[number] == best[number] for each in told) / len(answers)
        for number, field in enumerate(fields)
    }


def _value(written: bytes, field: str) -> tuple[int, int] | None:
    """Where the value of the first `"field":` stands, in bytes; of a text without the quote that opens it."""
    key = re.search(rb'"%s"\s*:\s*' % re.escape(json.dumps(field)[1:-1].encode()), written)
    if key is None:
        return None
    rest = written[key.end() :].decode("utf-8", "ignore")
    try:
        _, length = json.JSONDecoder(strict=False).raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    opening = rest.startswith('"')
    return key.end() + opening, key.end() + len(rest[:length].encode())


def _plain(value: Any) -> str:
    return json.dumps(value.strip().casefold() if isinstance(value, str) else value, sort_keys=True)
