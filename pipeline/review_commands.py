"""`dailies review ...`: who may review, what was lost put back, and what is done to many clips at once."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from getpass import getuser
from typing import Annotated

import typer

from pipeline import control, desk
from pipeline import examples as chosen_examples
from pipeline.commandline import HERE, ShowOption, people, unsent_drafts
from pipeline.desk import Place
from pipeline.printing import err, line, markdown

app = typer.Typer(
    help="Look after the review: add people, restore what was deleted, fix many clips at once.", no_args_is_help=True
)

By = Annotated[str, typer.Option("--by", default_factory=getuser, help="Who does it: the log keeps it.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without it, only what would be done is shown.")]


@app.command("add-person")
def add_person(email: str, show: ShowOption = HERE) -> None:
    """Make a login for a reviewer; the password is shown this once."""
    with people():
        person = control.add_person(control.open_show(show), email)
    line(f"{person.email} logs in at {person.url}")
    line(f"  password  {person.password}")


@app.command()
def status(show: ShowOption = HERE, as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Say how far the review is, who did what, how right the machine was, and how many errors are left."""
    from pipeline.quality import measure
    from pipeline.report import review

    with people():
        opened = control.open_show(show)
        quality, drafts = measure(opened), unsent_drafts(opened)
    if as_json:
        typer.echo(json.dumps({**asdict(quality), "unsent": drafts}))
        return
    for section in review(quality, drafts):
        markdown(section.columns, section.rows, section.title, section.note)


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


@app.command()
def fixes(
    by: By,
    accept: Annotated[
        list[str] | None, typer.Option(help="Take this suggestion for all its places; repeatable.")
    ] = None,
    refuse: Annotated[list[str] | None, typer.Option(help="Never suggest this again; repeatable.")] = None,
    show: ShowOption = HERE,
) -> None:
    """Show what people settled in one place and what else it would settle; take or refuse it for all."""
    with people():
        opened = control.open_show(show)
        for group_id in accept or ():
            line(_told(desk.accept(opened, group_id, None, by)))
        for group_id in refuse or ():
            line(_told(desk.refuse(opened, group_id, None, by)))
        groups = [] if accept or refuse else desk.suggestions(opened)
    for group in groups:
        what = f"“{group.heard}” may be “{group.value}”" if group.kind == "text" else f"{group.value} may speak"
        line(f"{group.id}  {what} in {len(group.places)} more: {group.said}")
        _list(group.places)
    if not (groups or accept or refuse):
        line("nothing to fix: no doubt that people settled stands anywhere else")


@app.command()
def replace(
    find: str,
    replacement: str,
    by: By,
    parts: Annotated[bool, typer.Option("--parts", help="Parts of words too.")] = False,
    any_case: Annotated[bool, typer.Option("--any-case", help="Capitals or not.")] = False,
    yes: Yes = False,
    show: ShowOption = HERE,
) -> None:
    """Find words in all lines of the show and replace them. Without --yes it only shows where."""
    whole, case = not parts, not any_case
    with people():
        opened = control.open_show(show)
        if yes:
            line(_told(desk.replace(opened, find, replacement, by, whole_words=whole, match_case=case)))
        else:
            _preview(desk.preview_replace(opened, find, replacement, whole, case))


@app.command()
def speaker(old: str, new: str, by: By, yes: Yes = False, show: ShowOption = HERE) -> None:
    """Give all lines of one speaker to another, by their ids in the bible (UNKNOWN for nobody known)."""
    with people():
        opened = control.open_show(show)
        if yes:
            line(_told(desk.change_speaker(opened, old, new, by)))
        else:
            _preview(desk.preview_speaker(opened, old, new))


@app.command()
def edits(show: ShowOption = HERE) -> None:
    """List what was done to many clips at once, the newest first, and what became of it."""
    with people():
        for edit in desk.edits_made(control.open_show(show)):
            line(f"{edit.id:>4}  {edit.at:%Y-%m-%d %H:%M}  {_told(edit)}")
            for why in edit.account.why if edit.account else ():
                line(f"      {why}")


@app.command()
def undo(ids: list[str], by: By, show: ShowOption = HERE) -> None:
    """Take edits back, by their numbers. What reviewers answered since stays theirs; an undo can be undone."""
    with people():
        for edit in desk.undo(control.open_show(show), ids, by):
            line(_told(edit))


@app.command("send-back")
def send_back(
    keys: list[str],
    because: Annotated[str, typer.Option(help="The reviewer is shown it.")],
    by: By,
    show: ShowOption = HERE,
) -> None:
    """Have answered tasks answered again, by their keys (s01e01/s01e01_0012340, or with #caption)."""
    with people():
        line(_told(desk.send_back(control.open_show(show), keys, because, by)))
    line("`dailies push` asks again")


@app.command()
def flagged(
    why: Annotated[str | None, typer.Argument(help="Only these tasks, one key a line.")] = None, show: ShowOption = HERE
) -> None:
    """Count tasks by why they may need a look, or list those of one reason."""
    with people():
        found = desk.flagged(control.open_show(show))
        if why is not None and why not in found:
            raise ValueError(f"nothing is flagged {why!r}; there are {', '.join(found) or 'no flags at all'}")
    for reason, keys in found.items():
        if why is None:
            line(f"{len(keys):>5}  {reason}")
        elif why == reason:
            for key in keys:
                line(key)


@app.command()
def glossary(
    by: By,
    write: Annotated[list[str] | None, typer.Option(help="Write this line into the bible; repeatable.")] = None,
    show: ShowOption = HERE,
) -> None:
    """Show mishearings that people corrected twice or more and that the bible does not list; write them."""
    with people():
        opened = control.open_show(show)
        for offer_id in write or ():
            offer = desk.write_glossary(opened, offer_id, by)
            line(f"written: {offer.heard} is {offer.right} misheard")
        offers = [] if write else desk.glossary(opened)
    for offer in offers:
        line(f"{offer.id}  “{offer.heard}” for “{offer.right}”, corrected in {', '.join(offer.places)}")
        for warning in offer.warnings:
            line("warning", f" {warning}")
        line(offer.diff)
    if not (offers or write):
        line("nothing to list: no mishearing was corrected twice that the bible does not have")


@app.command()
def examples(
    most: Annotated[int, typer.Option(min=1, help="So many at most.")] = 12,
    write: Annotated[bool, typer.Option("--write", help="Write them into show.toml.")] = False,
    show: ShowOption = HERE,
) -> None:
    """Choose approved captions as examples for the model that captions, as lines of show.toml; write them."""
    with people():
        opened = control.open_show(show)
        offered = chosen_examples.offer(opened, most)
        if write and offered.diff:
            chosen_examples.write(opened, offered)
    faulty = f"; {offered.faulty} have faults that the caption lint finds" if offered.faulty else ""
    line(f"{len(offered.examples)} of {offered.approved} approved captions{faulty}")
    if not offered.diff:
        line("show.toml has them already")
        return
    line("written into show.toml" if write else offered.diff)
    for step, unit in offered.stale:
        line("  stale" if write else "  becomes stale:", f" {step} {unit}")


def _told(edit: desk.Edit) -> str:
    undone = f" (undone by {edit.undone_by})" if edit.undone_by else ""
    return f"{edit.title}, by {edit.by}{undone}"


def _preview(places: Sequence[Place]) -> None:
    _list(places)
    line(f"{len(places)} places; --yes changes them" if places else "no such place")


def _list(places: Sequence[Place]) -> None:
    for place in places:
        where = f"{place.episode} {place.clip or 'in no clip'} {place.at_seconds:.1f} s"
        change = (
            f"{place.before} → {place.after}: “{place.line}”"
            if place.about == "speaker"
            else f"“{place.line}” → “{place.line_after}”"
        )
        line(f"  {where}  {change}")
