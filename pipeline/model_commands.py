"""`dailies models`: which commit of each model the show uses, and how one is moved."""

from typing import Annotated

import typer

from pipeline import catalogue, control
from pipeline.commandline import HERE, ShowOption, people
from pipeline.printing import line, table

app = typer.Typer(help="List the models that the steps name, and what each is pinned to.", invoke_without_command=True)


@app.callback()
def models(context: typer.Context, show: ShowOption = HERE) -> None:
    """List the models that the steps name, and what each is pinned to in models.lock."""
    if context.invoked_subcommand is None:
        with people():
            found = catalogue.models(control.open_show(show))
        unknown = {"hub": "pinned when it first runs", "folder": "there is no such folder"}
        rows = [(each.step, each.model, each.source, each.revision or unknown.get(each.source, "")) for each in found]
        table(("step", "model", "from", "revision"), rows)


@app.command()
def update(
    name: Annotated[str, typer.Argument(help="The model, as the settings or the hub name it.")], show: ShowOption = HERE
) -> None:
    """Pin a model to what it is now on the hub, and say what that makes stale."""
    with people():
        moved = catalogue.update_model(control.open_show(show), name)
    if moved.was == moved.now:
        line(f"{name} is at {moved.now} already")
        return
    line(f"{name}: {moved.was or 'not pinned'} -> {moved.now}")
    for step, unit in moved.stale:
        line("  stale", f" {step} {unit}")
    if not moved.stale:
        line("  nothing that stands becomes stale")
