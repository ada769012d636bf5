"""`dailies report`: the progress report, as Markdown that nobody has to write again."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from pipeline import control, forecast, foretold, hosts, progress, report
from pipeline.commandline import HERE, ShowOption, people, unsent_drafts
from pipeline.host_state import PATIENCE_SECONDS, Glances
from pipeline.printing import line, markdown_lines, out
from pipeline.report import Section


def command(
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write it into this file.")] = None,
    show: ShowOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs; it counts as no report.")] = False,
) -> None:
    """Report how the show stands, what changed since the last report, what it costs, what to do, and what was kept."""
    from pipeline.quality import measure

    with people():
        opened = control.open_show(show)
        now, quality, unsent = forecast.outlook(opened), measure(opened), unsent_drafts(opened)
        # Here somebody waits for the answer: hosts have the time that they need.
        places = hosts.hosts(opened, Glances(first_wait=2 * PATIENCE_SECONDS))
        head = progress.sections(now, places, quality, progress.last(opened))
        sections = [*head, *report.report(opened), *report.review(quality, unsent)[1:]]
        if as_json:
            tables = {s.title: [dict(zip(s.columns, row, strict=True)) for row in s.rows] for s in sections}
            typer.echo(json.dumps(tables | {"quality": asdict(quality), "unsent": unsent}, default=str))
            return
        lines = [*_heading(opened, now.left()), *_lines(sections)]
        if output is not None:
            output.write_text("\n".join(lines), encoding="utf-8")
            line(f"wrote {output}")
        else:
            for each in lines:
                out.print(each, soft_wrap=True)
        progress.keep(opened, progress.seen(now, places, quality))


def _heading(show: control.Show, left: control.Forecast) -> list[str]:
    at, words = datetime.now().astimezone(), foretold.words(left)
    return [f"# Progress report: {show.file.name}, {at:%Y-%m-%d %H:%M}", "", f"{words[:1].upper()}{words[1:]}.", ""]


def _lines(sections: list[Section]) -> list[str]:
    return [text for each in sections for text in markdown_lines(each.columns, each.rows, each.title, each.note)]
