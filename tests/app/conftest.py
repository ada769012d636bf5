import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.season import Season

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
# A browser that looks for nobody but the page it is sent to, and that root may start.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture
def spies_copy(spies, tmp_path):
    """The bundled show as a newcomer has it: nothing made yet."""
    return shutil.copytree(spies, tmp_path / "spies", ignore=shutil.ignore_patterns("generator", "truth", ".dailies"))


@pytest.fixture
def opened(monkeypatch):
    """Opens a view of the panel, by name, at an address; what is empty does not stand in it."""

    def run(view, folder, **address):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        app.query_params.update({name: value for name, value in address.items() if value})
        app.run().switch_page(f"views/{view}.py").run()
        assert not app.exception
        return app

    return run


@pytest.fixture
def drawn():
    """All HTML that a page draws by itself, in one text."""
    return lambda app: "\n".join(json.loads(each.proto.json).get("html", "") for each in app.get("bidi_component"))


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM} (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def serve(tmp_path):
    """Starts the panel for a show's folder; its address."""
    with ExitStack() as servers:
        yield lambda folder, port=0: servers.enter_context(_panel(folder, tmp_path, port))


@pytest.fixture(scope="module")
def serve_all(tmp_path_factory):
    """As `serve`, for all tests of a file."""
    with ExitStack() as servers:
        yield lambda folder, port=0: servers.enter_context(_panel(folder, tmp_path_factory.mktemp("panel"), port))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _panel(folder, elsewhere, port=0):
    port = port or free_port()
    command = [sys.executable, "-m", "streamlit", "run", ROOT / "app" / "server.py"]
    with (elsewhere / "panel.log").open("w") as log:
        server = subprocess.Popen(
            [*command, f"--server.port={port}", "--server.address=127.0.0.1"],
            env={**os.environ, "DAILIES_SHOW": str(folder)},
            cwd=elsewhere,  # the panel's settings must be found from anywhere
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                # Where people sign in, a stranger is told that the panel is there and no more.
                if httpx.get(f"{url}/_stcore/health", trust_env=False).status_code in (200, 401):
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield url
        server.terminate()
        server.wait()


@pytest.fixture
def season(tmp_path):
    """Makes a show that was run and, where asked, reviewed in part."""
    return lambda **options: Season(tmp_path / "season", **options)
