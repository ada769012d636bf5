"""A model behind an OpenAI-compatible server, opened: many requests under way, replies in the order of the requests.

As many are under way as the server keeps up with. What it turns out not to know (a grammar for the answer,
log-probabilities) is noted once and left out from then on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pipeline.models import vlm_messages, vlm_parsing
from pipeline.models.vlm import Picture, Reply, Request, Sound, Video
from pipeline.models.vlm_confidence import agreed
from pipeline.models.vlm_logprobs import of_tokens
from pipeline.models.vlm_server import RefusedError, Server

TEMPERATURE = 0.7
"""For several samples of one question, which must differ where the model is not sure."""

SAMPLES_WITHOUT_LOGPROBS = 3
"""Answers to one question where a server gives no probabilities but some are wanted: a majority needs three."""

AHEAD = 4
"""So many times more requests are kept in order than are under way, so that a slow one does not hold up the others."""

LONGEST_SHOWN = 4000
"""Characters of an answer that could not be used, shown to its model: one that rambles need not read it all."""

OPTIONAL: Mapping[str, tuple[str, ...]] = {
    "response_format": ("response_format", "json_schema", "structured", "grammar", "guided"),
    "logprobs": ("logprobs",),
    "seed": ("seed",),
}
"""What a request can do without, and the words by which a server says that it cannot do it."""


@dataclass(slots=True)
class _Said:
    """One answer, its retry included. `confidence` is empty where the server gives no probabilities."""

    data: Mapping[str, Any] | None
    raw: str
    problem: str
    confidence: Mapping[str, float]
    tokens_in: int
    tokens_out: int


@dataclass
class ServedVlm:
    """A model on `server`, there called `name`. Closing the server ends it."""

    server: Server
    name: str
    revision: str = ""
    sees: bool = False
    hears: bool = False
    video: Literal["frames", "url"] = "frames"
    _said: list[str] = field(default_factory=list)
    _left_out: set[str] = field(default_factory=set)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._said)

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        source, waiting, spent, all_asked = iter(requests), deque[Future[Reply]](), 0.0, False
        pool = ThreadPoolExecutor(self.server.pace.most, thread_name_prefix="ask")
        try:
            while True:
                under_way = [future for future in waiting if not future.done()]
                width = int(self.server.pace.limit)
                while not all_asked and len(under_way) < width and len(waiting) < AHEAD * width:
                    request = next(source, None)
                    all_asked = request is None
                    if request is not None:
                        under_way.append(pool.submit(self._reply, request))
                        waiting.append(under_way[-1])
                if not waiting:
                    return
                if waiting[0].done():
                    # Only the time that somebody waits counts, so that the sum is the time that the model took.
                    yield replace(waiting.popleft().result(), seconds=spent)
                    spent = 0.0
                    continue
                began = time.monotonic()
                wait(under_way, return_when=FIRST_COMPLETED)
                spent += time.monotonic() - began
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _reply(self, request: Request) -> Reply:
        for number, part in enumerate(request.parts):
            if (isinstance(part, Picture | Video) and not self.sees) or (isinstance(part, Sound) and not self.hears):
                raise ValueError(f"part {number} is a {type(part).__name__}, which {self.name} does not take")
        said = [
            self._ask(request, number, TEMPERATURE if request.samples > 1 else 0.0) for number in range(request.samples)
        ]
        unmeasured = request.measured and not said[0].confidence and said[0].data is not None
        if request.samples == 1 and unmeasured:
            said += [self._ask(request, number, TEMPERATURE) for number in range(1, SAMPLES_WITHOUT_LOGPROBS)]
        best, confidence = 0, said[0].confidence
        if len(said) > 1 and any(each.data is not None for each in said):
            chosen, confidence = agreed([each.data for each in said], request.measured)
            best = chosen or 0
        return Reply(
            said[best].data,
            said[best].raw,
            confidence,
            said[best].problem,
            sum(each.tokens_in for each in said),
            sum(each.tokens_out for each in said),
        )

    def _ask(self, request: Request, number: int, temperature: float) -> _Said:
        """One sample: an answer that fits the schema, at the second try if need be."""
        body: dict[str, Any] = {
            "model": self.name,
            "messages": vlm_messages.messages(request, self.video),
            "max_tokens": request.max_tokens,
            "temperature": temperature,
            "seed": request.seed + number,
            "stream": False,
            "response_format": response_format(request.schema),
            **vlm_messages.media_kwargs(request.parts, self.video),
            **({"logprobs": True} if request.measured else {}),
        }
        first = self._once(body, request)
        if first.data is not None:
            return first
        told = vlm_parsing.again(first.problem, request.schema)
        answered = {"role": "assistant", "content": first.raw[:LONGEST_SHOWN].strip() or "{}"}
        body["messages"] = [*body["messages"], answered, {"role": "user", "content": told}]
        # It may have been cut off.
        body["max_tokens"] = 2 * request.max_tokens
        second = self._once(body, request)
        second.tokens_in += first.tokens_in
        second.tokens_out += first.tokens_out
        return second

    def _once(self, body: Mapping[str, Any], request: Request) -> _Said:
        found = self.chat(body)
        choice, usage = found["choices"][0], found.get("usage") or {}
        raw = (choice.get("message") or {}).get("content") or ""
        parsed = vlm_parsing.parse(raw, request.schema)
        problem = parsed.problem
        if problem and choice.get("finish_reason") == "length":
            problem = f"{problem} (it was cut off after {body['max_tokens']} tokens)"
        tokens = tokens_of(choice)
        return _Said(
            parsed.data,
            raw,
            problem,
            of_tokens(tokens, parsed.data, request.measured) if tokens else {},
            usage.get("prompt_tokens") or 0,
            usage.get("completion_tokens") or 0,
        )

    def chat(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask, without what this server turned out not to know. Raises ServerError."""
        while True:
            asked = {name: value for name, value in body.items() if name not in self._left_out}
            try:
                return self.server.chat(asked)
            except RefusedError as error:
                words = error.message.lower()
                unknown = [name for name, signs in OPTIONAL.items() if name in asked and any(s in words for s in signs)]
                if not unknown:
                    raise
                self.leave_out(unknown[0], error.message)

    def leave_out(self, name: str, why: str) -> None:
        with self._guard:
            if name not in self._left_out:
                self._left_out.add(name)
                self._said.append(f"the model server does without {name}: {why}")

    def note(self, text: str) -> None:
        self._said.append(text)


def response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a server hold an answer to `schema` by a grammar: vLLM, SGLang and llama.cpp all take this form."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}


def tokens_of(choice: Mapping[str, Any]) -> list[tuple[bytes, float]]:
    """(bytes, log-probability) of each token that a server's answer lists; empty where it lists none."""
    listed = (choice.get("logprobs") or {}).get("content") or []
    found: list[tuple[bytes, float]] = []
    for each in listed:
        spelt = each.get("bytes")
        token = bytes(spelt) if spelt is not None else str(each.get("token", "")).encode()
        found.append((token, float(each.get("logprob") or 0.0)))
    return found
