"""A real Ray head on loopback, with a token of its own and GPUs that are only declared: what a host is tried with."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

RAY = (sys.executable, "-m", "ray.scripts.scripts")  # A clone's own environment has no `ray` beside its Python.


@dataclass
class Head:
    """`start` and `kill` it as often as a test likes: address and token stay."""

    gpus: int
    cpus: int
    folder: Path
    ports: list[int]
    token: str = field(default_factory=lambda: secrets.token_hex(32))
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def cluster(self) -> str:
        """What `ray.init(address=...)` takes."""
        return f"127.0.0.1:{self.ports[1]}"

    @property
    def environ(self) -> dict[str, str]:
        """What Ray needs in the environment of the head and of processes that join it."""
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token, "RAY_USAGE_STATS_ENABLED": "0"}

    def start(self) -> None:
        """Returns when jobs can be submitted."""
        names = ["dashboard-port", "port", "dashboard-agent-listen-port", "ray-client-server-port"]
        ports = [f"--{name}={port}" for name, port in zip(names, self.ports, strict=True)]
        command = [*RAY, "start", "--head", "--block", f"--num-cpus={self.cpus}"]
        command += [f"--num-gpus={self.gpus}", "--dashboard-host=127.0.0.1", "--node-ip-address=127.0.0.1", *ports]
        command += [f"--temp-dir={self.folder}", "--object-store-memory=100000000", "--disable-usage-stats"]
        # What the tests' own session is told must not reach the jobs.
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTEST_"))}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with (self.folder / "head.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                # Jobs run the host's `python`: here, the one that runs the tests.
                env={**clean, "PATH": path, **self.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "head.log").read_text()
            assert time.monotonic() < deadline, (self.folder / "head.log").read_text()
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Whether it takes jobs, and its dashboard tells of its machine and of what that has."""
        try:
            self.ask("/api/jobs/")
            nodes = self.ask("/nodes?view=summary")["data"]["summary"]
            status = self.ask("/api/cluster_status")["data"].get("clusterStatus") or {}
            usage = (status.get("loadMetricsReport") or {}).get("usage") or {}
            return any(node["raylet"].get("state") == "ALIVE" for node in nodes) and "CPU" in usage
        except (urllib.error.URLError, OSError):
            return False

    def ask(self, path: str):
        """What its dashboard answers, JSON."""
        request = urllib.request.Request(f"{self.address}{path}", headers={"Authorization": f"Bearer {self.token}"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def kill(self) -> None:
        """All that it started ends at once, as with the machine; only what this head started."""
        import psutil

        if self.process is None:
            return
        mine = [self.process.pid, *(p.pid for p in psutil.Process(self.process.pid).children(recursive=True))]
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word for word in process.info["cmdline"] or ()):
                mine += [process.pid, *(p.pid for p in _children(process))]
        for pid in dict.fromkeys(mine):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        self.process = None


def _children(process) -> list:
    import psutil

    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


@contextmanager
def ray_head(gpus: int = 2, cpus: int = 4, **environment: str) -> Iterator[Head]:
    """A head for the length of a `with`; `environment` is what it and its jobs are given beside."""
    with tempfile.TemporaryDirectory(prefix="dr", dir="/tmp", ignore_cleanup_errors=True) as folder:
        head = Head(gpus, cpus, Path(folder), _free_ports(4), environment=environment)
        try:
            head.start()
            yield head
        finally:
            head.kill()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
