"""Progress bars of a run, read from its events as anybody could."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
)
from rich.text import Text

from pipeline.engine.events import Reader

_POLL_SECONDS = 0.2


@contextmanager
def bars(runs: Path, console: Console) -> Iterator[None]:
    """Show what the run in folder `runs` does, for the length of a `with`."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[step]:<31} {task.fields[unit]:<8}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        _Elapsed(),
        console=console,
        transient=False,
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
        tasks[node] = progress.add_task("", total=None, step=node[0], unit=node[1])
    elif node not in tasks:
        if kind == "blocked":
            progress.console.print(f"[yellow]not run[/] {node[0]} {node[1]}: {event['why']}", highlight=False)
    elif kind == "items":
        progress.update(tasks[node], completed=event["done"], total=event["total"])
    elif kind == "log":
        progress.console.print(f"[dim]{node[0]} {node[1]}:[/] {event['message']}", highlight=False)
    elif kind == "job finished":
        total = progress.tasks[tasks[node]].total or 1
        progress.update(tasks[node], completed=total, total=total)
        progress.stop_task(tasks[node])
    elif kind == "job failed":
        progress.update(tasks[node], visible=False)
        progress.console.print(f"[red]failed[/] {node[0]} {node[1]}: {event['error']}", highlight=False)
