"""`dailies host`: a rented server made into a GPU host by Ray's own launcher, reached by ssh, and let go again."""

import getpass
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from pipeline import control, host_files, host_state, host_watch
from pipeline.commandline import HERE, ShowOption, people
from pipeline.host_watch import Watch
from pipeline.places import HostTable
from pipeline.printing import line, table

app = typer.Typer(help="Set up a GPU host, start and stop Ray there, and reach it.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The host's name: [hosts.NAME] in show.toml.")]


@app.command()
def init(
    name: Name,
    ssh: Annotated[str | None, typer.Option(help="user@machine, for a host that show.toml does not have yet.")] = None,
    port: Annotated[int, typer.Option(help="Its ssh port.")] = 22,
    price: Annotated[float | None, typer.Option(help="What an hour of it costs.")] = None,
    show: ShowOption = HERE,
) -> None:
    """Write Ray's cluster file of a plain SSH server, with this version of everything and a token of its own."""
    with people():
        opened = control.open_show(show)
        if name not in opened.file.hosts:
            opened = _append(opened, name, ssh, port, price)
        found = opened.file.hosts[name]
        for path in host_files.write(opened.folder, opened.file.name, name, found, found.secret(name)):
            line(f"wrote {path}")
    line(f"next: `dailies host up {name}`, then `dailies host ssh-tunnel {name}` and, beside it, `dailies run`")


@app.command()
def up(name: Name, show: ShowOption = HERE) -> None:
    """Install what is missing there, and start Ray; jobs that run there end. This is `ray up`."""
    with people():
        opened, found = _known(show, name)
        # Ray's launcher takes any host key; ssh itself remembers it, asks about a new one and refuses a changed one.
        _call(*_ssh(opened, found, name), "true", what=f"ssh to {found.ssh}")
        _call(*_RAY, "up", "--yes", "--disable-usage-stats", _cluster(opened, name), what="ray up")
        host_watch.begin(opened, by=getpass.getuser())
    line(f"Ray runs on {name}; `dailies host ssh-tunnel {name}` reaches it")


@app.command()
def down(name: Name, show: ShowOption = HERE) -> None:
    """Stop Ray there. The server itself stays: giving it back is its renter's to say. This is `ray down`."""
    with people():
        opened, _ = _known(show, name)
        _call(*_RAY, "down", "--yes", _cluster(opened, name), what="ray down")
    line(f"Ray is stopped on {name}; the server itself runs, and costs, until you give it back")


@app.command()
def status(name: Name, show: ShowOption = HERE) -> None:
    """Say what Ray has there, what is used, and which jobs it knows. Exit code 2 if it cannot be reached."""
    with people():
        _, found = _known(show, name)
        cluster, jobs = _ask(found, name)
    line(cluster)
    if jobs:
        table(("job", "state", "said"), jobs)


@app.command("ssh-tunnel")
def ssh_tunnel(name: Name, show: ShowOption = HERE) -> None:
    """Reach its Job API through ssh, until Ctrl-C: it listens on the host's loopback only, and here on ours."""
    with people():
        opened, found = _known(show, name)
        here = urlsplit(found.address)
        if here.hostname not in ("127.0.0.1", "localhost"):
            raise ValueError(
                f"[hosts.{name}] address = {found.address!r}: through a tunnel it is http://127.0.0.1:PORT"
            )
        forward = f"127.0.0.1:{here.port or 80}:127.0.0.1:{host_files.DASHBOARD_PORT}"
        line(f"{found.address} is Ray on {found.ssh}; Ctrl-C ends it")
        _call(*_ssh(opened, found, name), "-N", "-L", forward, what="the tunnel")


@app.command()
def watch(show: ShowOption = HERE) -> None:
    """Stay and look after all hosts: warn of one that idles, and run its `stop_command` once. `dailies run` does so."""
    with people():
        Watch(control.open_show(show), line).stay()


_RAY = (sys.executable, "-m", "ray.scripts.scripts")
_CLUSTER_STATUS = "/api/cluster_status?format=1"
_NOT_COUNTED_YET = "No cluster status"  # how Ray's answer begins until its monitor has counted
_COUNT_SECONDS, _ASK_AGAIN_SECONDS, _STATUS_SECONDS = 60, 1, 20


def _known(show: Path, name: str) -> tuple[control.Show, HostTable]:
    opened = control.open_show(show)
    if name not in opened.file.hosts:
        there = ", ".join(opened.file.hosts) or "none"
        raise ValueError(
            f"show.toml has no [hosts.{name}] (it has: {there}): `dailies host init {name} --ssh user@machine`"
        )
    return opened, opened.file.hosts[name]


def _append(opened: control.Show, name: str, ssh: str | None, port: int, price: float | None) -> control.Show:
    if ssh is None:
        raise ValueError(f"show.toml has no [hosts.{name}]: add it, or say --ssh user@machine and it is added")
    values: dict[str, str | int | float] = {"ssh": ssh}
    values |= {"ssh_port": port} if port != 22 else {}
    values |= {"price_per_hour": price} if price is not None else {}
    host_files.target(HostTable(ssh=ssh), name)
    path = opened.folder / "show.toml"
    before = path.read_text(encoding="utf-8")
    path.write_text(host_files.with_table(before, name, values), encoding="utf-8")
    try:
        changed = control.open_show(opened.folder)
    except ValueError:
        path.write_text(before, encoding="utf-8")
        raise
    line(f"added [hosts.{name}] to {path}")
    return changed


def _cluster(opened: control.Show, name: str) -> Path:
    path = host_files.files(opened.folder, name).cluster
    if not path.is_file():
        raise ValueError(f"there is no {path}: `dailies host init {name}` writes it")
    return path


def _ssh(opened: control.Show, found: HostTable, name: str) -> list[str]:
    """ssh to the host, which ends rather than hangs where the line or the forwarding fails."""
    user, machine = host_files.target(found, name)
    config = opened.settings.ssh_config
    options = ("ExitOnForwardFailure=yes", "ServerAliveInterval=15", "ServerAliveCountMax=3", "ConnectTimeout=20")
    return [
        "ssh",
        *(("-F", str(config)) if config else ()),
        *(("-p", str(found.ssh_port)) if found.ssh_port != 22 else ()),
        *(word for option in options for word in ("-o", option)),
        f"{user}@{machine}",
    ]


def _call(*command: str | Path, what: str) -> None:
    """Run what is told to people as it goes on. Raises ValueError where it fails, or is not installed here."""
    try:
        done = subprocess.run(command, check=False, env={**os.environ, "RAY_UP_enable_autoscaler_v2": "0"})
    except FileNotFoundError:
        raise ValueError(f"there is no {command[0]} on this machine: install it") from None
    if done.returncode:
        raise ValueError(f"{what} ended with code {done.returncode}: see above")


def _ask(found: HostTable, name: str) -> tuple[str, list[tuple[str, str, str]]]:
    """Ray's own account of a cluster, and its jobs, from its dashboard. Raises ValueError with the remedy.

    Its monitor counts the cluster some seconds after `ray up`, and until then Ray answers in words alone. Where it
    never counts, those words are what there is to say.
    """
    until = time.monotonic() + _COUNT_SECONDS
    while True:
        status, jobs = host_state.answers(name, found, (_CLUSTER_STATUS, "/api/jobs/"), patience=_STATUS_SECONDS)
        told: str = status["data"]["clusterStatus"]
        if not told.startswith(_NOT_COUNTED_YET) or time.monotonic() > until:
            return told, [(job["submission_id"] or job["job_id"], job["status"], job["message"] or "") for job in jobs]
        time.sleep(_ASK_AGAIN_SECONDS)
