"""`dailies store`: check what was made, free space, and share it with other machines."""

from typing import Annotated

import typer

from pipeline import control, mirroring
from pipeline.commandline import HERE, ShowOption, people
from pipeline.printing import line, moving

app = typer.Typer(help="Look after the store: check it, free space, share it by a mirror.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")]


@app.command()
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is damaged, so that it is made again.")] = False,
    show: ShowOption = HERE,
) -> None:
    """Hash everything in the store again. Exit code 1 if something is damaged."""
    with people():
        damage = control.verify(control.open_show(show), repair=repair)
    for each in damage:
        line(f"{each.path}: {each.what}")
    line(f"{len(damage)} damaged{' and removed' if damage and repair else ''}")
    if damage and not repair:
        raise typer.Exit(1)


@app.command()
def gc(
    dry_run: DryRun = False,
    days: Annotated[float, typer.Option(help="Keep what is younger than this many days.")] = 7,
    mirror: Annotated[bool, typer.Option("--mirror", help="Of the mirror instead of this machine.")] = False,
    show: ShowOption = HERE,
) -> None:
    """Free the space of results that nothing reaches any more; reviewers' work always stays."""
    with people():
        if mirror:
            gone = mirroring.clear(control.open_show(show), grace_days=days, dry=dry_run)
            rest = f"{gone.runs} runs, {gone.objects} objects; {gone.present} stay"
            line(f"{'would free' if dry_run else 'freed'} {_size(gone.size_bytes)} in the mirror: {rest}")
            return
        freed = control.gc(control.open_show(show), dry=dry_run, grace_days=days)
    what = f"{freed.runs} runs, {freed.objects} objects, {freed.memos} items"
    line(f"{'would free' if dry_run else 'freed'} {_size(freed.size_bytes)}: {what}")


@app.command()
def push(show: ShowOption = HERE) -> None:
    """Send what stands to the mirror; only what it lacks goes over, and a broken transfer is simply done again."""
    with people(), moving("sending") as tell:
        moved = mirroring.push(control.open_show(show), tell)
    line(
        f"sent {_size(moved.size_bytes)} in {moved.objects} objects, {moved.present} were there; {moved.runs} runs told"
    )


@app.command()
def pull(
    runs: Annotated[list[str] | None, typer.Argument(help="Names of runs; all that are new without.")] = None,
    files: Annotated[
        bool, typer.Option("--files", help="Bring the files too; else each comes when it is first opened.")
    ] = False,
    show: ShowOption = HERE,
) -> None:
    """Take over what others made. Big files stay in the mirror until they are needed, or asked for."""
    with people(), moving("fetching") as tell:
        taken, moved = mirroring.pull(control.open_show(show), runs or (), files=files, tell=tell)
    for run in taken:
        line(f"  {run.name}")
    brought = f", {_size(moved.size_bytes)} of files brought" if files else ""
    line(f"{len(taken)} runs are new here{brought}")


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"
