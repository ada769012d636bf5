"""The Hosts page on shows in every condition."""

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(monkeypatch):
    def run(folder):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60).run()
        app.switch_page("views/hosts.py").run()
        assert not app.exception
        return app

    return run


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.error))


def test_this_machine_is_shown_before_anything_ran(page, spies_copy):
    said = words(page(spies_copy))
    assert "**GPUs**" in said
    assert "No price is set" in said
    assert "**Running now**" in said


def test_a_price_that_is_set_is_shown(page, spies_copy):
    with (spies_copy / "show.toml").open("a") as file:
        file.write("\n[settings]\ngpu_price_per_hour = 2.5\n")
    assert "an hour of GPU" in words(page(spies_copy))


def test_a_show_that_was_run_is_shown(page, season):
    assert "**Running now**" in words(page(season().folder))


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in words(page(spies_copy))
