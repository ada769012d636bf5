"""What `dailies host init` writes: Ray's cluster file of a plain SSH server, its environment, and a token."""

import re
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata, resources
from pathlib import Path

import tomlkit

from pipeline.places import HostTable
from pipeline.settings import PROJECT
from pipeline.show import token_file

JOB_STOP_SECONDS = 80
"""Between Ray's polite and its last word to a job, 3 by default: a training keeps its state in between."""

DASHBOARD_PORT = 8265
"""Of Ray's Job API on the host, on its loopback."""

_PLAIN = re.compile(r"[\w./~@:-]+")


@dataclass(frozen=True, slots=True)
class HostFiles:
    """Where a host's files lie in a show. The cluster file is for people to change; the others are no repository's."""

    cluster: Path
    environment: Path
    token: Path


def files(show: Path, name: str) -> HostFiles:
    """Pure: nothing need be there."""
    token = token_file(show, name)
    return HostFiles(show / "hosts" / f"{name}.yaml", token.with_name("environment"), token)


def target(table: HostTable, name: str) -> tuple[str, str]:
    """The user and the machine of `ssh`. Raises ValueError where there is none."""
    user, at, machine = (table.ssh or "").rpartition("@")
    if not at or not user or not machine:
        raise ValueError(
            f'[hosts.{name}] ssh = {table.ssh!r}: say how to reach the server, `ssh = "user@machine"`; `machine` may'
            " be an address or a Host of ~/.ssh/config"
        )
    return user, machine


def cluster(table: HostTable, name: str, show: str, there: HostFiles, project: Path = PROJECT) -> str:
    """Ray's cluster file, YAML. Pure.

    Raises ValueError where something could not stand in a shell's command as it is.
    """
    user, machine = target(table, name)
    python = f"python{sys.version_info.major}.{sys.version_info.minor}"
    words = {
        "name": name,
        "cluster": f"dailies-{show}-{name}",
        "machine": machine,
        "user": user,
        "folder": table.folder.rstrip("/"),
        "setup": str(project / "scripts" / "setup.py"),
        "lock": str(project / "requirements.lock"),
        "environment": str(there.environment),
        "token": str(there.token),
        "ray": metadata.version("ray"),
    }
    for key in ("machine", "user", "folder"):
        if not _PLAIN.fullmatch(words[key]):
            raise ValueError(f"[hosts.{name}] {words[key]!r}: letters, digits and ._-/~ only, it goes through a shell")
    words |= {key: f'"{words[key]}"' for key in ("setup", "lock", "environment", "token")}
    words["python"] = f"$(command -v {python} || echo python3)"
    words["proxy"] = _proxy(table.ssh_port)
    text = resources.files("pipeline").joinpath("templates", "cluster.yaml").read_text(encoding="utf-8")
    return re.sub(r"\{(" + "|".join(words) + r")\}", lambda found: words[found[1]], text)


def _proxy(port: int) -> str:
    """The lines of `auth` for another port than ssh's own, of which Ray's launcher knows nothing."""
    if port == 22:
        return ""
    return (
        "    # Ray's launcher always calls port 22: this leads it to the right one.\n"
        f"    ssh_proxy_command: \"bash -c 'exec 3<>/dev/tcp/%h/{port}; cat <&3 & cat >&3; kill $!'\"\n"
    )


def environment(table: HostTable) -> str:
    """What Ray is started with on the host, and what its jobs inherit, as a shell reads it. Pure."""
    folder = re.sub("^~", "$HOME", table.folder.rstrip("/"))
    variables = {
        "PATH": f'"{folder}/env/bin:$PATH"',
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": f'"{folder}/ray-token"',
        "RAY_JOB_STOP_WAIT_TIME_S": str(JOB_STOP_SECONDS),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return "".join(f"export {name}={value}\n" for name, value in variables.items())


def write(show: Path, show_name: str, name: str, table: HostTable, secret: str | None) -> list[Path]:
    """Write the three; the files that were written. The cluster file stays as people left it, and so does a token.

    `secret` is the token that the host has already, None for a new one.
    """
    there = files(show, name)
    for file in ("scripts/setup.py", "requirements.lock"):
        if not (PROJECT / file).is_file():
            raise ValueError(
                f"there is no {PROJECT / file}: a host is set up from a clone of Dailies, by its lock file"
            )
    text = cluster(table, name, show_name, there)
    written = []
    if not there.cluster.exists():
        there.cluster.parent.mkdir(exist_ok=True)
        there.cluster.write_text(text, encoding="utf-8")
        written.append(there.cluster)
    there.environment.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    there.environment.write_text(environment(table), encoding="utf-8")
    there.token.touch(mode=0o600)
    there.token.write_text(secret or secrets.token_hex(32), encoding="utf-8")
    return [*written, there.environment, there.token]


def with_table(text: str, name: str, values: Mapping[str, str | int | float]) -> str:
    """show.toml with `[hosts.NAME]` at its end; everything else stays as it was written. Pure."""
    document = tomlkit.parse(text)
    hosts = document.setdefault("hosts", tomlkit.table(is_super_table=True))
    table = tomlkit.table()
    table.update(values)
    hosts[name] = table
    return tomlkit.dumps(document)
