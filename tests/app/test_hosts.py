"""The Hosts page on shows in every condition."""

import time
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


def test_hosts_stand_below_this_machine_and_one_that_is_gone_says_so_without_delay(page, spies_copy):
    with (spies_copy / "show.toml").open("a") as file:
        file.write('\n[hosts.gpu]\naddress = "http://127.0.0.1:9"\nprice_per_hour = 2.5\n')
        file.write('[hosts.silent]\naddress = "http://203.0.113.1:8265"\ngpus = 4\nstop_command = "true"\n')
    app = page(spies_copy)
    said = words(app)
    assert "**:material/dns: gpu**" in said
    assert "for the whole host" in said
    assert any("host gpu does not answer" in each.value for each in app.warning)
    assert "stops it after 20 minutes" in said
    began = time.monotonic()
    app.run()
    assert time.monotonic() - began < 5  # The page itself takes a tenth of it; a host would be waited for longer.
