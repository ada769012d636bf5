"""A refresh that was under way when somebody clicked comes with the address as it was: it must not bring that back."""

import time
from urllib.parse import urlencode

import httpx
import pytest

from benchmarks.season import Season
from benchmarks.trained import Trained
from tests.app.open_tab import ANNA, Tab

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
