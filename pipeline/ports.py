"""The ports of this machine: which are free, and whose one is once something answers there."""

import socket
import subprocess

import psutil


class PortTakenError(ValueError):
    """Another program has the port; the message says which setting names another."""

    def __init__(self, host: str, port: int, setting: str, reason: str = "another program took it first") -> None:
        super().__init__(f"cannot listen on {host}:{port} ({reason}): stop what runs there, or set another {setting}")


def check(host: str, port: int, setting: str) -> None:
    """Raise PortTakenError where nobody else may listen on `port`, whose number `setting` says."""
    reason = _refusal(host, port)
    if reason:
        raise PortTakenError(host, port, setting, reason)


def free(host: str, port: int, *, but: int | None = None) -> int:
    """`port`, or the next one above it that nobody listens on; never `but`, which is somebody's already."""
    while port == but or _refusal(host, port):
        port += 1
    return port


def listens(process: "subprocess.Popen[bytes]", host: str, port: int, setting: str) -> bool:
    """Whether it is `process` that listens on `port`, and not somebody else.

    A port that was free when `process` was started may be another's by the time it wants to listen, seconds later; what
    answers there then is no sign of it. Raises PortTakenError where `process` has moved to another port.
    """
    try:
        mine = {
            each.laddr.port for each in psutil.Process(process.pid).net_connections("tcp") if each.status == "LISTEN"
        }
    except psutil.NoSuchProcess:
        return False
    if mine and port not in mine:
        raise PortTakenError(host, port, setting)
    return port in mine


def _refusal(host: str, port: int) -> str:
    """Why `port` cannot be listened on; empty where it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return str(error.strerror)
    return ""
