"""What happens in a run, as JSON lines that anyone may follow: progress bars, the panel, forecasts.

A line has `t` (Unix seconds), `event`, and the event's own fields. Writers append whole lines, so several processes
may share one file; a reader skips a last line that is not finished yet.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Events:
    """Where a job tells what it does; `None` tells nobody. `about` (step, unit) stands in every line."""

    path: Path | None
    about: tuple[tuple[str, str], ...] = ()

    def emit(self, event: str, **fields: Any) -> None:
        if self.path is None:
            return
        line = json.dumps({"t": round(time.time(), 3), "event": event, **dict(self.about), **fields})
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(descriptor, (line + "\n").encode())
        finally:
            os.close(descriptor)


@dataclass(slots=True)
class Reader:
    """Follows an events file; each `poll` gives what is new since the last."""

    path: Path
    offset: int = 0

    @classmethod
    def at_end(cls, path: Path) -> "Reader":
        """A reader of what is yet to come."""
        return cls(path, path.stat().st_size if path.exists() else 0)

    def poll(self) -> Iterator[dict[str, Any]]:
        if not self.path.exists():
            return
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield json.loads(line)
