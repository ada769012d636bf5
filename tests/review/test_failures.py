"""What goes wrong between Dailies and a real Label Studio ends in one clear message, and the next push repairs it."""

import errno
import os
import resource
import signal
import socket
from contextlib import contextmanager

import httpx
import pytest
import typer

from pipeline.commandline import people as told
from pipeline.review import server, sync
from pipeline.review.client import Client
from pipeline.review.errors import LabelStudioError
from pipeline.review.served import Served
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.timeline import Span
from pipeline.settings import Settings
from pipeline.show import open_show

TEXTS = ("one", "two", "three", "four", "five")


@pytest.fixture
def episode(material, segment):
    return material([segment(1 + 4 * i, text) for i, text in enumerate(TEXTS)], clips=len(TEXTS))


@pytest.fixture
def push(work, bible, episode, monkeypatch):
    """A push in batches of two."""
    monkeypatch.setattr(sync, "IMPORT_BATCH", 2)

    def go(client, served, show, **options):
        return [
            (each.created, each.unchanged)
            for each in sync.push(client, work.store, served, show, [episode], bible, **options)
        ]

    return go


@pytest.fixture
def unused_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def at_first(action):
    """A log that does something at its first message, which comes when a batch has arrived."""
    waiting = [action]

    def log(_):
        if waiting:
            waiting.pop()()

    return log


def keys(client, show):
    return [
        sorted(task.key for task in client.listing(client.need_project(show, kind)))
        for kind in ("transcripts", "captions")
    ]


@pytest.mark.server
def test_a_server_killed_amid_a_push_and_a_token_revoked_leave_nothing_twice_and_nothing_missing(
    push, work, tmp_path, unused_port
):
    settings = Settings()
    if not settings.label_studio_executable.exists():
        pytest.skip(f"no Label Studio at {settings.label_studio_executable}: run `make setup`")
    served = Served(work.store, tmp_path / "media")

    @contextmanager
    def start():
        folders = (tmp_path / "ls", tmp_path / "media")
        templates = settings.cache / "label-studio"
        with server.running(
            settings.label_studio_executable, *folders, port=unused_port, templates=templates
        ) as running:
            yield running

    with start() as running, Client(running.url, running.login.token) as client:
        killing = at_first(lambda: os.killpg(running.pid, signal.SIGKILL))
        with pytest.raises(LabelStudioError, match=r"no Label Studio answers at .*dailies up"):
            push(client, served, "killed", log=killing)
    with start() as running, Client(running.url, running.login.token) as client:
        assert push(client, served, "killed") == [(3, 2), (5, 0)]
        assert push(client, served, "killed") == [(0, 5), (0, 5)]
        assert [len(found) == len(set(found)) == 5 for found in keys(client, "killed")] == [True, True]

        token = {"Authorization": f"Token {running.login.token}"}
        new = []

        def revoke():
            answer = httpx.post(f"{running.url}/api/current-user/reset-token/", headers=token)
            new.append(answer.raise_for_status().json()["token"])

        with pytest.raises(LabelStudioError, match=r"refuses the token \(401\).*DAILIES_LABEL_STUDIO_TOKEN"):
            push(client, served, "revoked", log=at_first(revoke))
        with Client(running.url, new[0]) as renewed:
            assert push(renewed, served, "revoked") == [(3, 2), (5, 0)]


@pytest.mark.server
def test_a_project_deleted_amid_a_push_is_named_and_made_anew_by_the_next(push, client, served):
    def delete():
        client._sdk.projects.delete(client.need_project("gone", "transcripts").id)

    with pytest.raises(LabelStudioError, match="somebody deleted it meanwhile; push again"):
        push(client, served, "gone", log=at_first(delete))
    assert push(client, served, "gone") == [(5, 0), (5, 0)]
    assert push(client, served, "gone") == [(0, 5), (0, 5)]


@pytest.mark.server
def test_tasks_that_somebody_deleted_or_changed_are_noticed_though_the_last_push_is_remembered(push, client, served):
    push(client, served, "meddled")
    project = client.need_project("meddled", "captions")
    first, second, third, *_ = client.listing(project)
    client._sdk.tasks.delete(str(first.id))
    assert push(client, served, "meddled") == [(0, 5), (1, 4)]
    (task,) = client.details(project, [second.id])
    client._sdk.tasks.update(str(second.id), data=task["data"] | {"rev": "of somebody else"})
    pushed = push(client, served, "meddled")
    assert pushed[1] == (0, 4)
    (task,) = client.details(project, [third.id])
    client._sdk.tasks.update(str(third.id), data=task["data"] | {"archived": "by hand"})
    assert push(client, served, "meddled")[1] == (0, 4)
    assert push(client, served, "meddled") == [(0, 5), (0, 5)]


def test_a_server_that_does_not_answer_in_time_is_named():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(url, "0" * 40, timeout=0.3) as client:
            with pytest.raises(LabelStudioError, match="did not answer in time, asked who works here"):
                client.people()
            with pytest.raises(LabelStudioError, match="did not answer in time, asked for its projects"):
                client.need_project("spies", "captions")


@contextmanager
def no_space(left_bytes):
    """A disk on which no file may grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_snapshot_that_finds_no_space_leaves_the_last_one_standing_and_can_be_taken_again(spies, tmp_path):
    (tmp_path / "show.toml").write_text((spies / "show.toml").read_text())
    show = open_show(tmp_path)
    made = ReviewDecision(
        key="a/b",
        episode="a",
        clip="b",
        span=Span(start=0, end=1),
        revision="r",
        by="ann@example.com",
        at="2026-01-02T03:04:05Z",
        seconds=1,
        skipped=True,
    )
    first, second = ReviewSnapshot(decisions=(made,)), ReviewSnapshot(decisions=(made,) * 50)
    assert show.keep_snapshot(first)
    standing = show.latest_snapshot()
    with pytest.raises(OSError, match="File too large") as full, no_space(1000):
        show.keep_snapshot(second)
    assert full.value.errno == errno.EFBIG
    assert show.latest_snapshot() == standing
    assert not [path for path in (show.store.root / "objects").rglob("*") if path.is_file() and not path.stat().st_size]
    assert show.keep_snapshot(second)
    assert show.store.get(show.latest_snapshot(), ReviewSnapshot) == second


def test_a_full_disk_is_said_in_words_and_other_trouble_shows_its_trace(capsys):
    with pytest.raises(typer.Exit), told():
        raise OSError(errno.ENOSPC, "No space left on device", "/store/object")
    assert "no space left to write (/store/object); what was finished is kept" in capsys.readouterr().err
    with pytest.raises(OSError, match="on fire"), told():
        raise OSError(errno.EIO, "on fire")
