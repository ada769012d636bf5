"""How soon the panel shows each of its pages on a huge show, and what its process weighs after many loads.

`python -m benchmarks.panel`: 200 episodes, 20,000 clips, their datasets, 200 trainings, a real server and Chromium.
The last line is JSON: `first_content_s` by view, the median of several loads in a new tab of a browser that knows the
panel, from the request to the first of what only that page shows, as the page's own clock tells; `streamlit_alone_s` is
the same of a page with two lines of text, served by Streamlit with nothing of ours; `rss_mb_after_200` is the panel's
process after 200 loads.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.packaged import package
from benchmarks.season import BEGAN, Season
from benchmarks.trained import Trained
from pipeline import indexing
from pipeline.settings import PROJECT

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 120_000

# The moment at which something stands below the heading. Playwright's own waiting looks only every half second.
WATCH = """
const seen = () => {
  const main = document.querySelector("[data-testid=stMainBlockContainer]")
  const heading = main?.querySelector("h1")?.closest("[data-testid=stHorizontalBlock]") ?? main?.querySelector("h1")
  if (!heading) return
  const below = [...main.querySelectorAll("[data-testid=stElementContainer]")].filter(
    (each) => each.offsetHeight && !each.contains(heading) && !heading.contains(each))
  // Words, or what is drawn; not the grey of what is still to come.
  const drawn = (each) => each.innerText.trim() || each.querySelector("input, svg, canvas, img, .stBidiComponent")
  if (!below.some((each) => drawn(each) && !each.querySelector("[data-testid=stSkeleton]"))) return
  observer.disconnect()
  window.firstContent = performance.now() / 1000
}
const observer = new MutationObserver(seen)
observer.observe(document, { childList: true, subtree: true, characterData: true, attributes: true })
"""
ALONE = """
import streamlit as st

def page():
    st.title("A title")
    st.write("A line")

st.navigation([st.Page(page, default=True, title="A page")], position="top").run()
"""


def huge(folder: Path, episodes: int, clips: int, *, answered: float = 0.6, runs: int = 200) -> Season:
    """A show of whose episodes people have answered a share, with both datasets, trainings and launches, and with its
    indexes as a run or a pull leaves them.
    """
    made = Season(folder, episodes=episodes, clips=clips)
    for episode in made.episodes[: round(answered * episodes)]:
        for clip in range(clips):
            made.answered(episode, clip)
            made.captioned(episode, clip)
    made.pull()
    package(made)
    trained = Trained(made.show)
    for number in range(runs):
        last = number == runs - 1
        name, began = f"20261101T{number:06}-aaaaaa", BEGAN.timestamp() + 300 * number
        trained.launch(f"20261101T{number:012}", began=began)
        trained.training(name, began=began, steps=1000 if last else 12, every=100 if last else 4, samples=last)
    indexing.build(made.show)
    return made


@contextmanager
def panel(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The panel's address and process."""
    with served(PROJECT / "app" / "server.py", folder) as found:
        yield found


@contextmanager
def served(script: Path, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """What Streamlit serves of a script, from the script's folder; its log comes into `folder`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(script), f"--server.port={port}"]
    command += ["--server.headless=true", "--browser.gatherUsageStats=false"]
    with (folder / "panel.log").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, "DAILIES_SHOW": str(folder)}, cwd=script.parent, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                if httpx.get(f"{url}/_stcore/health", trust_env=False).is_success:
                    break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url, psutil.Process(server.pid)
    finally:
        server.terminate()
        server.wait()


def views() -> list[str]:
    """Every page's address, as its file is called."""
    files = sorted(path.stem for path in (PROJECT / "app" / "views").glob("[a-z]*.py"))
    named = (PROJECT / "app" / "main.py").read_text(encoding="utf-8")
    return [name for name in files if f"views/{name}.py" in named]


def main() -> None:
    from playwright.sync_api import sync_playwright

    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--episodes", type=int, default=200)
    arguments.add_argument("--clips", type=int, default=100)
    arguments.add_argument("--loads", type=int, default=200)
    arguments.add_argument("--each", type=int, default=5)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        begun = time.perf_counter()
        made = huge(Path(scratch) / "huge", asked.episodes, asked.clips)
        print(f"made and indexed in {time.perf_counter() - begun:.1f} s")
        # A profile on disk, as people have one: in a private window scripts are compiled anew for each page.
        browser = playwright.chromium.launch_persistent_context(
            Path(scratch) / "profile", executable_path=CHROMIUM, args=QUIET, viewport={"width": 1366, "height": 768}
        )

        def load(address: str) -> float:
            page = browser.new_page()
            page.add_init_script(WATCH)
            page.goto(address, wait_until="commit")
            page.wait_for_function("window.firstContent", timeout=PATIENCE_MS)
            seconds = float(page.evaluate("window.firstContent"))
            page.close()
            return seconds

        def usual(address: str) -> float:
            return statistics.median(load(address) for _ in range(asked.each))

        with panel(made.folder) as (url, process):
            names = {view: f"{url}/{'' if view == 'overview' else view.replace('_', '-')}" for view in views()}
            load(names["overview"])  # The browser has the panel's own files from then on.
            first = {view: load(address) for view, address in names.items()}
            again = {view: usual(address) for view, address in names.items()}
            for number in range(asked.loads):
                load(list(names.values())[number % len(names)])
            megabytes = process.memory_info().rss / 1e6
        script = Path(scratch) / "alone.py"
        script.write_text(ALONE)
        with served(script, Path(scratch)) as (url, _):
            usual(url)
            alone = usual(url)
        browser.close()
    for view in names:
        print(f"{view:12} {again[view]:6.2f} s, the very first time {first[view]:6.2f} s")
    print(
        json.dumps(
            {
                "first_content_s": {view: round(seconds, 2) for view, seconds in again.items()},
                "streamlit_alone_s": round(alone, 2),
                "first_time_s": {view: round(seconds, 2) for view, seconds in first.items()},
                f"rss_mb_after_{asked.loads}": round(megabytes),
            }
        )
    )


if __name__ == "__main__":
    main()
