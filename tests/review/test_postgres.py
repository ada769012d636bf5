"""Label Studio on a real PostgreSQL of the test's own, instead of on SQLite."""

import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from pipeline.review import progress, scripted, server, sync
from pipeline.review.client import Client
from pipeline.review.errors import LabelStudioError
from pipeline.review.served import Served
from pipeline.settings import Settings


def _binary(name):
    """Debian keeps the server's programs off the path."""
    if found := shutil.which(name):
        return Path(found).resolve()
    return next(iter(sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def postgres(tmp_path):
    """The address of an empty database on a server that listens on this machine only."""
    initdb, pg_ctl = _binary("initdb"), _binary("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    try:  # PostgreSQL refuses to run as root.
        user = {"user": pwd.getpwnam("postgres").pw_name} if os.geteuid() == 0 else {}
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    home = Path("/tmp") / f"dailies-postgres-{os.getpid()}"  # A socket's path may have 107 characters.
    home.mkdir(mode=0o700)
    (home / "password").write_text("not/secret:@")
    if user:
        for path in (home, home / "password"):
            shutil.chown(path, "postgres")

    def run(*command):
        words = [str(word) for word in command]
        subprocess.run(words, check=True, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, **user)

    port = _free_port()
    try:
        run(initdb, "-D", home / "data", "-U", "reviews", "--pwfile", home / "password", "-A", "scram-sha-256")
        options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={home} -c fsync=off"
        run(pg_ctl, "-D", home / "data", "-l", home / "log", "-w", "-o", options, "start")
        try:
            yield f"postgresql://reviews:not%2Fsecret%3A%40@127.0.0.1:{port}/postgres"
        finally:
            run(pg_ctl, "-D", home / "data", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(home)


@pytest.mark.server
def test_on_postgresql_the_review_goes_round_and_stays_through_a_restart(
    postgres, tmp_path, work, bible, material, segment, doubt
):
    settings = Settings()
    if not settings.label_studio_executable.exists():
        pytest.skip(f"no Label Studio at {settings.label_studio_executable}: run `make setup`")

    def start():
        folders = (tmp_path / "ls", tmp_path / "media")
        return server.running(settings.label_studio_executable, *folders, port=_free_port(), database=postgres)

    asked = segment(1, "bring cone")
    episode = material([asked, segment(5, "fine")], [doubt(asked, ("Cohen", 0.6), ("cone", 0.4), at=1)])
    served = Served(work.store, tmp_path / "media")

    def push(client):
        pushed = sync.push(client, work.store, served, "spies", [episode], bible)
        return [(each.created, each.unchanged) for each in pushed]

    with start() as running, Client(running.url, running.login.token) as client:
        assert not (tmp_path / "ls" / server.DATABASE).exists()
        assert push(client) == [(2, 0), (2, 0)]
        assert push(client) == [(0, 2), (0, 2)]
        assert scripted.review(client, "spies", picks={"cone": "Cohen"}).tasks == 4
        before = sync.pull(client, "spies", work.store).snapshot
        assert len(before.decisions) == 4
    with start() as running, Client(running.url, running.login.token) as client:
        assert push(client) == [(0, 2), (0, 2)]
        assert sync.pull(client, "spies").snapshot == before
        assert progress.glance(client, "spies")[0][2:] == (2, 2)


def test_an_address_that_is_none_of_postgresql_is_refused(tmp_path):
    program = tmp_path / "label-studio"
    program.touch()
    for address in ("mysql://a:b@h/c", "postgresql://h/c", "postgresql://a:b@h"):
        start = server.running(program, tmp_path / "ls", tmp_path / "media", database=address)
        with pytest.raises(ValueError, match="label_studio_database is no postgresql"), start:
            pass


@pytest.mark.server
def test_a_database_that_does_not_answer_is_named(tmp_path):
    executable = Settings().label_studio_executable
    if not executable.exists():
        pytest.skip(f"no Label Studio at {executable}: run `make setup`")
    address = f"postgresql://reviews:hidden@127.0.0.1:{_free_port()}/none"
    start = server.running(executable, tmp_path / "ls", tmp_path / "media", port=_free_port(), database=address)
    with pytest.raises(LabelStudioError, match=r"(?s)ended at its start.*connection.*refused") as caught, start:
        pass
    assert "hidden" not in str(caught.value)
