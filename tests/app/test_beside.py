"""What is asked beside a page: it shows what was told last, and waits for nobody."""

import socket
import threading

import pytest

from app import beside
from app.beside import Beside
from pipeline import control

PATIENCE_SECONDS = 30


def test_who_looks_does_not_wait_for_an_answer_that_never_comes():
    never = threading.Event()
    asked = Beside(0.0, first_wait=0.01)
    assert asked.look("show", never.wait) is None
    assert asked.look("show", never.wait) is None
    never.set()


def test_an_old_answer_is_given_until_the_next_is_there():
    asked, goes_on = Beside(0.0, first_wait=PATIENCE_SECONDS), threading.Event()
    assert asked.look("show", lambda: "first") == "first"
    asked.first_wait = 0.0

    def second():
        goes_on.wait(PATIENCE_SECONDS)
        return "second"

    assert asked.look("show", second) == "first"
    goes_on.set()
    asked.first_wait = PATIENCE_SECONDS
    assert asked.look("show", lambda: "second") == "second"


def test_what_went_wrong_is_told_to_who_looks_and_asked_again():
    asked = Beside(0.0, first_wait=PATIENCE_SECONDS)
    with pytest.raises(ZeroDivisionError):
        asked.look("show", lambda: 1 / 0)
    assert asked.look("show", lambda: 1) == 1


def test_a_label_studio_that_accepts_and_never_answers_is_being_asked(season, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("DAILIES_LABEL_STUDIO_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.setenv("DAILIES_LABEL_STUDIO_TOKEN", "x")
        show = control.open_show(season().folder)
        assert beside.desk(show).state == "asked"
        assert not beside.desk(show).ours
