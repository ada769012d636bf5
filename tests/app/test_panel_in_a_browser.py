"""The panel as a person meets it: a real server, a real browser, a laptop's screen."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from pipeline import dag

ROOT = Path(__file__).parents[2]
CHROMIUM = Path("/usr/bin/chromium")
LAPTOP = {"width": 1366, "height": 768}
# A browser that looks for nobody but the page it is sent to, and that root may start.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM} (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def panel(spies_copy, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", ROOT / "app" / "main.py"]
    with (tmp_path / "panel.log").open("w") as log:
        server = subprocess.Popen(
            [*command, f"--server.port={port}", "--server.address=127.0.0.1"],
            env={**os.environ, "DAILIES_SHOW": str(spies_copy)},
            cwd=tmp_path,  # the panel's settings must be found from anywhere
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{port}"
        for _ in range(150):
            try:
                if httpx.get(f"{url}/_stcore/health", trust_env=False).is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield url
        server.terminate()
        server.wait()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pipeline_and_what_to_do_next_are_in_sight_on_a_laptop(browser, panel, tmp_path, scheme):
    page = browser.new_page(viewport=LAPTOP, color_scheme=scheme)
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(panel)
    picture = page.get_by_role("img", name="The pipeline")
    picture.wait_for()
    page.screenshot(path=tmp_path / f"{scheme}.png")
    box = picture.bounding_box()
    assert box["y"] + box["height"] <= LAPTOP["height"]
    assert box["x"] + box["width"] <= LAPTOP["width"]
    assert picture.locator("text").all_text_contents().count("step1") == 1
    assert picture.locator("g > title").count() == len(dag.STEPS) + len(dag.SOURCES)
    page.get_by_text("dailies run").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    light, dark = "rgb(252, 251, 248)", "rgb(22, 24, 29)"
    assert page.locator("[data-testid=stApp]").evaluate("e => getComputedStyle(e).backgroundColor") == (
        light if scheme == "light" else dark
    )
    assert errors == []
    page.close()


def test_the_page_follows_the_show_by_itself(browser, panel, spies_copy):
    """A broken show.toml appears and heals without a reload; the page looks every fifteen seconds."""
    page = browser.new_page(viewport=LAPTOP)
    page.goto(panel)
    page.get_by_role("img", name="The pipeline").wait_for()
    good = (spies_copy / "show.toml").read_text()
    (spies_copy / "show.toml").write_text(good + "\n[nonsense]\n")
    page.get_by_text("cannot be read").wait_for(timeout=40_000)
    (spies_copy / "show.toml").write_text(good)
    page.get_by_role("img", name="The pipeline").wait_for(timeout=40_000)
    page.close()
