"""A model without weights, for tests of the logic around a model: it answers what a function says, and remembers."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.models.vlm import Reply, Request
from pipeline.models.vlm_parsing import parse


@dataclass
class FakeVlm:
    """`reply` gives an answer's data, or the very text that a model wrote, which is then read like any model's.

    `confidence` is what every measured field gets, or a function of the request and the data.
    """

    reply: Callable[[Request], Mapping[str, Any] | str]
    confidence: float | Callable[[Request, Mapping[str, Any]], Mapping[str, float]] = 0.9
    name: str = "fake"
    revision: str = "0"
    notes: tuple[str, ...] = ()
    sees: bool = True
    hears: bool = True
    asked: list[Request] = field(default_factory=list)

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        for request in requests:
            self.asked.append(request)
            said = self.reply(request)
            raw = said if isinstance(said, str) else json.dumps(said)
            parsed = parse(raw, request.schema)
            yield Reply(parsed.data, raw, self._confidence(request, parsed.data), parsed.problem, tokens_out=len(raw))

    def _confidence(self, request: Request, data: Mapping[str, Any] | None) -> Mapping[str, float]:
        if data is None:
            return {}
        if callable(self.confidence):
            return self.confidence(request, data)
        return {name: self.confidence for name in request.measured if name in data}
