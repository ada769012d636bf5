"""The overview page, run as Streamlit runs it, on real shows in every condition."""

import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from benchmarks.trained import Trained
from pipeline import dag

ROOT = Path(__file__).parents[2]


@pytest.fixture
def page(monkeypatch):
    def run(folder, **address):
        monkeypatch.setenv("DAILIES_SHOW", str(folder))
        app = AppTest.from_file(str(ROOT / "app" / "main.py"), default_timeout=60)
        app.query_params.update(address)
        return app.run()

    return run


def test_a_new_show_says_what_to_run_and_shows_every_step(page, spies_copy):
    app = page(spies_copy)
    assert not app.exception
    assert app.title[0].value == "spies"
    assert any("results to make" in text.value for text in app.markdown)
    assert app.code[0].value == "dailies run step2-caption"
    grid = app.dataframe[0].value
    assert list(grid.index) == [step.name for step in dag.STEPS]
    assert set(grid["s01e01"]) <= {"○ missing", ""}


def test_every_result_is_listed_with_its_reason(page, spies_copy):
    table = page(spies_copy).dataframe[1].value
    assert (table["State"] == "○ missing").all()
    assert (table["Why"] != "").all()


def test_every_result_has_an_address(page, spies_copy):
    def shown(**address):
        return [each.value for each in page(spies_copy, **address).markdown]

    assert "**step2-caption of s01e02**" in shown(step="step2-caption", unit="s01e02")
    assert "**step2-caption of s01e01**" in shown(step="step2-caption")
    assert "**step1-scenes of s01e01**" in shown(step="../nothing", unit="s01e02")


def test_a_folder_without_a_show_gives_the_remedy(page, tmp_path):
    app = page(tmp_path)
    assert not app.exception
    assert "cannot be read" in app.error[0].value
    assert "dailies init" in app.code[0].value


def test_a_show_without_episodes_says_where_they_go(page, spies_copy):
    for video in (spies_copy / "episodes").iterdir():
        video.unlink()
    app = page(spies_copy)
    assert not app.exception
    assert "put videos there" in app.code[0].value


def test_a_broken_show_file_is_shown_with_its_line_and_heals(page, spies_copy):
    good = (spies_copy / "show.toml").read_text()
    (spies_copy / "show.toml").write_text(good + "\ncolour = 3\n")
    app = page(spies_copy)
    assert "colour" in app.code[0].value
    (spies_copy / "show.toml").write_text(good)
    app.run()
    assert not app.error
    assert app.title[0].value == "spies"


def test_a_run_that_goes_on_is_to_be_followed_and_no_other_is_offered(page, season, drawn):
    made = season(episodes=1, clips=2)
    run = "20261101T100000-aaaaaa"
    Trained(made.show).training(run, began=time.time(), steps=90, upto=20, every=10, ended=False, step_seconds=0.2)
    app = page(made.folder)
    assert f'href="/runs?run={run}"' in drawn(app)
    assert not [each for each in app.button if each.label == "Run"]
