"""Signing in, as people do: in a browser by password, and by their company's OIDC provider."""

from urllib.parse import urlsplit

import httpx
import pytest

from benchmarks.season import Season
from pipeline import access, panel_log
from tests.app.conftest import free_port
from tests.app.identity_provider import CLIENT, SECRET, provider

ANNA, PASSWORD = "anna@example.com", "correct horse battery"


def test_a_person_signs_in_looks_does_something_and_signs_out(browser, serve, season):
    made = season()
    made.answered("s01e01", 0)
    made.pull()
    access.add(made.folder, ANNA, "operator", PASSWORD)
    page = browser.new_page(viewport={"width": 1366, "height": 768})
    page.set_default_timeout(90_000)  # other programs may keep the machine busy
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    panel = serve(made.folder)
    page.goto(f"{panel}/review?part=More+like+this")
    page.get_by_role("textbox", name="Name or e-mail").fill("Anna@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").get_by_text("do not go together").wait_for()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_text("more places like this").wait_for()
    assert page.evaluate("document.cookie.includes('dailies')") is False
    page.get_by_role("button", name="Accept all").click()
    page.get_by_text("Undo", exact=True).wait_for()
    page.get_by_role("link", name="Overview").click()
    page.get_by_text("What was done here").click()
    page.get_by_text("dailies panel log").wait_for()
    page.get_by_role("button", name=ANNA).click()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("textbox", name="Name or e-mail").wait_for()
    page.goto(panel)
    page.get_by_role("textbox", name="Name or e-mail").wait_for()
    assert [(each.by, each.what[:6], each.outcome) for each in panel_log.entries(made.folder)] == [
        (ANNA, "sign o", "done"),
        (ANNA, "Accept", "done"),
        (ANNA, "sign i", "done"),
        ("Anna@example.com", "sign i", "refused"),
    ]
    assert errors == []
    page.close()


@pytest.fixture(scope="module")
def by_provider(tmp_path_factory, serve_all):
    """A panel whose people sign in at an OIDC provider, and that provider."""
    port, folder = free_port(), Season(tmp_path_factory.mktemp("studio") / "season", episodes=1, clips=1).folder
    with provider(free_port()) as ours:
        (folder / ".streamlit").mkdir()
        (folder / ".streamlit" / "secrets.toml").write_text(
            f'[auth]\nredirect_uri = "http://127.0.0.1:{port}/oauth2callback"\n'
            f'cookie_secret = "{"0123456789abcdef" * 2}"\n'
            f'[auth.studio]\nclient_id = "{CLIENT}"\nclient_secret = "{SECRET}"\n'
            f'server_metadata_url = "{ours.url}/.well-known/openid-configuration"\n'
        )
        access.add(folder, ANNA, "viewer", None)
        yield serve_all(folder, port), ours


def go_in(panel, client):
    """Follow the link of the sign-in page to the provider and back."""
    form = client.get("/sign-in").text
    assert "Sign in with Studio" in form
    link = form.split('<a class="way" href="')[1].split('"')[0].replace("&amp;", "&")
    at_provider = client.get(link).headers["location"]
    back = httpx.get(at_provider, trust_env=False).headers["location"]
    assert urlsplit(back).path == "/oauth2callback"
    assert client.get(back).status_code == 302


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"email": "Anna@Example.com", "email_verified": True}, 200),
        ({"email": "stranger@example.com", "email_verified": True}, 401),
        ({"email": ANNA, "email_verified": False}, 401),
        ({"name": ANNA}, 401),
    ],
)
def test_the_provider_says_who_it_is_and_the_show_says_who_may(by_provider, claims, status):
    panel, ours = by_provider
    assert httpx.get(f"{panel}/_stcore/health", trust_env=False).status_code == 401
    ours.claims = claims
    with httpx.Client(base_url=panel, trust_env=False, headers={"accept": "*/*"}) as client:
        go_in(panel, client)
        assert client.get("/_stcore/health").status_code == status
        if claims.get("email") == "stranger@example.com":
            assert "may not use this panel" in client.get("/sign-in").text
        if status == 200:
            out = client.post("/sign-out")
            assert out.headers["location"] == "/auth/logout"
            client.get("/auth/logout")
            assert client.get("/_stcore/health").status_code == 401
