"""The door of the panel, on real servers: who gets in, what a viewer may do, and that no request names a path."""

import os
import re
import subprocess
import sys
from urllib.parse import quote

import httpx
import pytest
from starlette.testclient import TestClient
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app import sign_in
from benchmarks.season import Season
from pipeline import access, desk, panel_log
from pipeline.schemas.timeline import Scenes
from pipeline.settings import PROJECT
from tests.app.open_tab import ANNA, BEN, PATIENCE_SECONDS, SECRET, Tab, signed_in


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A show under review that Anna operates and Ben only looks at."""
    season = Season(tmp_path_factory.mktemp("guarded") / "season")
    season.answered("s01e01", 0)
    season.pull()
    access.add(season.folder, ANNA, "operator", SECRET)
    access.add(season.folder, BEN, "viewer", SECRET)
    return season


@pytest.fixture(scope="module")
def panel(made, serve_all):
    return serve_all(made.folder)


def offered(panel, client, **options):
    """The page that offers to accept a group of places, open."""
    return Tab(panel, client, "part=More+like+this", "review", **options)


def accepting(tab):
    """The button that accepts a group of places."""
    return next(button for label, button in tab.buttons.items() if label.startswith("Accept"))


# Strangers


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/health",
        "/_stcore/host-config",
        "/_stcore/upload_file/x/y",
        "/_stcore/agent/run",
        "/static/js/index.js",
        "/media/x.mp4",
        f"/store/{'0' * 64}/a.mp4",
        "/downloads/x.zip",
        "/component/x/index.html",
        "/sign-in/../_stcore/health",
        "/sign-in%2f..%2f_stcore/health",
        "//_stcore/health",
    ],
)
def test_a_stranger_gets_nothing_but_the_sign_in_page(panel, path):
    answer = httpx.get(panel + path, trust_env=False)
    assert (answer.status_code, answer.text) == (401, "Sign in first.")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_no_method_is_a_way_around_the_door(panel, method):
    assert httpx.request(method, f"{panel}/_stcore/upload_file/a/b", trust_env=False).status_code == 401


def test_a_page_leads_a_stranger_to_the_sign_in_and_back(panel):
    answer = httpx.get(f"{panel}/episodes?t=3", headers={"accept": "text/html"}, trust_env=False)
    assert answer.headers["location"] == "/sign-in?next=/episodes%3Ft%3D3"
    form = httpx.get(panel + answer.headers["location"], trust_env=False)
    assert 'name="next" value="/episodes?t=3"' in form.text
    assert "default-src 'none'" in form.headers["content-security-policy"]


@pytest.mark.parametrize(
    "cookie", ["", "dailies-session=x", "dailies-session=WyJhbm5hQGV4YW1wbGUuY29tIl0.x", "_streamlit_user=x"]
)
def test_a_websocket_without_a_session_is_refused(panel, cookie):
    headers = {"Cookie": cookie, "Origin": panel, "X-Dailies-Person": ANNA}
    url = panel.replace("http", "ws") + "/_stcore/stream"
    with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers, proxy=None):
        pass
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example", "\t//evil.example", "/sign-in"]
)
def test_after_signing_in_nobody_is_sent_to_another_site(panel, elsewhere):
    answer = httpx.post(f"{panel}/sign-in", data={"name": ANNA, "password": SECRET, "next": elsewhere}, trust_env=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_the_form_of_another_site_signs_nobody_in_or_out(panel):
    for path in ("/sign-in", "/sign-out"):
        for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}):
            form = {"name": ANNA, "password": SECRET}
            answer = httpx.post(panel + path, data=form, headers=headers, trust_env=False)
            assert answer.status_code == 403
            assert "set-cookie" not in answer.headers


def test_what_is_typed_into_the_form_comes_back_as_text(panel):
    form = {"name": '"><script>alert(1)</script>', "password": "x", "next": '/"><b>'}
    answer = httpx.post(f"{panel}/sign-in", data=form, trust_env=False)
    assert answer.status_code == 401
    assert "<script>" not in answer.text
    assert "<b>" not in answer.text
    assert httpx.post(f"{panel}/sign-in", data={"name": "x" * 5_000}, trust_env=False).status_code == 413


def test_wrong_passwords_are_answered_slower_and_slower():
    patience = sign_in.Patience(most=3)
    waits = []
    for _ in range(20):
        waits.append(patience.wait_seconds(["name anna", "address 1"], 100.0))
        patience.failed(["name anna"], 100.0)
    assert waits[:6] == [0, 0, 0, 0, 0, 1]
    assert waits[-1] == 300
    assert patience.wait_seconds(["name anna"], 500.0) == 0
    assert patience.wait_seconds(["address 1"], 100.0) == 0
    for name in "bcd":
        patience.failed([name], 100.0)
    assert patience.wait_seconds(["name anna"], 100.0) == 0, "the oldest is forgotten, so that memory is bounded"


def test_the_server_says_so_when_there_were_too_many_wrong_passwords(panel):
    def tried():
        return httpx.post(f"{panel}/sign-in", data={"name": "guessed", "password": "wrong"}, trust_env=False)

    answers = [tried() for _ in range(8)]
    assert [answer.status_code for answer in answers[:4]] == [401] * 4
    late = next(answer for answer in answers if answer.status_code == 429)
    assert "Too many wrong passwords" in late.text
    assert late.headers["retry-after"].isdigit()


# People


def test_a_session_has_a_cookie_that_no_script_reads_and_no_other_site_sends(panel):
    answer = httpx.post(f"{panel}/sign-in", data={"name": ANNA, "password": SECRET}, trust_env=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert re.search(r"max-age=\d+", cookie)


def test_who_signed_in_gets_pages_and_health_and_signs_out_for_good(panel):
    with signed_in(panel) as client:
        kept = dict(client.cookies)
        assert client.get("/_stcore/health").status_code == 200
        assert client.get("/").headers["content-security-policy"] == "frame-ancestors 'self'"
        out = client.post("/sign-out")
        assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
        assert '"cache"' in out.headers["clear-site-data"]
    assert httpx.get(f"{panel}/_stcore/health", cookies=kept, trust_env=False).status_code == 401


def test_media_need_a_session_and_a_digest_that_the_show_refers_to(panel, made):
    scenes = next(iter(made.show.store.root.glob("heads/step1-scenes/*"))).name
    clip = made.show.store.get(made.show.store.head("step1-scenes", scenes).output, Scenes).clips[0].video
    address = f"/store/{clip.digest}/{quote(clip.name)}"
    assert httpx.get(panel + address, trust_env=False).status_code == 401
    with signed_in(panel, BEN) as client:
        assert client.get(address, headers={"range": "bytes=0-1"}).status_code == 206
        for trick in (
            "/store/../../etc/passwd",
            "/store/%2e%2e%2f%2e%2e%2fetc%2fpasswd/a.mp4",
            f"/store/{clip.digest}/../../../show.toml",
            f"/store/{clip.digest}/%2e%2e%2f%2e%2e%2fshow.toml",
            f"/store/{clip.digest}/%00{clip.name}",
            f"/store/{clip.digest}%00/{clip.name}",
            f"/store/{clip.digest}/C:%5Cwindows%5Cwin.ini",
            f"/store/{clip.digest.upper()}/{clip.name}",
            f"/store/{clip.digest[:2]}/{clip.digest[2:]}/{clip.name}",
            f"/store/{'0' * 64}/{clip.name}",
            f"/store/{clip.digest}/show.toml",
            f"/store//etc/passwd/{clip.name}",
            f"/store/{'a' * 30_000}/{clip.name}",
            f"/store/{clip.digest}/{'a' * 30_000}.mp4",
            "/media/../../../../etc/passwd",
            "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/app/static/%2e%2e/main.py",
            "/component/dailies_player/%2e%2e/%2e%2e/server.py",
        ):
            answer = client.get(trick)
            assert answer.status_code >= 400 or "<title>Streamlit</title>" in answer.text, trick
            assert "root:" not in answer.text
            assert "import" not in answer.text.partition("<body")[0].replace("importmap", ""), trick


def test_an_operator_changes_things_and_the_log_says_who_when_what_and_from_where(panel, made):
    before = len(desk.edits_made(made.show))
    with signed_in(panel) as client, offered(panel, client) as tab:
        assert not accepting(tab).disabled
        tab.run([accepting(tab).id])
    (edit, *_) = desk.edits_made(made.show)
    assert len(desk.edits_made(made.show)) == before + 1
    assert edit.by == ANNA
    entry = next(each for each in panel_log.entries(made.folder) if each.what.startswith("Accept"))
    assert (entry.by, entry.outcome, entry.address) == (ANNA, "done", "this machine")
    assert "place" in entry.said


def test_a_viewer_sees_all_and_changes_nothing_also_by_sending_what_an_operators_browser_sends(panel, made):
    desk.undo(made.show, [e.id for e in desk.edits_made(made.show) if e.what == "answer" and not e.undone_by], ANNA)
    before = len(desk.edits_made(made.show))
    with signed_in(panel) as operator, offered(panel, operator) as tab:
        sent = accepting(tab).id
    with signed_in(panel, BEN) as viewer, offered(panel, viewer) as tab:
        assert accepting(tab).disabled
        assert "viewer" in accepting(tab).help
        assert accepting(tab).id == sent
        tab.run([sent])
    assert len(desk.edits_made(made.show)) == before
    assert not [each for each in panel_log.entries(made.folder) if each.by == BEN and each.what != "sign in"]


def test_nobody_takes_up_somebody_elses_session(panel):
    with (
        signed_in(panel) as operator,
        signed_in(panel, BEN) as viewer,
        offered(panel, operator) as tab,
        offered(panel, viewer, session=tab.session) as thief,
    ):
        assert thief.session != tab.session
        assert accepting(thief).disabled
    with signed_in(panel) as operator:
        with offered(panel, operator) as tab:
            pass
        with offered(panel, operator, session=tab.session) as again:
            assert again.session == tab.session, "one's own is taken up again"


def test_a_page_that_is_open_ends_with_its_session(panel):
    with signed_in(panel, BEN) as client, Tab(panel, client) as tab:
        client.post("/sign-out")
        with pytest.raises(ConnectionClosed) as closed:
            tab.run()
        assert closed.value.rcvd.code == 4401


def test_who_may_is_asked_where_the_change_is_made_and_not_by_the_button_alone(panel, made):
    """An operator's page is open, with its buttons, when she becomes a viewer: Streamlit takes the click, we do not."""
    with signed_in(panel) as client, offered(panel, client) as tab:
        before = len(desk.edits_made(made.show))
        access.change(made.folder, ANNA, role="viewer")
        try:
            tab.run([accepting(tab).id])
        finally:
            access.change(made.folder, ANNA, role="operator")
        assert "That did not work." in " ".join(tab.texts)
    assert len(desk.edits_made(made.show)) == before
    entry = panel_log.entries(made.folder)[0]
    assert (entry.by, entry.outcome, entry.what[:6]) == (ANNA, "refused", "Accept")


def test_a_file_of_people_that_cannot_be_trusted_closes_the_door(panel, made):
    path = access.folder_of(made.folder) / "people.json"
    with signed_in(panel) as client:
        path.chmod(0o644)
        try:
            answer = client.get("/")
        finally:
            path.chmod(0o600)
        assert answer.status_code == 503
        assert "chmod 600" in answer.text
        assert client.get("/_stcore/health").status_code == 200


def test_the_door_stays_closed_when_the_last_person_goes(panel, made):
    path = access.folder_of(made.folder) / "people.json"
    kept = path.read_bytes()
    path.unlink()
    try:
        assert httpx.get(f"{panel}/_stcore/health", trust_env=False).status_code == 401
    finally:
        access.write_private(path, kept)


# Where nobody signs in


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_server_does_not_start_off_loopback_without_sign_in(spies_copy, host):
    command = [sys.executable, "-m", "streamlit", "run", PROJECT / "app" / "server.py", f"--server.address={host}"]
    done = subprocess.run(
        command,
        env={**os.environ, "DAILIES_SHOW": str(spies_copy)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode
    assert "dailies panel user add NAME" in done.stderr


def test_up_does_not_start_off_loopback_without_sign_in(spies_copy):
    command = [sys.executable, "-m", "pipeline", "up", "--show", spies_copy]
    done = subprocess.run(
        command,
        env={**os.environ, "DAILIES_HOST": "0.0.0.0"},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 2
    assert "dailies panel user add NAME" in done.stderr


def door(folder, client=("127.0.0.1", 5), **options):
    """The door alone, with a room behind it."""
    from app.access import Door

    async def room(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"within"})

    return TestClient(Door(room, folder), client=client, **options)


@pytest.mark.parametrize("host", ["127.0.0.1:8501", "localhost:8501", "[::1]:8501"])
def test_without_people_this_machine_is_let_in(spies_copy, host):
    answer = door(spies_copy, base_url="http://127.0.0.1").get("/", headers={"host": host})
    assert (answer.status_code, answer.text) == (200, "within")


@pytest.mark.parametrize(
    ("came_in", "host"),
    [
        ("192.168.1.5", "192.168.1.5:8501"),
        ("192.168.1.5", "localhost"),
        ("127.0.0.1", "evil.example"),
    ],
)
def test_without_people_nobody_else_is_whatever_server_listens(spies_copy, came_in, host):
    """Also not through a proxy, or a page elsewhere whose name was made to mean this machine."""
    answer = door(spies_copy, base_url=f"http://{came_in}").get("/", headers={"host": host})
    assert answer.status_code == 403
    assert "dailies panel user add NAME" in answer.text
