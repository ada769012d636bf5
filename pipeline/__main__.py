"""The command line: `dailies`. Every verb is a thin face of `pipeline.control`."""

import getpass
import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from pipeline import control, watch
from pipeline.engine.run import Report
from pipeline.review.errors import LabelStudioError

if TYPE_CHECKING:
    from pipeline.serve import Running

app = typer.Typer(
    help="Turns the episodes of a TV show into human-reviewed training data and a trained LoRA.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
store_app = typer.Typer(help="Look after the store: check it, free space.", no_args_is_help=True)
app.add_typer(store_app, name="store")

out, err = Console(), Console(stderr=True)

STATE_STYLES = {"fresh": "green", "stale": "yellow", "missing": "dim", "failed": "red", "running": "cyan"}

ShowOption = Annotated[Path, typer.Option("--show", "-s", help="The show's folder.", envvar="DAILIES_SHOW")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
HERE = Path()


@contextmanager
def _people() -> Iterator[None]:
    """What people can mend ends with one clear message and exit code 2; anything else is a bug and shows its trace."""
    try:
        yield
    except (ValueError, LabelStudioError) as error:
        err.print(f"[red]error[/] {error}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        err.print("stopped; what was finished is kept")
        raise typer.Exit(130) from None


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, default=str))


@app.command()
def status(show: ShowOption = HERE, as_json: JsonOption = False) -> None:
    """Show the state of every step of every episode, and why."""
    with _people():
        units = control.status(control.open_show(show))
    if as_json:
        _print_json([asdict(unit) for unit in units])
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("step", "unit", "state"):
        table.add_column(column, no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    table.add_column("why")
    for unit in units:
        state = f"[{STATE_STYLES[unit.state]}]{unit.state}[/]"
        seconds = "" if unit.seconds is None else f"{unit.seconds:.1f}"
        table.add_row(unit.step, unit.unit, state, seconds, unit.why)
    out.print(table, highlight=False)


@app.command()
def why(step: str, unit: Annotated[str | None, typer.Argument()] = None, show: ShowOption = HERE) -> None:
    """Say why a step is not fresh: the file, the setting or the input that changed, with old and new value."""
    with _people():
        for each in control.why(control.open_show(show), step, unit):
            out.print(f"{each.step} {each.unit}: [{STATE_STYLES[each.state]}]{each.state}[/]", highlight=False)
            for cause in each.why.split("; ") if each.why else ():
                out.print(f"  {cause}", highlight=False, markup=False, soft_wrap=True)
            if each.store_path:
                out.print(f"  [dim]{each.store_path}[/]", highlight=False, soft_wrap=True)


@app.command()
def run(
    steps: Annotated[list[str] | None, typer.Argument(help="Steps to bring up to date; all, if none is named.")] = None,
    episode: Annotated[list[str] | None, typer.Option("--episode", "-e", help="Only these episodes.")] = None,
    show: ShowOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Bring steps up to date: run what is missing or stale, and nothing else. Exit code 1 if a job failed."""
    with _people():
        opened = control.open_show(show)
        runs = control.new_run_folder(opened)
        with watch.bars(runs, err):
            report = control.run(opened, steps or None, episode or None, runs=runs)
    if as_json:
        _print_json(
            {
                "ran": [list(node) for node, _, _ in report.ran],
                "fresh": len(report.fresh),
                "failed": [[*node, message] for node, message in (*report.failed, *report.blocked)],
            }
        )
    else:
        out.print(f"{len(report.ran)} ran, {len(report.fresh)} were fresh", highlight=False)
        if report.failed:
            err.print(f"{len(report.failed)} failed; logs: {runs}", highlight=False, soft_wrap=True)
    if report.failed:
        raise typer.Exit(1)


@app.command()
def push(show: ShowOption = HERE) -> None:
    """Give the reviewers their tasks. Pushing again changes only what changed; people's work is never touched."""
    with _people():
        for each in control.push(control.open_show(show), log=lambda line: err.print(line, highlight=False)):
            counts = f"{each.created} new, {each.updated} updated, {each.unchanged} unchanged, {each.archived} archived"
            out.print(f"{each.kind}: {counts}  {each.project.url}", highlight=False, soft_wrap=True)


@app.command()
def pull(show: ShowOption = HERE) -> None:
    """Take a snapshot of what the reviewers decided. Exit code 1 if an answer cannot be read."""
    with _people():
        pulled, is_new = control.pull(control.open_show(show))
    news = "a new snapshot" if is_new else "nothing new"
    out.print(f"{len(pulled.snapshot.decisions)} decisions: {news}", highlight=False)
    for line in pulled.unreadable:
        err.print(f"[red]unreadable[/] {line}", highlight=False, soft_wrap=True)
    if pulled.unreadable:
        raise typer.Exit(1)


@app.command()
def up(show: ShowOption = HERE) -> None:
    """Start Label Studio and the panel, and stay until Ctrl-C."""
    from pipeline.serve import up as serve

    with _people(), serve(control.open_show(show)) as running:
        _print_running(running)
        _stay()


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Go on to the datasets with a scripted reviewer, then end.")
    ] = False,
) -> None:
    """Run the bundled show and put it into a browser: pipeline, Label Studio with its tasks, panel."""
    from pipeline import demo as bundled

    def say(line: str) -> None:
        err.print(line, highlight=False)

    def run(show: control.Show, step: str | None) -> Report:
        runs = control.new_run_folder(show)
        with watch.bars(runs, err):
            return control.run(show, [step] if step else None, runs=runs)

    with _people():
        show = bundled.open_demo()
        if not once:
            with bundled.staying(show, run, say) as running:
                _print_running(running)
                _stay()
            return
        done = bundled.once(show, run, say)
    table = Table("step", "unit", "state", "seconds", "store path", box=None, header_style="bold", pad_edge=False)
    for unit in done.units:
        state = "ran" if (unit.step, unit.unit) in done.ran else unit.state
        table.add_row(unit.step, unit.unit, state, f"{unit.seconds or 0:.1f}", unit.store_path)
    Console(width=max(out.width, 200)).print(table, highlight=False)
    for line in done.wrong:
        err.print(f"[red]wrong[/] {line}", highlight=False)
    out.print(f"{len(done.ran)} steps ran, {len(done.units) - len(done.ran)} were fresh", highlight=False)
    if done.wrong:
        raise typer.Exit(1)


def _print_running(running: "Running") -> None:
    out.print(f"panel         {running.panel}", highlight=False)
    out.print(f"Label Studio  {running.label_studio}", highlight=False)
    if running.login:
        out.print(f"  log in as   {running.login.email}  {running.login.password}", highlight=False, markup=False)
    out.print("Ctrl-C stops both", highlight=False)


def _stay() -> None:
    """Until Ctrl-C, or a polite kill."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        signal.pause()


@app.command()
def adopt(
    step: str,
    reason: Annotated[str, typer.Option("--because", help="Why the change does not alter results; kept for ever.")],
    show: ShowOption = HERE,
) -> None:
    """Say that a change of code or settings does not alter a step's results: what stands stays, nothing runs."""
    with _people():
        for done in control.adopt(control.open_show(show), step, by=getpass.getuser(), reason=reason):
            out.print(f"{done.node[0]} {done.node[1]}: {done.note or 'adopted'}", highlight=False, soft_wrap=True)


@app.command()
def report(show: ShowOption = HERE, as_json: JsonOption = False) -> None:
    """Say what every step kept and dropped and why, what is doubted, and how far the review is."""
    from pipeline.report import report as make

    with _people():
        sections = make(control.open_show(show))
    if as_json:
        _print_json({s.title: [dict(zip(s.columns, row, strict=True)) for row in s.rows] for s in sections})
        return
    for section in sections:
        table = Table(*section.columns, title=section.title, title_justify="left", box=None, header_style="bold")
        for row in section.rows:
            table.add_row(*("" if value is None else str(value) for value in row))
        out.print(table, highlight=False)
        out.print()


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="The new show's folder.")] = HERE) -> None:
    """Make a new show: a folder with show.toml, bible.toml and a place for the episodes."""
    from pipeline.init import init as make

    with _people():
        for path in make(folder):
            out.print(f"wrote {path}", highlight=False)
        out.print("next: put the videos into episodes/, fill in bible.toml, then `dailies run`", highlight=False)


@app.command()
def doctor(show: ShowOption = HERE, as_json: JsonOption = False) -> None:
    """Check what a show needs of this machine, and say what to do. Exit code 1 if something must be mended."""
    from pipeline.doctor import examine

    with _people():
        checks = examine(control.open_show(show))
    if as_json:
        _print_json([asdict(check) for check in checks])
    else:
        styles = {"ok": "green", "warning": "yellow", "error": "red"}
        for check in checks:
            out.print(f"[{styles[check.level]}]{check.level:<8}[/]{check.name:<18}{check.finding}", highlight=False)
            if check.remedy:
                out.print(f"{'':<26}→ {check.remedy}", highlight=False)
    if any(check.level == "error" for check in checks):
        raise typer.Exit(1)


@store_app.command("verify")
def store_verify(
    repair: Annotated[bool, typer.Option("--repair", help="Remove what is damaged, so that it is made again.")] = False,
    show: ShowOption = HERE,
) -> None:
    """Hash everything in the store again. Exit code 1 if something is damaged."""
    with _people():
        damage = control.verify(control.open_show(show), repair=repair)
    for each in damage:
        out.print(f"{each.path}: {each.what}", highlight=False, soft_wrap=True)
    out.print(f"{len(damage)} damaged{' and removed' if damage and repair else ''}", highlight=False)
    if damage and not repair:
        raise typer.Exit(1)


@store_app.command("gc")
def store_gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    days: Annotated[float, typer.Option(help="Keep what is younger than this many days.")] = 7,
    show: ShowOption = HERE,
) -> None:
    """Free the space of results that nothing reaches any more; reviewers' work always stays."""
    with _people():
        freed = control.gc(control.open_show(show), dry=dry_run, grace_days=days)
    verb = "would free" if dry_run else "freed"
    out.print(
        f"{verb} {freed.size_bytes / 1e6:.1f} MB: {freed.runs} runs, {freed.objects} objects, {freed.memos} items",
        highlight=False,
    )


def main() -> None:
    """The entry point of `dailies`."""
    try:
        app()
    except BrokenPipeError:  # `dailies status | head`
        sys.stderr.close()


if __name__ == "__main__":
    main()
