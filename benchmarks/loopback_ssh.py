"""An sshd of our own on loopback, with keys made for it: what `sftp://` is tried and measured against."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@contextmanager
def sshd(folder: Path) -> Iterator[Path]:
    """Runs for the length of a `with`; yields an ssh_config in which the host is called `mirror`."""
    port = write(folder)
    process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield folder / "ssh_config"
    finally:
        process.terminate()
        process.wait()


def write(folder: Path, server: Mapping[str, object] = MappingProxyType({}), host: str = "mirror") -> int:
    """Keys, and the `sshd_config` and `ssh_config` that go with them; the port. `server` is said to sshd besides."""
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copy(folder / "user.pub", folder / "authorized_keys")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = dict(server) | {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "authorized_keys",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "UsePAM": "no",
        "StrictModes": "no",  # The folder is a temporary one.
        "PidFile": "none",
        "Subsystem": "sftp internal-sftp",
    }
    client = {
        "HostName": "127.0.0.1",
        "Port": port,
        "IdentityFile": folder / "user",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": folder / "known_hosts",
        "StrictHostKeyChecking": "accept-new",
        "LogLevel": "ERROR",
    }
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in server.items()))
    (folder / "ssh_config").write_text(
        f"Host {host}\n" + "".join(f"  {key} {value}\n" for key, value in client.items())
    )
    if os.geteuid() == 0:  # Where sshd locks itself in before anybody is known; without root it cannot.
        Path("/run/sshd").mkdir(exist_ok=True)
    return port
