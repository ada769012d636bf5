"""A GPU host from `init` to `down`, by Ray's own launcher, on a machine made of namespaces: a real sshd is the only way
in. Every port that Ray opens there is tried without its token."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks import loopback_ssh
from pipeline import host_files
from scripts import setup

ROOT = Path(__file__).parents[1]
# What runs in a shell's background ignores Ctrl-C, and so does all that it starts.
HEARS = ("env", "--default-signal=INT")
DAILIES = (sys.executable, "-m", "pipeline", "host")
SPACE = ("unshare", "--pid", "--net", "--mount", "--fork", "--kill-child", "--mount-proc")
# A new network namespace's loopback is down; an ioctl brings it up without a package for it.
BOOT = """
import fcntl, os, socket, struct, sys
with socket.socket() as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 1))
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def server(tmp_path):
    """The folder of a machine's home and ssh_config; its port; and what commands put before them to be on its net."""
    packages = setup.cache_folder() / (
        f"dailies-{sys.version_info.major}.{sys.version_info.minor}-{setup.digest_of(ROOT / 'requirements.lock')}"
    )
    if not setup.is_complete(packages):
        pytest.skip(f"no {packages}, which a host would install: make setup")
    if subprocess.run((*SPACE, "true"), capture_output=True, check=False).returncode:
        pytest.skip("namespaces need root")
    home = tmp_path / "home"
    home.mkdir()
    rays = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # Short: the path of a socket may have 107 letters.
    variables = f"HOME={home} RAY_TMPDIR={rays} DAILIES_CACHE={setup.cache_folder().parent}"
    port = loopback_ssh.write(tmp_path, {"SetEnv": variables}, host="*")
    command = (*SPACE, sys.executable, "-c", BOOT, loopback_ssh.SSHD, "-D", "-e", "-f", tmp_path / "sshd_config")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield tmp_path, port, net_of(process)
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(rays)


def net_of(process):
    for _ in range(200):
        for child in psutil.Process(process.pid).children():
            inside = ("nsenter", f"--net=/proc/{child.pid}/ns/net")
            if child.name() == "sshd":
                return inside
        time.sleep(0.05)
    raise AssertionError("no sshd")


@pytest.fixture
def show(server, tmp_path):
    """A show with that machine as its host: its address, `dailies host ...` to the end, and only started."""
    folder, port, net = server
    config = folder / "ssh_config"
    over_there = f"{' '.join(net)} bash -c 'exec 3<>/dev/tcp/%h/{port}; cat <&3 & cat >&3; kill $!'"
    config.write_text(f"{config.read_text()}  ProxyCommand {over_there}\n")
    (tmp_path / "show").mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "show" / "show.toml").write_text(
        f'name = "pilot"\n[hosts.gpu]\nssh = "root@127.0.0.1"\nssh_port = {port}\naddress = "{address}"\n'
        f'folder = "{folder}/d"\n[settings]\nssh_config = "{config}"\n'
    )
    environment = {**os.environ, "RAY_TMPDIR": str(tmp_path / "here"), "DAILIES_SHOW": str(tmp_path / "show")}

    def dailies(*words):
        with (tmp_path / "said").open("w+") as said:  # No pipe: ssh keeps a shared connection open for some seconds.
            command = (*DAILIES, *words)
            done = subprocess.run(command, env=environment, stdout=said, stderr=said, timeout=200, check=False)
        return done.returncode, (tmp_path / "said").read_text()

    assert dailies("init", "gpu")[0] == 0
    cluster = host_files.files(tmp_path / "show", "gpu").cluster
    text = cluster.read_text()
    # The way there is the one that was written, only that it starts in the machine's network; the key is the test's.
    text = text.replace('"bash -c', f'"{" ".join(net)} bash -c')
    cluster.write_text(text.replace("ssh_user: root", f"ssh_user: root\n    ssh_private_key: {folder / 'user'}"))
    return address, dailies, lambda *words: subprocess.Popen((*HEARS, *DAILIES, *words), env=environment)


@pytest.mark.timeout(400)
def test_a_server_becomes_a_host_that_lets_nobody_in_without_the_token_and_is_let_go(server, show):
    _, port, net = server
    address, dailies, start = show
    code, said = dailies("up", "gpu")
    assert code == 0, said
    tunnel = start("ssh-tunnel", "gpu")
    try:
        wait_for(address)
        code, said = dailies("status", "gpu")
        assert (code, "CPU" in said) == (0, True), said
    finally:
        tunnel.send_signal(signal.SIGINT)
        assert tunnel.wait(20) == 130
    stranger = (*net, sys.executable, ROOT / "tests" / "doors.py", str(port))
    tried = json.loads(subprocess.run(stranger, capture_output=True, check=True).stdout)
    assert {(host.removeprefix("::ffff:"), bool(answers)) for (host, _), answers in tried.values()} == {
        ("127.0.0.1", True)
    }
    dashboard = tried.pop("8265")[1]
    assert dashboard.pop("/") == 200  # The page itself, empty: all that it shows it must ask for.
    assert set(dashboard.values()) == {401}
    answers = {answer for _, answers in tried.values() for answer in answers.values()}
    # Ray's counters for Prometheus are the one thing that its ports tell without a token.
    assert answers == {401, "UNAUTHENTICATED", "UNIMPLEMENTED", "figures"}
    assert tried["6379"][1]["JobInfoGcsService/GetAllJobInfo"] == "UNAUTHENTICATED"
    code, said = dailies("down", "gpu")
    assert code == 0, said
    code, said = dailies("status", "gpu")
    assert (code, "dailies host up gpu" in said.replace("\n", " ")) == (2, True), said


def wait_for(address):
    for _ in range(300):
        try:
            assert httpx.get(f"{address}/api/jobs/", trust_env=False).status_code == 401
            return
        except httpx.HTTPError:
            time.sleep(0.1)
    raise AssertionError(f"nothing at {address}")
