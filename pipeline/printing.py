"""How the command line speaks: plain lines, tables, progress bars. What others wrote is never read as markup."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from pipeline.engine.events import Reader

out = Console(highlight=False, markup=False)
err = Console(stderr=True, highlight=False, markup=False)

STYLES = {
    "fresh": "green",
    "ok": "green",
    "ran": "green",
    "stale": "yellow",
    "warning": "yellow",
    "missing": "dim",
    "running": "cyan",
    "failed": "red",
    "error": "red",
}
"""The colour of a word of state, which always stands there as a word too."""

_POLL_SECONDS = 0.2


def line(*parts: str, console: Console = out) -> None:
    """One line, however long; words of state have their colour."""
    console.print(Text.assemble(*((part, STYLES.get(part.strip(), "")) for part in parts)), soft_wrap=True)


@contextmanager
def moving(label: str) -> Iterator[Callable[[int], None]]:
    """How many bytes have moved so far, while the `with` lasts; call what it yields with each new number of bytes."""
    with Progress(TextColumn(label), DownloadColumn(), TransferSpeedColumn(), console=err, transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda size_bytes: progress.advance(task, size_bytes)


_WIDE = 240
"""Columns where nobody looks at a terminal: a file or a pipe has all the room it needs."""


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "") -> None:
    """A table whose last column wraps first."""
    made = Table(title=title or None, title_justify="left", box=None, header_style="bold", pad_edge=False)
    for column in columns[:-1]:
        made.add_column(column, no_wrap=True)
    made.add_column(columns[-1])
    for row in rows:
        cells = ["" if value is None else str(value) for value in row]
        made.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in cells))
    (out if out.is_terminal else Console(width=_WIDE)).print(made)


def markdown(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", note: str = "") -> None:
    """Print a table as Markdown that reads well as it is; nothing is wrapped or cut off."""
    for text in markdown_lines(columns, rows, title, note):
        out.print(Text(text), soft_wrap=True)


def markdown_lines(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str = "", note: str = "") -> list[str]:
    """A table as lines of Markdown; one of a single column is a list."""
    if len(columns) == 1:
        body = [f"- {_cell(value)}" for (value,) in rows]
        return [f"## {title}", "", *body, *(("", note) if note else ()), ""]
    cells = [[_cell(value) for value in row] for row in ([*columns], *rows)]
    widths = [max(3, *(len(row[index]) for row in cells)) for index in range(len(columns))]
    head, *body = (
        f"| {' | '.join(cell.ljust(wide) for cell, wide in zip(row, widths, strict=True))} |" for row in cells
    )
    rule = f"| {' | '.join('-' * wide for wide in widths)} |"
    return [f"## {title}", "", head, rule, *body, *(("", note) if note else ()), ""]


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split()).replace("|", "\\|")


@contextmanager
def bars(runs: Path) -> Iterator[None]:
    """Show what the run whose folder is `runs` does, for the length of a `with`, from its events."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[step]:<30} {task.fields[unit]:<8}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        _Elapsed(),
        TextColumn("{task.fields[note]}", markup=False, style="dim"),
        console=err,
    )
    reader, tasks, stop = Reader(runs / "events.jsonl"), dict[tuple[str, str], TaskID](), threading.Event()

    def follow() -> None:
        ended = False
        while not ended:
            ended = stop.wait(_POLL_SECONDS)
            for event in reader.poll():
                _show(event, progress, tasks)

    with progress:
        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class _Elapsed(ProgressColumn):
    """The job's time so far; a job may pass its total several times, once for each kind of item."""

    def render(self, task: Task) -> Text:
        return Text(str(timedelta(seconds=int(task.elapsed or 0))), style="progress.elapsed")


def _show(event: dict[str, Any], progress: Progress, tasks: dict[tuple[str, str], TaskID]) -> None:
    kind, node = event["event"], (event.get("step", ""), event.get("unit", ""))
    if kind == "job started":
        tasks[node] = progress.add_task("", total=None, step=node[0], unit=node[1], note="")
    elif node not in tasks:
        return
    elif kind == "items":
        progress.update(tasks[node], completed=event["done"], total=event["total"])
    elif kind == "log":
        progress.update(tasks[node], note=event["message"])
    elif kind == "job finished":
        total = progress.tasks[tasks[node]].total or 1
        progress.update(tasks[node], completed=total, total=total, note="")
        progress.stop_task(tasks[node])
    elif kind == "job sampled":
        progress.stop_task(tasks[node])
    elif kind == "job failed":
        progress.update(tasks[node], visible=False)
        line("failed", f" {node[0]} {node[1]}: {event['error']}", console=progress.console)
