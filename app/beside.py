"""Servers that are asked beside whoever looks: a page shows what was told last, and waits for nobody who is gone."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pipeline import control
from pipeline.control import Desk, Show

T = TypeVar("T")

OLD = 8
"""An answer that is so many times older than a fresh one is none: the next is waited for a moment."""


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """An answer, or what went wrong while it was asked for; `at` is by the monotonic clock, in seconds."""

    at: float
    answer: T | None
    problem: Exception | None


@dataclass(slots=True)
class Beside(Generic[T]):
    """The last answer for each key. One older than `fresh_seconds` is given too, while another is fetched.

    Whoever looks first waits `first_wait` seconds, so that what is told by a server that is well is there at once.
    """

    fresh_seconds: float
    first_wait: float = 0.5
    _told: dict[str, Told[T]] = field(default_factory=dict)
    _asking: dict[str, threading.Thread] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def look(self, key: str, ask: Callable[[], T]) -> T | None:
        """What `ask` said last; None as long as it never did. Raises what it raised."""
        with self._guard:
            told, thread = self._told.get(key), self._asking.get(key)
            age = time.monotonic() - told.at if told else float("inf")
            if thread is None and age > self.fresh_seconds:
                thread = threading.Thread(target=self._ask, args=(key, ask), daemon=True)
                self._asking[key] = thread
                thread.start()
        if thread is not None and age > OLD * self.fresh_seconds:
            thread.join(self.first_wait)
            told = self._told.get(key, told)
        if told is not None and told.problem is not None:
            raise told.problem
        return told.answer if told else None

    def _ask(self, key: str, ask: Callable[[], T]) -> None:
        answer, problem = None, None
        try:
            answer = ask()
        except Exception as error:  # It is whoever looks that can be told.
            problem = error
        with self._guard:
            self._told[key] = Told(time.monotonic(), answer, problem)
            self._asking.pop(key, None)


_DESKS: Beside[Desk] = Beside(3.0)
_DRAFTS: Beside[dict[str, int]] = Beside(30.0)  # Only an export tells them, so they are asked for less often.


def desk(show: Show) -> Desk:
    """How the show's Label Studio stands; "asked" while it is asked for the first time."""
    if there := control.desk_without_asking(show):
        return there
    told = _DESKS.look(str(show.folder), lambda: control.review_desk(show))
    return told or Desk("asked", "", ours=show.settings.label_studio_url is None)


def drafts(show: Show) -> dict[str, int] | None:
    """Work that was begun and not sent, by person; None while it is asked for the first time."""
    return _DRAFTS.look(str(show.folder), lambda: control.unsent(show))
