"""The Launch page on shows in every condition, and the form of every step's settings."""

from functools import partial
from pathlib import Path

import portalocker
import pytest

from app.launch import fields
from pipeline import access, dag
from pipeline.engine.events import Events

ROOT = Path(__file__).parents[2]
ANNA = "anna@example.com"


@pytest.fixture
def page(opened):
    """Opens the page at an address."""
    return partial(opened, "launch", who=ANNA)


def words(app):
    return "\n".join(each.value for each in (*app.markdown, *app.caption, *app.error, *app.code))


def starter(app):
    return next(each for each in app.button if "aunch" in each.label)


@pytest.mark.parametrize("what", ["package", "preprocess", "train-ltx-2", "train-wan21", "step1-scenes", "../nonsense"])
def test_every_choice_opens_by_its_address_on_a_new_show(page, spies_copy, what):
    app = page(spies_copy, what=what)
    assert "to make in" in words(app)
    assert "dailies run" in words(app)
    assert not starter(app).disabled


def test_a_show_that_was_run_is_shown(page, season):
    assert "dailies run" in words(page(season().folder))


def test_a_broken_show_file_is_told(page, spies_copy):
    (spies_copy / "show.toml").write_text('name = "spies"\ncolour = 3\n')
    assert "cannot be read" in words(page(spies_copy))


def test_who_has_not_said_who_they_are_launches_nothing(page, spies_copy):
    assert starter(page(spies_copy, who="")).disabled


def test_who_is_not_signed_in_sees_no_launch_where_people_sign_in(page, spies_copy):
    access.add(spies_copy, "ben@example.com", "viewer", "correct horse battery")
    assert not [each for each in page(spies_copy).button if "aunch" in each.label]


def test_what_is_typed_stays_while_the_page_follows_a_launch_to_its_end(browser, serve, season):
    made = season()
    folder = made.show.state / "jobs" / "20261101T080000000000-launch.abc-aaaaaa"
    folder.mkdir(parents=True)
    events = Events(folder / "events.jsonl")
    events.emit("started", by=ANNA, about={"steps": ["step1-scenes"]})
    with (folder.parent / "launch.abc.lock").open("a") as lock:
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        page = browser.new_page()
        page.goto(f"{serve(made.folder)}/launch?what=train-ltx-2&who=anna")
        page.get_by_role("button", name="Stop").wait_for()
        box = page.get_by_role("textbox", name="learning rate")
        box.fill("0.00")
        box.press_sequentially("03")
        events.emit("finished", code=0)
    page.get_by_role("button", name="Stop").wait_for(state="detached")  # The page itself was drawn anew for it.
    assert box.input_value() == "0.0003"
    assert box.evaluate("each => each === document.activeElement")
    box.press("Tab")
    page.get_by_text("This change makes").wait_for()
    page.get_by_text("learning_rate = 0.0003").wait_for()
    page.get_by_role("button", name="Save and launch Train LTX-2").wait_for()
    assert "learning_rate" not in (made.folder / "show.toml").read_text(), "nothing is saved before it was launched"
    page.close()


def test_what_a_setting_is_counted_in_stands_in_its_name():
    counted = {"In seconds.": ", s", "seconds of": ", s", "Pixels.": ", pixels", "Words; ": ", words"}
    for model in {step.config for step in dag.STEPS}:
        for each in fields.fields(model()):
            for help_, unit in counted.items():
                assert not each.help.startswith(help_) or each.label.endswith(unit), each.path


def configs():
    return [(step.name, step.config) for step in dag.STEPS if step.config.model_fields]


@pytest.mark.parametrize(("name", "model"), configs(), ids=[name for name, _ in configs()])
def test_every_setting_is_a_field_and_what_nobody_touched_stays(name, model):
    config = model()
    found = fields.fields(config)
    assert {each.path[0] for each in found} == set(model.model_fields)
    assert len({each.path for each in found}) == len(found)
    assert fields.read(config, found, {each.path: each.shown for each in found}) == fields.Read({}, {})
    for each in (each for each in found if each.kind == "tick"):
        read = fields.read(config, found, {each.path: not each.shown})
        # A tick that needs another setting is refused in words; it is never lost.
        assert read.edits == {each.path: not each.shown} or read.errors
    for each in (each for each in found if each.kind == "number"):
        read = fields.read(config, found, {each.path: "many"})
        assert not read.edits
        assert each.path in read.errors
