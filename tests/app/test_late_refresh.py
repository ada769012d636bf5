"""A refresh that was under way when somebody clicked comes with the address as it was: it must not bring that back."""

import time
from contextlib import contextmanager
from urllib.parse import urlencode

import httpx
import portalocker
import pytest

from benchmarks.season import Season
from benchmarks.trained import Trained
from pipeline.engine.events import Events
from tests.app.open_tab import ANNA, Tab

PATIENCE_MS = 60_000
MOMENTS = 3
NEW, OLD = "20261101T100000-aaaaaa", "20261101T090000-bbbbbb"


@pytest.fixture(scope="module")
def panel(tmp_path_factory, serve_all):
    """Of a show with a training that goes on, and one that is done."""
    made = Season(tmp_path_factory.mktemp("refreshed") / "season", episodes=1, clips=2)
    trained = Trained(made.show)
    trained.training(OLD, began=time.time() - 900, steps=20, every=10)
    trained.training(NEW, began=time.time(), steps=90, upto=20, every=10, ended=False, step_seconds=0.2)
    return serve_all(made.folder)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"run": NEW, "part": "Words"}, {}),
        ({}, {"run": OLD}),
        ({"run": NEW, "part": "Samples"}, {"run": NEW, "part": "Samples", "sample": "10.1"}),
        ({"compare": f"{NEW},{OLD}"}, {}),
    ],
)
def test_a_late_refresh_of_the_runs_page_gives_no_address_to_the_browser(panel, before, after):
    with (
        httpx.Client(base_url=panel, trust_env=False) as client,
        Tab(panel, client, urlencode({"who": ANNA, **before}), "runs") as tab,
    ):
        tab.query = urlencode({"who": ANNA, **after})
        tab.run()
        tab.query = urlencode({"who": ANNA, **before})
        tab.run(fragment=tab.fragments[-1])
        assert tab.addresses == []


def test_who_came_by_an_address_with_a_name_is_that_person_on_every_page(panel):
    with httpx.Client(base_url=panel, trust_env=False) as client, Tab(panel, client, f"who={ANNA}", "runs") as tab:
        tab.query, tab.page, tab.hash = "", "hosts", ""
        tab.run()
        assert tab.addresses == [urlencode({"who": ANNA})]


@pytest.mark.parametrize(
    ("view", "before", "after"),
    [
        ("", {"step": "step1-scenes"}, {"step": "step2-caption"}),
        ("launch", {"what": "package"}, {"what": "train-ltx-2"}),
        ("review", {}, {}),
    ],
)
def test_a_late_refresh_of_other_pages_gives_none_either(panel, view, before, after):
    with (
        httpx.Client(base_url=panel, trust_env=False) as client,
        Tab(panel, client, urlencode({"who": ANNA, **before}), view) as tab,
    ):
        tab.query = urlencode({"who": ANNA, **after})
        tab.run()
        tab.query = urlencode({"who": ANNA, **before})
        tab.run(fragment=tab.fragments[-1])
        assert tab.addresses == []


def test_no_click_is_lost_in_the_moment_when_a_launch_begins_or_ends(browser, serve_all, tmp_path):
    """A setting is ticked and another thing is chosen, each time with something that begins or ends just before."""
    made = Season(tmp_path / "season", episodes=1, clips=2)
    page = browser.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{serve_all(made.folder)}/launch?{urlencode({'who': ANNA, 'what': 'step2-caption'})}")
    tick, said = page.locator("label", has_text="describe looks"), page.get_by_text("What changes in show.toml")
    tick.wait_for()
    for number in range(MOMENTS):
        with launched(made, number):
            tick.click()
            said.wait_for()
        tick.click()
        said.wait_for(state="detached")
    for number in range(MOMENTS, 2 * MOMENTS):
        with launched(made, number):
            choose(page, "train-ltx-2")
        choose(page, "package")
    page.close()


@contextmanager
def launched(made, number):
    """Something that goes on for the length of a `with`, as its events tell."""
    folder = made.show.state / "jobs" / f"20261101T080000{number:06}-launch.abc-aaaaaa"
    folder.mkdir(parents=True)
    events = Events(folder / "events.jsonl")
    with (folder.parent / "launch.abc.lock").open("a") as lock:
        portalocker.lock(lock, portalocker.LockFlags.EXCLUSIVE)
        events.emit("started", by=ANNA, about={"steps": ["step1-scenes"]})
        yield
        events.emit("finished", code=0)


def choose(page, what):
    page.locator(f"a.choose[href$='={what}']").click()
    page.locator(f"a.choose.is[href$='={what}']").wait_for()
    assert f"what={what}" in page.url
