"""Label Studio and the panel beside programs that want the same ports."""

import os
import shutil
import signal
import socket
import stat
import sys
from contextlib import contextmanager

import httpx
import pytest

from pipeline import control, demo, ports
from pipeline.ports import PortTakenError
from pipeline.settings import Settings

STRANGER = """
import http.server, os, sys
class Refuse(http.server.BaseHTTPRequestHandler):
    def log_request(self, *_):
        pass
    def do_GET(self):
        self.send_response(401)
        self.end_headers()
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Refuse)
if (child := os.fork()) == 0:
    os.setsid()
    os.close(1), os.close(2)
    server.serve_forever()
open(sys.argv[2], "w").write(str(child))
"""


@contextmanager
def listener(port=0):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def overtaken(tmp_path):
    """The real Label Studio, whose port a stranger takes once, after it was found free."""
    real = Settings().label_studio_executable
    if not real.exists():
        pytest.skip(f"no Label Studio at {real}: run `make setup`")
    (tmp_path / "stranger.py").write_text(STRANGER)
    pid = tmp_path / "stranger.pid"
    # The package is looked for beside the executable.
    program = tmp_path / "environment" / "bin" / "label-studio"
    program.parent.mkdir(parents=True)
    (tmp_path / "environment" / "lib").symlink_to(real.resolve().parents[1] / "lib")
    program.write_text(
        '#!/bin/bash\nwhile [ $# -gt 0 ] && [ "$last" != --port ]; do last=$1; words+=("$1"); shift; done\n'
        f'if [ $# -gt 0 ] && [ ! -e {pid} ]; then {sys.executable} {tmp_path}/stranger.py "$1" {pid}; fi\n'
        f'exec {real.resolve()} "${{words[@]}}" "$@"\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    yield program
    os.kill(int(pid.read_text()), signal.SIGTERM)


@pytest.fixture
def show(spies, tmp_path):
    folder = tmp_path / "spies"
    shutil.copytree(spies, folder, ignore=shutil.ignore_patterns(".dailies", "generator", "truth"))
    return folder


@pytest.mark.server
def test_a_demo_whose_port_another_program_takes_at_the_last_moment_goes_to_the_next(
    overtaken, show, tmp_path, monkeypatch
):
    with listener() as taken:
        monkeypatch.setenv("DAILIES_LABEL_STUDIO_EXECUTABLE", str(overtaken))
        monkeypatch.setenv("DAILIES_LABEL_STUDIO_PORT", str(taken))
        monkeypatch.setenv("DAILIES_PANEL_PORT", str(taken))
        opened = demo.open_demo(show)
        with demo.serving(opened) as (there, running):
            port = there.settings.label_studio_port
            assert port > taken + 1
            assert running.label_studio == f"http://127.0.0.1:{port}"
            assert httpx.get(f"{running.panel}/_stcore/health", trust_env=False).status_code == 200
            # A command beside it knows nothing of the moved port but what stands with the server's data.
            with control.label_studio(control.open_show(show)) as client:
                assert client.whoami() == running.login.email
            # So does a show elsewhere, by address and token alone.
            elsewhere = shutil.copytree(show, tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".dailies"))
            monkeypatch.setenv("DAILIES_LABEL_STUDIO_URL", running.label_studio)
            with pytest.raises(ValueError, match="set DAILIES_LABEL_STUDIO_TOKEN"):
                control.unsent(control.open_show(elsewhere))
            monkeypatch.setenv("DAILIES_LABEL_STUDIO_TOKEN", running.login.token)
            with control.label_studio(control.open_show(elsewhere)) as client:
                assert client.whoami() == running.login.email


def test_a_taken_port_is_named_with_its_setting():
    with listener() as port, pytest.raises(PortTakenError, match=rf"127\.0\.0\.1:{port} .* set another panel_port"):
        ports.check("127.0.0.1", port, "panel_port")


def test_the_next_free_port_is_found():
    with listener() as port:
        assert ports.free("127.0.0.1", port) > port
    assert ports.free("127.0.0.1", port) == port
