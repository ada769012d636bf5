"""How many requests a model server is asked at once: a few more while it keeps up, half as many when it does not."""

import threading
from collections import deque
from dataclasses import dataclass, field

FIRST, MOST = 4.0, 64
"""Where it begins, and more than any one card answers at once with pictures in the prompt."""

SLOW = 4.0
"""So many times slower than the quickest of late, and a server only queues what it is given."""

REMEMBERED = 64
PROMPT_TOKENS_PER_ANSWERED = 16
"""Reading a prompt is so much quicker than writing, a token for a token: it is done in parallel."""


@dataclass
class Pace:
    """Additive increase, multiplicative decrease, as TCP shares a line. Times are seconds of any one clock."""

    most: int = MOST
    limit: float = FIRST
    _lowered: float = float("-inf")
    _costs: deque[float] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.limit = min(self.limit, float(self.most))

    def answered(self, started: float, ended: float, tokens_in: int, tokens_out: int) -> None:
        """A request was answered; its size makes long and short ones comparable."""
        cost = (ended - started) / (tokens_out + tokens_in / PROMPT_TOKENS_PER_ANSWERED + 1)
        with self._guard:
            slow = len(self._costs) >= self.limit and cost > SLOW * min(self._costs)
            self._costs.append(cost)
            if slow:
                self._lower(started, ended, 0.8)
            else:
                self.limit = min(self.limit + 1 / self.limit, float(self.most))

    def refused(self, started: float, ended: float) -> None:
        """A request was turned away, or not answered in time."""
        with self._guard:
            self._lower(started, ended, 0.5)

    def _lower(self, started: float, ended: float, factor: float) -> None:
        # What was under way when the pace was last lowered tells nothing new.
        if started >= self._lowered:
            self.limit = max(self.limit * factor, 1.0)
            self._lowered = ended
