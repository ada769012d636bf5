"""`dailies audit`: print what the machine decided in an episode and why, or take one decision back."""

import json
from collections.abc import Iterator
from getpass import getuser
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from pipeline import audit as core
from pipeline import control
from pipeline.audit import Audited
from pipeline.commandline import HERE, ShowOption, people
from pipeline.printing import line, table


def audit(
    episode: Annotated[str | None, typer.Argument(help="Whose decisions; not needed with --revert.")] = None,
    revert: Annotated[str | None, typer.Option(help="Take back the decision with this id.")] = None,
    by: Annotated[str | None, typer.Option(help="Who takes it back; the log keeps it. By default your login.")] = None,
    why: Annotated[bool, typer.Option("--why", help="All that each decision rests on, below the table.")] = False,
    show: ShowOption = HERE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs.")] = False,
) -> None:
    """Show every decision the machine took in an episode, what it replaced and how sure it was; or take one back."""
    with people():
        if (episode is None) == (revert is None):
            raise ValueError("name an episode, or a decision to take back with --revert ID")
        opened = control.open_show(show)
        if revert is not None:
            entry = core.revert(opened, revert, getuser() if by is None else by)
            (place,) = entry.places
            line(f"edit {entry.id} by {entry.by}: “{place.before}” is “{place.after}” again, and asked about")
            line("`dailies run` makes the reviewed clips anew; the next push asks the reviewers")
            return
        found = core.audit(opened, episode or "")
    if as_json:
        typer.echo(json.dumps([as_dict(each) for each in found]))
        return
    columns = ("id", "s", "was", "is", "score", "found by", "in")
    table(columns, [(*_row(each),) for each in found])
    for each in found if why else ():
        line()
        for text in told(each):
            line(text)
    backs = sum(bool(each.reverted_by) for each in found)
    line(f"{len(found)} decision{'' if len(found) == 1 else 's'}{f', {backs} taken back' if backs else ''}")


def as_dict(each: Audited) -> dict[str, Any]:
    found: dict[str, Any] = TypeAdapter(Audited).dump_python(each, mode="json")
    return found


def _row(each: Audited) -> Iterator[str]:
    yield each.id
    yield f"{each.at_seconds:.1f}"
    yield each.original
    yield each.chosen if each.chosen != each.original else "(stands)"
    yield f"{each.score:.2f}"
    yield f"{each.backend}, taken back by {each.reverted_by}" if each.reverted_by else each.backend
    yield each.line


def told(each: Audited) -> Iterator[str]:
    """All that a decision rests on, line by line."""
    yield f"{each.id}: “{each.original}” → “{each.chosen}”, {each.score:.2f}, by {each.backend}"
    if each.reverted_by:
        yield f"  taken back by {each.reverted_by} (edit {each.edit})"
    yield from (f"  {sentence}" for sentence in each.evidence)
    for one in each.weighed:
        parts = {"words": one.lexical, "voices": one.voices, "model": one.model}
        said = ", ".join(f"{name} {share:.2f}" for name, share in parts.items() if share is not None)
        yield f"  “{one.value}” {one.score:.2f}: {said}"
    if model := each.consulted:
        yield f"  asked: {model.model} at {model.revision} ({model.backend}), prompt {model.prompt[:16]}"
        frames = ", ".join(model.frames) or "nothing"
        sounds = ", ".join(f"{span.start:.1f}–{span.end:.1f} s" for span in model.sounds) or "nothing"
        yield f"  read {len(model.lines)} lines; saw {frames}; heard {sounds}"
        if model.withheld:
            yield f"  cannot perceive: {', '.join(model.withheld)}"
