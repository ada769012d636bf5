"""`dailies panel`: who may use the panel, and what was done in it."""

import sys
from getpass import getuser
from pathlib import Path
from typing import Annotated

import typer

from pipeline import access, panel_log
from pipeline.access import Role
from pipeline.commandline import HERE, ShowOption, people
from pipeline.printing import line, table

app = typer.Typer(help="Who may use the panel, and what was done in it.", no_args_is_help=True)
user = typer.Typer(help="The people who sign in to the panel.", no_args_is_help=True)
app.add_typer(user, name="user")

FromStandardInput = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of asking for it.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RoleOption = Annotated[Role, typer.Option(help="A viewer sees all and changes nothing; an operator does both.")]


@user.command("add")
def add(
    name: str,
    role: RoleOption = "viewer",
    oidc: Annotated[bool, typer.Option("--oidc", help="No password: NAME is the e-mail of an OIDC sign-in.")] = False,
    stdin: FromStandardInput = False,
    show: ShowOption = HERE,
) -> None:
    """Let somebody use the panel; from the first one on everybody must sign in."""
    with people():
        _there(show)
        made = access.add(show, name, role, None if oidc else _password(stdin))
        _note(show, f"panel user add {made.name} as {made.role}")
    line(f"{made.name} may sign in to the panel, as {made.role}")


@user.command("list")
def list_(show: ShowOption = HERE, as_json: Json = False) -> None:
    """Show who may use the panel."""
    with people():
        _there(show)
        found = access.people(show)
    if as_json:
        typer.echo(access.as_json(found))
        return
    table(
        ("name", "role", "signs in"),
        [(p.name, p.role, "by password" if p.password else "by OIDC") for p in found.values()],
    )
    if not found:
        line("nobody signs in: the panel is for this machine only")


@user.command("remove")
def remove(name: str, show: ShowOption = HERE) -> None:
    """Let somebody no longer use the panel, from their next click on."""
    with people():
        _there(show)
        gone = access.remove(show, name)
        _note(show, f"panel user remove {gone.name}")
        left = access.ways(show)
    line(f"{gone.name} may not use the panel any more")
    if not left:
        line("nobody is left who signs in: the panel is for this machine only")


@user.command("password")
def password(name: str, stdin: FromStandardInput = False, show: ShowOption = HERE) -> None:
    """Give somebody a new password; who is signed in with the old one is signed out."""
    with people():
        _there(show)
        changed = access.change(show, name, password=_password(stdin))
        _note(show, f"panel user password {changed.name}")
    line(f"{changed.name} has a new password")


@user.command("role")
def role_(name: str, role: Role, show: ShowOption = HERE) -> None:
    """Make somebody a viewer or an operator."""
    with people():
        _there(show)
        changed = access.change(show, name, role=role)
        _note(show, f"panel user role {changed.name} {changed.role}")
    line(f"{changed.name} is {changed.role} now")


@app.command()
def log(
    show: ShowOption = HERE,
    last: Annotated[int | None, typer.Option("--last", "-n", min=1, help="Only so many, the newest.")] = None,
    as_json: Json = False,
) -> None:
    """Show what was done in the panel: who, when, what, from where, and what came of it."""
    with people():
        _there(show)
        found = panel_log.entries(show, last)
    if as_json:
        typer.echo(panel_log.as_json(found))
        return
    columns = ("when", "who", "from", "what", "where", "outcome", "said")
    rows = [(f"{e.at:%Y-%m-%d %H:%M:%S}", e.by, e.address, e.what, e.where, e.outcome, e.said) for e in found]
    table(columns, rows)


def _there(show: Path) -> None:
    """A slip in --show must not make a file of passwords somewhere else."""
    if not (show / "show.toml").is_file():
        raise ValueError(
            f"{show.resolve()} has no show.toml: `dailies init` makes one, `--show DIR` names another folder"
        )


def _note(show: Path, what: str) -> None:
    panel_log.note(show, what, by=getuser(), address="terminal")


def _password(stdin: bool) -> str:
    if stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
