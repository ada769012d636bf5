"""`dailies up`: Label Studio and the panel side by side, both stopped together with all that they started."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx

from pipeline import ports
from pipeline.access import check_open
from pipeline.review import server
from pipeline.review.login import Login
from pipeline.settings import PROJECT
from pipeline.show import Show

_PANEL_SECONDS = 60.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """Where people look. `login` is None where Label Studio is somebody else's, `panel` where none was asked for."""

    label_studio: str
    login: Login | None
    panel: str | None


@contextmanager
def up(show: Show, *, panel: bool = True) -> Iterator[Running]:
    """Both servers, or without `panel` Label Studio alone, for the length of a `with`.

    Raises LabelStudioError or ValueError (PortTakenError among them), with the remedy, where one cannot start; nothing
    is left running then.
    """
    settings = show.settings
    if panel:
        check_open(show.folder, settings.host)
    if settings.label_studio_url:
        if not panel:
            raise ValueError(f"Label Studio is the one at {settings.label_studio_url}: start it where it lives")
        with _panel(show) as address:
            yield Running(settings.label_studio_url, None, address)
        return
    with (
        server.running(
            settings.label_studio_executable,
            show.label_studio_data,
            show.media,
            host=settings.host,
            port=settings.label_studio_port,
            templates=settings.cache / "label-studio",
            database=settings.label_studio_database.get_secret_value() if settings.label_studio_database else None,
        ) as label_studio,
        _panel(show) if panel else nullcontext() as address,
    ):
        yield Running(label_studio.url, label_studio.login, address)


@contextmanager
def _panel(show: Show) -> Iterator[str]:
    host, port = show.settings.host, show.settings.panel_port
    ports.check(host, port, "panel_port")
    url = f"http://{show.settings.reachable_host}:{port}"
    log = show.state / "panel.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    app = PROJECT / "app"
    options = {
        "server.address": host,
        "server.port": str(port),
        "server.headless": "true",
        "browser.gatherUsageStats": "false",
    }
    command = [sys.executable, "-m", "streamlit", "run", str(app / "server.py")]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*command, *(f"--{name}={value}" for name, value in options.items())],
            cwd=app,
            env={**os.environ, **_places(show), "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait(process, f"{url}/_stcore/health", (host, port), log)
        yield url
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:  # A page that will not let go must not hold up Ctrl-C.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _places(show: Show) -> dict[str, str]:
    """What the panel must know of this show that its files may not say: the demo moves to ports that are free."""
    moved = {
        f"DAILIES_{name.upper()}": str(getattr(show.settings, name)) for name in ("panel_port", "label_studio_port")
    }
    return {"DAILIES_SHOW": str(show.folder), **moved}


def _wait(process: "subprocess.Popen[bytes]", health: str, place: tuple[str, int], log: Path) -> None:
    end = time.monotonic() + _PANEL_SECONDS
    while time.monotonic() < end and process.poll() is None:
        time.sleep(0.1)
        if not ports.listens(process, *place, "panel_port"):
            continue
        try:
            found = httpx.get(health, timeout=2, trust_env=False).status_code
        except httpx.HTTPError:
            continue
        if found in (httpx.codes.OK, httpx.codes.UNAUTHORIZED):  # Where people sign in, it is told to nobody else.
            return
    if process.poll() is not None:
        ports.check(*place, "panel_port")
    last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
    raise ValueError(f"the panel did not start; its log {log} ends:\n{last}")
