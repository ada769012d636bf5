"""A second process that holds a large show's review in memory, so that the panel's own stays small and answers at once.

The panel asks it for functions of the lead's desk by name. It is started when it is first needed, keeps what it read
(the second question is answered at once), and ends with the panel. A small show is read in place.
"""

import contextlib
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Concatenate, ParamSpec, TypeVar

from pipeline import desk, quality, search
from pipeline.desk_offered import Waiting
from pipeline.quality import Quality
from pipeline.settings import PROJECT
from pipeline.show import Show, open_show
from pipeline.standing import Group

LARGE = 20
"""Episodes: beyond, what is read of them is held elsewhere. A hundred clips each take about 2 MiB and 40 ms."""

P = ParamSpec("P")
R = TypeVar("R")

_FUNCTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        desk.accept, desk.answered, desk.change_speaker, desk.edits_made, desk.flagged, desk.glossary,
        desk.preview_replace, desk.preview_speaker, desk.refuse, desk.replace, desk.send_back, desk.speakers,
        desk.suggestions, desk.undo, desk.waiting, desk.write_glossary, quality.figures,
        search.page,
    )
}  # fmt: skip


def asked(function: Callable[Concatenate[Show, P], R]) -> Callable[Concatenate[Show, P], R]:
    """`function`, done in the second process where the show is large. Raises what it raises."""

    def ask(show: Show, /, *arguments: P.args, **options: P.kwargs) -> R:
        if len(show.episodes()) <= LARGE:
            return function(show, *arguments, **options)
        answer: R = _SECOND.call(function.__name__, show.folder, arguments, options)
        return answer

    return ask


def figures(show: Show) -> tuple[Quality, bool]:
    """`quality.figures`, and whether they are of now. Of a large show they are those of before, while others count."""
    found, is_now = quality.counted(show)
    if found and is_now:
        return found, True
    if found is None or len(show.episodes()) <= LARGE:
        return _counted(show), True
    if _COUNTING.acquire(blocking=False):
        threading.Thread(target=_count, args=(show,), daemon=True).start()
    return found, False


def waiting(show: Show) -> Waiting | None:
    """`desk.waiting`; of a large show None while it is counted."""
    if found := desk.counted(show):
        return found
    if len(show.episodes()) <= LARGE:
        return desk.waiting(show)
    warm(show)
    return None


def suggestions(show: Show) -> list[Group]:
    """`desk.suggestions`: read where they stand on disk; else worked out, of a large show in the second process."""
    found = desk.suggested(show)
    if found is None:
        return asked(desk.suggestions)(show)
    warm(show)  # For whoever accepts one of them.
    return found


def _counted(show: Show) -> Quality:
    if len(show.episodes()) <= LARGE:
        return quality.figures(show)
    once = _Second()  # What it read is needed only once, so that nobody keeps it in memory.
    try:
        found: Quality = once.call("figures", show.folder, (), {})
        return found
    finally:
        once.end()


def _count(show: Show) -> None:
    try:
        _counted(show)
    finally:
        _COUNTING.release()


def warm(show: Show) -> None:
    """Have a large show's review read now, while nobody waits for it. Where it is known, that costs a look."""
    if len(show.episodes()) > LARGE and _WARMING.acquire(blocking=False):
        threading.Thread(target=_quietly, args=(show,), daemon=True).start()


def _quietly(show: Show) -> None:
    try:
        with contextlib.suppress(ValueError):  # Whoever asks for it will be told.
            asked(desk.waiting)(show)
            asked(desk.speakers)(show)
    finally:
        _WARMING.release()


class _Second:
    """The process, and the two pipes to it. One question at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def call(self, name: str, folder: Path, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        with self._lock:
            process = self._started()
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                pickle.dump((name, folder, arguments, options), process.stdin)
                process.stdin.flush()
                problem, answer = pickle.load(process.stdout)
            except (BrokenPipeError, EOFError):
                code = process.wait()
                self._process = None
                with contextlib.suppress(BrokenPipeError):  # What was not sent goes nowhere now.
                    process.stdin.close()
                process.stdout.close()
                raise RuntimeError(
                    f"the process that holds the review ended with {code}; see the panel's log"
                ) from None
        if problem is not None:
            raise problem
        return answer

    def end(self) -> None:
        with self._lock:
            if self._process is not None:
                self._process.communicate()
                self._process = None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        return self._process


_SECOND = _Second()
_COUNTING, _WARMING = threading.Lock(), threading.Lock()


def _serve(questions: BinaryIO, answers: BinaryIO) -> None:
    while True:
        try:
            name, folder, arguments, options = pickle.load(questions)
        except EOFError:  # The panel is gone.
            return
        problem: Exception | None = None
        answer = None
        try:
            answer = _FUNCTIONS[name](open_show(folder), *arguments, **options)
        except (ValueError, OSError) as error:
            problem = error
        except Exception:
            problem = RuntimeError(traceback.format_exc())
        pickle.dump((problem, answer), answers)
        answers.flush()


if __name__ == "__main__":
    # What is printed meanwhile must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    _serve(sys.stdin.buffer, answers)
