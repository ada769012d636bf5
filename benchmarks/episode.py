"""What the pipeline takes on the bundled show: seconds per episode minute by step, a run with nothing to do, `status`.

    python -m benchmarks.episode

Each command is a process of its own on a fresh copy of the show, as a user would start it. The last line is JSON.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

DATASETS = ("step3-ltx2-data", "step3-wan21-package")
"""How far it goes; trainings have benchmarks of their own."""

SPIES = Path(__file__).resolve().parents[1] / "examples" / "spies"


def dailies(show: Path, *arguments: str) -> tuple[Any, float]:
    """What `dailies ... --json` prints, and the seconds it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "pipeline", *arguments, "--show", str(show), "--json"]
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(answer.stdout), time.perf_counter() - started


def measure(show: Path) -> dict[str, Any]:
    """The figures; times in seconds."""
    _, first = dailies(show, "run", *DATASETS)
    status, status_seconds = dailies(show, "status")
    status = [unit for unit in status if unit["state"] == "fresh"]
    assert set(DATASETS) <= {unit["step"] for unit in status}
    noop, noop_seconds = dailies(show, "run", *DATASETS)
    assert noop["ran"] == []
    scenes = [unit["store_path"] for unit in status if unit["step"] == "step1-scenes"]
    minutes = sum(json.loads((Path(path) / "output.json").read_text())["media"]["seconds"] for path in scenes) / 60
    by_step: dict[str, float] = {}
    for unit in status:
        by_step[unit["step"]] = by_step.get(unit["step"], 0) + unit["seconds"]
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "episode_minutes": round(minutes, 3),
        "first_run_s": round(first, 2),
        "seconds_per_episode_minute": {step: round(each / minutes, 2) for step, each in by_step.items()},
        "noop_run_s": round(noop_seconds, 2),
        "status_s": round(status_seconds, 2),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        show = Path(folder) / "spies"
        shutil.copytree(SPIES, show, ignore=shutil.ignore_patterns(".dailies"))
        # Nobody has reviewed this copy: the machine's captions stand in, so that the datasets have something to cut.
        with (show / "show.toml").open("a") as file:
            file.write('\n[steps.step2-reviewed]\npolicy = "machine-above"\nthreshold = 0.0\n')
        figures = measure(show)
    for name, value in figures.items():
        print(f"{name}: {value}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
