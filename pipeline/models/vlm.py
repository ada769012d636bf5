"""One door to the models that see, hear and write: what they are asked, what they answer, and what opens them.

A `Request` is the same for every backend, and so are its answer's schema and parser; only how the model is reached
differs (in this process, or on a server). The confidence of an answer is measured, never what the model says of itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SOUND_HZ = 16_000
"""Samples a second of every `Sound`: what all audio encoders of these families take."""


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """`pixels`: [height, width, 3], uint8, RGB."""

    pixels: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Video:
    """`frames`: [time, height, width, 3], uint8, RGB, taken at an even `fps` (frames a second of the clip, not of the
    file), so that a model can be told when each is seen.
    """

    frames: npt.NDArray[np.uint8]
    fps: float


@dataclass(frozen=True, slots=True)
class Sound:
    """`samples`: [time], float32, -1 to 1, mono, SOUND_HZ a second. Right after a `Video` it is that video's own sound,
    from its first frame on, and models that can take both interleaved.
    """

    samples: npt.NDArray[np.float32]


Part = Text | Picture | Video | Sound


@dataclass(frozen=True, slots=True)
class Request:
    """One question. What is equal for many requests goes first (`system`, then the first `parts`), so that a server's
    prefix cache holds it.

    `schema` is the JSON schema of the answer, an object with every string and list bounded. `measured` names those of
    its top-level fields whose probability is wanted. `samples` > 1 asks several times and measures agreement instead.
    """

    system: str
    parts: tuple[Part, ...]
    schema: Mapping[str, Any]
    measured: tuple[str, ...] = ()
    max_tokens: int = 512
    samples: int = 1
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `data` fits the request's schema, or is None where no answer could be read after one retry, and
    `problem` says why then.

    `confidence` is, for each measured field, the probability of its value: the product of its tokens' probabilities,
    or the share of samples that agree. `tokens_in` and `tokens_out` count tokens, `seconds` this request's share,
    `peak_bytes` is the most memory that the device held meanwhile (0 where nobody can know).
    """

    data: Mapping[str, Any] | None
    raw: str
    confidence: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """What a number of replies cost; add one by one, report `figures` at the end."""

    requests: int = 0
    unanswered: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    peak_bytes: int = 0

    def and_of(self, reply: Reply) -> Usage:
        return Usage(
            requests=self.requests + 1,
            unanswered=self.unanswered + (reply.data is None),
            tokens_in=self.tokens_in + reply.tokens_in,
            tokens_out=self.tokens_out + reply.tokens_out,
            seconds=self.seconds + reply.seconds,
            peak_bytes=max(self.peak_bytes, reply.peak_bytes),
        )

    def figures(self) -> dict[str, float | int]:
        """For a run's report, e.g. `work.report(**usage.figures())`."""
        seconds = max(self.seconds, 1e-9)
        return {
            "requests": self.requests,
            "unanswered": self.unanswered,
            "requests_per_minute": round(60 * self.requests / seconds, 2),
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "tokens_per_second": round(self.tokens_out / seconds, 2),
            "model_seconds": round(self.seconds, 3),
            "peak_memory_gib": round(self.peak_bytes / 2**30, 3),
        }


class Vlm(Protocol):
    """An open model. `name` and `revision` say which weights answer; `revision` never moves (a commit, a digest)."""

    @property
    def name(self) -> str: ...

    @property
    def revision(self) -> str: ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know about how it runs (attention, precision, server), to be logged once."""
        ...

    @property
    def sees(self) -> bool:
        """Whether it takes pictures and video."""
        ...

    @property
    def hears(self) -> bool:
        """Whether it takes sound."""
        ...

    def answer(self, requests: Iterable[Request]) -> Iterator[Reply]:
        """One reply for each request, in their order, each yielded as soon as it and those before it are there.

        Raises ValueError, naming the part, where a request holds what the model cannot take. Parts that the model is
        not able to perceive are the caller's to leave out (`sees`, `hears`).
        """
        ...
