"""Who may use the panel: the file of people, passwords, sessions, and when nobody may."""

import stat
import time

import pytest
from typer.testing import CliRunner

from pipeline import access, panel_log, sessions
from pipeline.__main__ import app
from pipeline.sessions import Sessions

SECRET = "correct horse battery"
AUTH = """[auth]
redirect_uri = "https://panel.example.com/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "dailies"
client_secret = "shared"
server_metadata_url = "https://id.example.com/.well-known/openid-configuration"
"""


@pytest.fixture
def show(tmp_path):
    (tmp_path / "show.toml").write_text('name = "spies"\n')
    return tmp_path


def provider(show, text=AUTH):
    (show / ".streamlit").mkdir(exist_ok=True)
    (show / ".streamlit" / "secrets.toml").write_text(text)


def test_without_people_and_provider_nobody_signs_in(show):
    assert access.ways(show) == ()


def test_the_first_password_makes_everybody_sign_in(show):
    access.add(show, "Anna@Example.com", "operator", SECRET)
    assert access.ways(show) == ("password",)
    assert access.people(show)["anna@example.com"].may_change


def test_the_file_of_people_is_its_owners_alone_and_holds_no_password(show):
    access.add(show, "anna", "viewer", SECRET)
    path = access.folder_of(show) / "people.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert SECRET not in path.read_text()
    assert "$argon2id$" in path.read_text()


def test_a_file_that_others_can_read_or_that_is_broken_lets_nobody_in(show):
    access.add(show, "anna", "viewer", SECRET)
    path = access.folder_of(show) / "people.json"
    path.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        access.ways(show)
    path.write_text("[")
    path.chmod(0o600)
    with pytest.raises(ValueError, match="cannot be read"):
        access.ways(show)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "panel.example.com"])
def test_off_loopback_the_panel_does_not_open_without_sign_in(show, host):
    with pytest.raises(ValueError, match="dailies panel user add"):
        access.check_open(show, host)
    access.add(show, "anna", "viewer", SECRET)
    access.check_open(show, host)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_it_opens(show, host):
    access.check_open(show, host)


def test_people_known_by_oidc_alone_are_no_way_in_by_themselves(show):
    access.add(show, "anna@example.com", "viewer", None)
    assert access.ways(show) == ()
    provider(show)
    assert access.ways(show) == ("oidc",)


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('client_id = "dailies"\n', "", "lacks default.client_id"),
        ("0123456789abcdef0123456789abcdef", "short", "cookie_secret is shorter"),
        ("/oauth2callback", "/", "redirect_uri must"),
        ("[auth]", "[auth", "is no TOML"),
    ],
)
def test_a_provider_that_is_named_wrongly_is_told_before_anything_opens(show, was, now, told):
    provider(show, AUTH.replace(was, now))
    with pytest.raises(ValueError, match=told):
        access.check_open(show, "0.0.0.0")


def test_a_password_goes_with_its_name_alone(show):
    access.add(show, "anna", "viewer", SECRET)
    access.add(show, "ben", "viewer", None)
    assert access.signed_in(show, " ANNA ", SECRET).name == "anna"
    assert access.signed_in(show, "anna", SECRET + " ") is None
    assert access.signed_in(show, "ben", "") is None
    assert access.signed_in(show, "nobody", SECRET) is None


def test_an_unknown_name_takes_as_long_as_a_wrong_password(show):
    access.add(show, "anna", "viewer", SECRET)

    def seconds(name):
        begun = time.process_time()
        access.signed_in(show, name, "wrong password")
        return time.process_time() - begun

    seconds("warm up")
    known, unknown = (min(seconds(name) for _ in range(3)) for name in ("anna", "nobody"))
    assert unknown > 0.3 * known


@pytest.mark.parametrize(("name", "password"), [("", SECRET), ("a b", SECRET), ("x" * 81, SECRET), ("anna", "short")])
def test_a_poor_name_or_password_is_not_taken(show, name, password):
    with pytest.raises(ValueError, match=r"name|letters"):
        access.add(show, name, "viewer", password)
    assert access.people(show) == {}


def test_a_session_is_its_holders_until_signed_out(show):
    anna = access.add(show, "anna", "viewer", SECRET)
    here = Sessions(show)
    cookie, other = here.begin(anna), here.begin(anna)
    assert here.holder(cookie) == anna
    here.end(cookie)
    assert here.holder(cookie) is None
    assert here.holder(other) == anna
    assert Sessions(show).holder(cookie) is None, "a restart forgets no sign-out"


def test_a_session_ends_by_time_a_new_password_or_removal(show, monkeypatch):
    anna = access.add(show, "anna", "viewer", SECRET)
    cookie = Sessions(show).begin(anna)
    access.change(show, "anna", role="operator")
    assert Sessions(show).holder(cookie).may_change, "a role counts at once"
    monkeypatch.setattr(sessions.time, "time", lambda: 9e9)
    assert Sessions(show).holder(cookie) is None
    monkeypatch.undo()
    access.change(show, "anna", password=SECRET + "!")
    assert Sessions(show).holder(cookie) is None
    cookie = Sessions(show).begin(access.people(show)["anna"])
    access.remove(show, "anna")
    assert Sessions(show).holder(cookie) is None


@pytest.mark.parametrize("forged", ["", "x", "WyJhbm5hIl0.sig", "a.b.c", "\x00", "é" * 10, "x" * 100_000])
def test_what_was_not_signed_here_is_nobodys(show, forged, tmp_path_factory):
    anna = access.add(show, "anna", "viewer", SECRET)
    assert Sessions(show).holder(forged) is None
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    other = access.add(elsewhere, "anna", "operator", SECRET)
    assert Sessions(show).holder(Sessions(elsewhere).begin(other)) is None
    cookie = Sessions(show).begin(anna)
    payload, signature = cookie.rsplit(".", 1)
    # The first character: the low bits of base64's last one belong to no byte, so changing them may change nothing.
    assert Sessions(show).holder(f"{payload}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}") is None
    assert Sessions(show).holder(f"{'A' if payload[0] != 'A' else 'B'}{payload[1:]}.{signature}") is None


def test_what_is_done_is_written_down_before_and_after(show):
    with panel_log.doing(show, "Push", by="anna", address="10.0.0.7") as log:
        assert [e.outcome for e in panel_log.entries(show)] == ["begun"]
        log.say("3 tasks")
    with pytest.raises(ValueError, match="no"), panel_log.doing(show, "Pull", by="ben", address="10.0.0.8"):
        raise ValueError("no\x1b[2J server")
    pull, push = panel_log.entries(show)
    assert (push.by, push.what, push.address, push.outcome, push.said) == (
        "anna",
        "Push",
        "10.0.0.7",
        "done",
        "3 tasks",
    )
    assert (pull.outcome, pull.said) == ("failed", "no [2J server")
    assert stat.S_IMODE(panel_log.path_of(show).stat().st_mode) == 0o600


def test_the_end_of_a_long_log_is_told_without_reading_all_of_it(show):
    for number in range(40):
        panel_log.note(show, "x" * 1_900, by=f"p{number}", address="")
    size = panel_log.path_of(show).stat().st_size
    for _ in range(2 * (1 << 20) // size):
        with panel_log.path_of(show).open("ab") as log:
            log.write(panel_log.path_of(show).read_bytes()[:size])
    panel_log.note(show, "last", by="anna", address="")
    assert panel_log.entries(show, 1)[0].what == "last"


def test_people_are_kept_from_the_command_line(show):
    def dailies(*arguments, typed=None):
        return CliRunner().invoke(app, ["panel", *arguments, "--show", str(show)], input=typed)

    assert dailies("user", "add", "anna", "--role", "operator", typed=f"{SECRET}\n{SECRET}\n").exit_code == 0
    assert dailies("user", "add", "ben", "--password-stdin", typed=f"{SECRET}\n").exit_code == 0
    assert dailies("user", "add", "ben", "--oidc").exit_code == 2
    assert dailies("user", "role", "ben", "operator").exit_code == 0
    assert '"ben", "role": "operator", "password": true' in dailies("user", "list", "--json").output
    assert dailies("user", "password", "ben", "--password-stdin", typed="another one entirely\n").exit_code == 0
    assert access.signed_in(show, "ben", "another one entirely")
    assert "left" not in dailies("user", "remove", "ben").output
    assert "this machine only" in dailies("user", "remove", "anna").output
    told = dailies("log").output
    assert told.count("terminal") == 6
    assert SECRET not in told + panel_log.path_of(show).read_text()


def test_a_folder_without_a_show_gets_no_people(tmp_path):
    done = CliRunner().invoke(app, ["panel", "user", "add", "anna", "--oidc", "--show", str(tmp_path)])
    assert done.exit_code == 2
    assert not (tmp_path / ".dailies").exists()
