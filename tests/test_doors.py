"""What `dailies up` starts on all addresses, in a network of its own: every port tried by somebody without a login."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline import access
from pipeline.settings import Settings
from tests.test_a_hosts_life import BOOT, SPACE

ROOT = Path(__file__).parents[1]


@pytest.mark.server
def test_nothing_that_up_starts_tells_a_stranger_anything(tmp_path):
    if not Settings().label_studio_executable.exists():
        pytest.skip("no Label Studio: make setup")
    if subprocess.run((*SPACE, "true"), capture_output=True, check=False).returncode:
        pytest.skip("namespaces need root")
    (tmp_path / "show.toml").write_text('name = "pilot"\n[settings]\nhost = "0.0.0.0"\n')
    access.add(tmp_path, "ada", "operator", "a long password")
    said = tmp_path / "said"
    command = (*SPACE, sys.executable, "-c", BOOT, sys.executable, "-m", "pipeline", "up", "--show", tmp_path)
    with said.open("w") as stream:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=stream, stderr=stream)
    try:
        end = time.monotonic() + 300
        while "Ctrl-C stops both" not in said.read_text():
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.2)
        (inside,) = psutil.Process(process.pid).children()
        stranger = ("nsenter", f"--net=/proc/{inside.pid}/ns/net", sys.executable, ROOT / "tests" / "doors.py")
        tried = json.loads(subprocess.run(stranger, capture_output=True, check=True).stdout)
    finally:
        process.kill()  # And with it all that runs in there.
        process.wait()
    assert set(tried) == {"8080", "8501"}
    label_studio, panel = tried["8080"][1], tried["8501"][1]
    assert set(panel.values()) == {401}
    assert label_studio.pop("/") == "nothing"  # A redirect to the login.
    assert label_studio.pop("/_stcore/health") == 200  # Its own /health, which says that it is up, and no more.
    assert {label_studio[path] for path in ("/api/projects", "/api/users")} == {401}
    assert {path: what for path, what in label_studio.items() if what not in (401, 403, 404, "nothing")} == {}
