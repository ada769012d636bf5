"""The command line: `dailies`. Every verb is a thin face of `pipeline.control`."""

import getpass
import json
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline import (
    audit_command,
    control,
    foretold,
    host_commands,
    lora_commands,
    measured,
    model_commands,
    panel_commands,
    report_command,
    review_commands,
    store_commands,
)
from pipeline.commandline import HERE, ShowOption, people
from pipeline.engine.run import Report
from pipeline.printing import bars, err, line, out, table

if TYPE_CHECKING:
    from pipeline.serve import Running

app = typer.Typer(
    help="Turns the episodes of a TV show into human-reviewed training data and a trained LoRA.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(store_commands.app, name="store")
app.add_typer(review_commands.app, name="review")
app.command()(audit_command.audit)
app.command("report")(report_command.command)
app.add_typer(model_commands.app, name="models")
app.add_typer(lora_commands.app, name="lora")
app.add_typer(panel_commands.app, name="panel")
app.add_typer(host_commands.app, name="host")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, default=str))


def _tell(message: str) -> None:
    line(message, console=err)


def _run(
    show: control.Show, steps: list[str] | None, episodes: list[str] | None = None, limit: int | None = None
) -> Report:
    runs = control.new_run_folder(show)
    # A polite kill ends a run as Ctrl-C does: a training among its jobs keeps its state first.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with bars(runs):
        report = control.run(show, steps, episodes, runs=runs, limit=limit)
    if report.ran:
        _index(show)
        for each in measured.compared(show.state / "runs", runs.name):
            _tell(foretold.beside_truth(each))
    if report.failed:
        blocked = f"; {len(report.blocked)} that wait for them were not tried" if report.blocked else ""
        _tell(f"{len(report.failed)} failed{blocked}; logs: {runs}")
    return report


def _index(show: control.Show) -> None:
    """Make ready what pages read of what has changed."""
    from pipeline import indexing

    indexing.build(show)


@app.command()
def status(show: ShowOption = HERE, as_json: JsonOption = False) -> None:
    """Show the state of every step of every episode, and why."""
    with people():
        units, left = control.outlook(control.open_show(show))
    if as_json:
        _print_json([asdict(unit) for unit in units])
    else:
        rows = [(u.step, u.unit, u.state, "" if u.seconds is None else f"{u.seconds:.1f}", u.why) for u in units]
        table(("step", "unit", "state", "seconds", "why"), rows)
        line(foretold.words(left))
        if left.error is not None:
            line(f"past forecasts were {foretold.accuracy(left.error)}")


@app.command()
def why(step: str, unit: Annotated[str | None, typer.Argument()] = None, show: ShowOption = HERE) -> None:
    """Say why a step is not fresh: the file, the setting or the input that changed, with old and new value."""
    with people():
        for each in control.why(control.open_show(show), step, unit):
            line(f"{each.step} {each.unit}: ", each.state)
            for cause in each.why.split("; ") if each.why else ():
                line(f"  {cause}")
            if each.store_path:
                line(f"  {each.store_path}")


@app.command()
def run(
    steps: Annotated[list[str] | None, typer.Argument(help="Steps to bring up to date; all, if none is named.")] = None,
    episode: Annotated[list[str] | None, typer.Option("--episode", "-e", help="Only these episodes.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Make only so many items of each step named, to look at them first.")
    ] = None,
    show: ShowOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Bring steps up to date: run what is missing or stale, and nothing else. Exit code 1 if a job failed."""
    with people():
        report = _run(control.open_show(show), steps or None, episode or None, limit)
    samples = [
        (*node, each.total, [json.loads(path.read_bytes()) for path in each.items]) for node, each in report.sampled
    ]
    if as_json:
        lost = (*report.failed, *report.blocked) if report.failed else ()
        answer = {"ran": [list(node) for node, _, _ in report.ran], "fresh": len(report.fresh)}
        answer |= {"failed": [[*node, message] for node, message in lost]}
        _print_json(answer | ({"sampled": samples} if samples else {}))
    else:
        line(f"{len(report.ran)} ran, {len(report.fresh)} were fresh")
        for step, unit, total, items in samples:
            line(f"{step} {unit}: {len(items)} of {total} items; a run without --limit takes them and makes the rest")
            for item in items:
                line(f"  {json.dumps(item, ensure_ascii=False)}")
    if report.failed:
        raise typer.Exit(1)


@app.command()
def push(show: ShowOption = HERE) -> None:
    """Give the reviewers their tasks. Pushing again changes only what changed; people's work is never touched."""
    with people():
        for each in control.push(control.open_show(show), log=_tell):
            counts = f"{each.created} new, {each.updated} updated, {each.unchanged} unchanged, {each.archived} archived"
            counts += f", {each.again} asked again" if each.again else ""
            line(f"{each.kind}: {counts}  {each.project.url}")


@app.command()
def pull(show: ShowOption = HERE) -> None:
    """Take a snapshot of what the reviewers decided. Exit code 1 if an answer cannot be read."""
    with people():
        opened = control.open_show(show)
        pulled, is_new = control.pull(opened, log=_tell)
        if is_new:
            _index(opened)
    line(f"{len(pulled.snapshot.decisions)} decisions: {'a new snapshot' if is_new else 'nothing new'}")
    for person, drafts in pulled.drafts.items():
        line(f"{person} has {drafts} unsent drafts")
    for unreadable in pulled.unreadable:
        line("error", f" cannot be read: {unreadable}", console=err)
    if pulled.unreadable:
        raise typer.Exit(1)


@app.command()
def up(
    show: ShowOption = HERE,
    panel: Annotated[bool, typer.Option(help="Start the panel too.")] = True,
) -> None:
    """Start Label Studio and the panel, and stay until Ctrl-C."""
    from pipeline.serve import up as serve

    with people(), serve(control.open_show(show), panel=panel) as running:
        _stay(running)


def _stay(running: "Running") -> None:
    """Say where everything is, then wait for Ctrl-C or a polite kill."""
    if running.panel:
        line(f"panel         {running.panel}")
    line(f"Label Studio  {running.label_studio}")
    if running.login and (running.panel or out.is_terminal):  # A job's log is no place for a password.
        line(f"  log in as   {running.login.email}  {running.login.password}")
    line("Ctrl-C stops both" if running.panel else "Ctrl-C stops it")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        signal.pause()


@app.command()
def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Go on to the trained LoRAs with a scripted reviewer, then end.")
    ] = False,
    folder: Annotated[Path | None, typer.Option("--show", "-s", help="A copy of the bundled show.")] = None,
) -> None:
    """Run the bundled show and put it into a browser: pipeline, Label Studio with its tasks, panel."""
    from pipeline import demo as bundled

    def bring(show: control.Show, step: str | None) -> Report:
        return _run(show, [step] if step else None)

    with people():
        show = bundled.open_demo(folder or bundled.SPIES)
        if not once:
            with bundled.staying(show, bring, _tell) as running:
                _stay(running)
            return
        done = bundled.once(show, bring, _tell)
    rows = []
    for unit in done.units:
        state = "ran" if (unit.step, unit.unit) in done.ran else unit.state
        rows.append((unit.step, unit.unit, state, f"{unit.seconds or 0:.1f}", unit.store_path))
    table(("step", "unit", "state", "seconds", "store path"), rows)
    for wrong in done.wrong:
        line("error", f" {wrong}", console=err)
    line(f"{len(done.ran)} steps ran, {len(done.units) - len(done.ran)} were fresh")
    if done.wrong:
        raise typer.Exit(1)


@app.command()
def adopt(
    step: str,
    reason: Annotated[str, typer.Option("--because", help="Why the change does not alter results; kept for ever.")],
    show: ShowOption = HERE,
) -> None:
    """Say that a change of code or settings does not alter a step's results: what stands stays, nothing runs."""
    with people():
        for done in control.adopt(control.open_show(show), step, by=getpass.getuser(), reason=reason):
            line(f"{done.node[0]} {done.node[1]}: {done.note or 'adopted'}")


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="The new show's folder.")] = HERE) -> None:
    """Make a new show: a folder with show.toml, bible.toml and a place for the episodes."""
    from pipeline.init import init as make

    with people():
        for path in make(folder):
            line(f"wrote {path}")
        line("next: put the videos into episodes/, fill in bible.toml, then `dailies run step2-caption`")


@app.command()
def doctor(show: ShowOption = HERE, as_json: JsonOption = False) -> None:
    """Check what a show needs of this machine, and say what to do. Exit code 1 if something must be mended."""
    from pipeline.doctor import examine

    with people():
        checks = examine(control.open_show(show))
    if as_json:
        _print_json([asdict(check) for check in checks])
    for check in [] if as_json else checks:
        line(f"{check.level:<8}", f"{check.name:<18}{check.finding}")
        if check.remedy:
            line(f"{'':<26}→ {check.remedy}")
    if any(check.level == "error" for check in checks):
        raise typer.Exit(1)


def main() -> None:
    """The entry point of `dailies`."""
    try:
        app()
    except BrokenPipeError:  # `dailies status | head`
        sys.stderr.close()


if __name__ == "__main__":
    main()
