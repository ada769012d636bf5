"""The mirror against rsync: one tree, one loopback ssh, first and again after a small change.

    python -m benchmarks.mirror [--gb 2]

The tree is a store as preprocessing leaves it: latents of about a megabyte, embeddings of fifteen, small records. Both
sides get their turn first and second by rounds, on fresh folders, and the medians count. Each starts without a
connection; `held` is what a run of several steps has: the connection of the push before is still there. The last line
is JSON; ratios are rsync's seconds over ours: above 1 we are faster.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.loopback_ssh import sshd
from pipeline.engine import openssh
from pipeline.engine.mirror import Mirror
from pipeline.engine.records import File, Record
from pipeline.engine.store import Run, Store

ROUNDS, MORE = 4, 3
"""Fresh folders, as often one side first as the other; and pushes of a hundredth more into each."""
SIZES = (15_700_000, 1_100_000, 1_100_000, 52_000, 4_000)
"""A clip's embedding, its video latent, the clip itself, its audio latent, a record; bytes."""


class Made(Record):
    files: tuple[File, ...]


def fill(store: Store, total_bytes: int, begin: int = 0) -> Run:
    """Objects of random bytes, and a run that is made of them."""
    files: list[File] = []
    while sum(file.size_bytes for file in files) < total_bytes:
        number = begin + len(files)
        with store.scratch() as scratch:
            path = scratch / f"{number}.bin"
            path.write_bytes(os.urandom(SIZES[number % len(SIZES)]))
            files.append(store.put_file(path, move=True))
    made = Made(files=tuple(files))
    digest = store.put(made)
    run = Run(
        name=f"{digest[:32]}-bench-step-1",
        step="step",
        unit=f"unit{begin}",
        key=digest,
        recipe={"inputs": {}},
        output=digest,
        seconds=1,
        finished=time.time(),
    )
    return store.save_run(run, made)


def rsync(store: Store, config: Path, target: Path) -> float:
    started = time.perf_counter()
    command = ["rsync", "-a", "-e", f"ssh -F {config}", f"{store.root}/objects", f"mirror:{target}/"]
    subprocess.run(command, check=True)
    return time.perf_counter() - started


def ours(store: Store, config: Path, target: Path, runs: list[Run]) -> float:
    started = time.perf_counter()
    Mirror(store, f"sftp://mirror{target}", config).push(runs)
    return time.perf_counter() - started


def hang_up(config: Path) -> None:
    """End the connection that our last push left open."""
    command = ["ssh", "-F", str(config), *openssh.shared(), "-O", "exit", "mirror"]
    subprocess.run(command, capture_output=True, check=False)  # There may be none.


def measure(folder: Path, total_bytes: int) -> dict[str, float | int | str]:
    seconds: dict[str, list[float]] = {name: [] for name in ("rsync", "ours", "rsync_more", "ours_more", "ours_held")}
    with sshd(folder) as config:
        store = Store(folder / "store")
        runs = [fill(store, total_bytes)]

        def turns(number: int, name: str) -> None:
            targets = [folder / f"rsync-{number}", folder / f"ours-{number}"]
            targets[0].mkdir(exist_ok=True)
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                hang_up(config)
                if which == 0:
                    seconds[f"rsync{name}"].append(rsync(store, config, targets[0]))
                else:
                    seconds[f"ours{name}"].append(ours(store, config, targets[1], runs))

        def more(number: int) -> None:
            runs.append(fill(store, total_bytes // 100, begin=1_000_000 * (number + 1)))

        for number in range(ROUNDS):
            turns(number, "")
            for again in range(MORE):
                more(MORE * number + again)
                turns(number, "_more")
            more(MORE * ROUNDS + number)
            seconds["ours_held"].append(ours(store, config, folder / f"ours-{number}", runs))
            for name in ("rsync", "ours"):
                subprocess.run(["rm", "-rf", folder / f"{name}-{number}"], check=True)
        hang_up(config)
    middle = {name: statistics.median(each) for name, each in seconds.items()}
    return {
        "gigabytes": round(total_bytes / 1e9, 2),
        **{f"{name}_s": round(value, 2) for name, value in middle.items()},
        "first_ratio": round(middle["rsync"] / middle["ours"], 2),
        "incremental_ratio": round(middle["rsync_more"] / middle["ours_more"], 2),
        "incremental_held_ratio": round(middle["rsync_more"] / middle["ours_held"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--gb", type=float, default=2.0, help="size of the tree, in gigabytes")
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), int(parser.parse_args().gb * 1e9))
    for name, value in figures.items():
        print(f"{name}: {value}", file=sys.stderr)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
