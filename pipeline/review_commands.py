"""`dailies review ...`: who may review, and what was lost put back."""

from typing import Annotated

import typer

from pipeline import control
from pipeline.commandline import HERE, ShowOption, people
from pipeline.printing import err, line

app = typer.Typer(help="Look after the review: add people, restore what was deleted.", no_args_is_help=True)


@app.command("add-person")
def add_person(email: str, show: ShowOption = HERE) -> None:
    """Make a login for a reviewer; the password is shown this once."""
    with people():
        person = control.add_person(control.open_show(show), email)
    line(f"{person.email} logs in at {person.url}")
    line(f"  password  {person.password}")


@app.command()
def restore(
    snapshot: Annotated[
        str | None, typer.Option(help="An earlier snapshot, by its number; default the newest.")
    ] = None,
    show: ShowOption = HERE,
) -> None:
    """Bring a deleted project, or deleted tasks, back with their answers. Exit code 1 if an answer cannot be."""
    with people():
        done = control.restore(control.open_show(show), snapshot, log=lambda message: line(message, console=err))
    line(f"{done.restored} decisions put back, {done.there} were there")
    for lost in done.lost:
        line("error", f" cannot be put back, its snapshot is too old: {lost}", console=err)
    if done.lost:
        raise typer.Exit(1)
