"""How sure a model was where it was asked several times: the share of its answers that say the same."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


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


def _plain(value: Any) -> str:
    return json.dumps(value.strip().casefold() if isinstance(value, str) else value, sort_keys=True)
