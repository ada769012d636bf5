"""How soon the panel shows each of its pages on a huge show, and what its process weighs after many loads.

`python -m benchmarks.panel`: 200 episodes, 20,000 clips, a real server and Chromium. The last line is JSON:
`first_content_s` by view, the median of several loads in a new tab of a browser that knows the panel, from the
request to the first of what only that page shows; `rss_mb_after_200` is the panel's process after 200 loads.
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

from benchmarks.season import Season
from pipeline import indexing
from pipeline.settings import PROJECT

CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
PATIENCE_MS = 120_000


def huge(folder: Path, episodes: int, clips: int) -> Season:
    """A show of which people have answered more than a half, with its indexes as a run or a pull leaves them."""
    made = Season(folder, episodes=episodes, clips=clips)
    for episode in made.episodes[: 6 * episodes // 10]:
        for clip in range(clips):
            made.answered(episode, clip)
            made.captioned(episode, clip)
    made.pull()
    indexing.build(made.show)
    return made


@contextmanager
def panel(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """The panel's address and process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", str(PROJECT / "app" / "server.py"), f"--server.port={port}"]
    with (folder / "panel.log").open("w") as log:
        server = subprocess.Popen(
            command, env={**os.environ, "DAILIES_SHOW": str(folder)}, cwd=PROJECT / "app", stdout=log, stderr=log
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
    with tempfile.TemporaryDirectory() as scratch:
        begun = time.perf_counter()
        made = huge(Path(scratch) / "huge", asked.episodes, asked.clips)
        print(f"made and indexed in {time.perf_counter() - begun:.1f} s")
        with panel(made.folder) as (url, process), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            context = browser.new_context(viewport={"width": 1366, "height": 768})

            def load(view: str) -> float:
                page = context.new_page()
                begun = time.perf_counter()
                page.goto(f"{url}/{'' if view == 'overview' else view.replace('_', '-')}", wait_until="commit")
                # The heading, and something under it: what only this page shows.
                page.locator("[data-testid=stMainBlockContainer] h1").first.wait_for(timeout=PATIENCE_MS)
                blocks = "[data-testid=stMainBlockContainer] [data-testid=stElementContainer]"
                page.wait_for_function(f"document.querySelectorAll({blocks!r}).length > 1", timeout=PATIENCE_MS)
                seconds = time.perf_counter() - begun
                page.close()
                return seconds

            names = views()
            load("overview")  # The browser has the panel's own files from then on.
            first = {view: load(view) for view in names}
            again = {view: statistics.median(load(view) for _ in range(asked.each)) for view in names}
            for number in range(asked.loads):
                load(names[number % len(names)])
            megabytes = process.memory_info().rss / 1e6
            browser.close()
    for view in names:
        print(f"{view:12} {again[view]:6.2f} s, the very first time {first[view]:6.2f} s")
    print(
        json.dumps(
            {
                "first_content_s": {view: round(seconds, 2) for view, seconds in again.items()},
                "first_time_s": {view: round(seconds, 2) for view, seconds in first.items()},
                f"rss_mb_after_{asked.loads}": round(megabytes),
            }
        )
    )


if __name__ == "__main__":
    main()
