"""How a step's items spread over a Ray cluster's GPUs, with items that take a fixed time.

    python -m benchmarks.scaling [--items 32] [--seconds 2] [--rounds 2]

The cluster is a real Ray head with a token and declared GPUs; the items sleep, for what is measured is what we and Ray
add. The members are up before the clock starts (their start is part of `first_fill_s`). By number of GPUs n, the
efficiency is T(1) / (n T(n)) of the same items, T the shorter of the rounds: what else the machine does only adds.
`load` is the processes that wanted a processor for each that there is, before and after: above 1 the rest is a lower
bound. `overhead_item_s` is what an item costs its GPU beyond its own time,
with the most GPUs; `overhead_job_s` is a job of Ray that only imports our half of a job, from submission to its end.
The last line is JSON.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from pipeline.engine.cluster import over_cluster
from pipeline.engine.events import Events
from pipeline.engine.memo import Memo, Spreading
from pipeline.engine.records import Record
from pipeline.engine.spread import Member
from pipeline.engine.store import Store

GPUS = (1, 2, 4, 8)
REPOSITORY = Path(__file__).parents[1]


class Slept(Record):
    seconds: float


def fill(root: Path, spread: Spreading | None, label: str, count: int, seconds: float) -> float:
    """Make `count` items that take `seconds` each, and return how long all took."""
    memo = Memo(Store(root), "sleep", label, Slept, Events(None), spread=spread)

    def make(indexes: Sequence[int]) -> Iterator[Slept]:
        for _ in indexes:
            time.sleep(seconds)
            yield Slept(seconds=seconds)

    started = time.perf_counter()
    memo.fill([f"{label} {index}" for index in range(count)], make)
    return time.perf_counter() - started


def follow(root: Path, items: int, seconds: float, rounds: int, member: Member) -> None:
    """The step, as every member runs it: first something short, then what is measured."""

    def step() -> None:
        fill(root, member, "first", 4 * max(GPUS), 0.05)
        for number in range(rounds):
            fill(root, member, f"measured {number}", items, seconds)

    member.follow(step)


def measure(items: int, seconds: float, rounds: int) -> dict[str, object]:
    took: dict[int, float] = {}
    first: dict[int, float] = {}
    for gpus in GPUS:
        with tempfile.TemporaryDirectory() as folder, over_cluster(
            partial(follow, Path(folder), items, seconds, rounds), gpus - 1
        ) as spread:  # fmt: skip
            used = spread if gpus > 1 else None
            first[gpus] = fill(Path(folder), used, "first", 4 * max(GPUS), 0.05)
            took[gpus] = min(fill(Path(folder), used, f"measured {n}", items, seconds) for n in range(rounds))
        print(f"{gpus} GPUs: {took[gpus]:.2f} s; members up after {first[gpus]:.1f} s", file=sys.stderr)
    return {
        "efficiency": {str(gpus): round(took[1] / (gpus * took[gpus]), 3) for gpus in GPUS},
        "items": items,
        "item_s": seconds,
        "first_fill_s": round(first[max(GPUS)], 1),
        "overhead_item_s": round(max(GPUS) * took[max(GPUS)] / items - seconds, 4),
    }


def job_seconds(address: str, token: str) -> float:
    from ray.job_submission import JobSubmissionClient

    client = JobSubmissionClient(address, headers={"Authorization": f"Bearer {token}"})
    started = time.perf_counter()
    name = client.submit_job(
        entrypoint="python -c 'import pipeline.engine.remote'",
        runtime_env={"py_modules": [str(REPOSITORY / "pipeline")]},
    )
    while not client.get_job_status(name).is_terminal():
        time.sleep(0.05)
    if client.get_job_status(name).value != "SUCCEEDED":
        raise RuntimeError(client.get_job_logs(name))
    return time.perf_counter() - started


def load_now() -> float:
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=2.0, help="what an item takes")
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    load = [load_now()]
    from tests import ray_head

    with ray_head.ray_head(gpus=max(GPUS)) as head:
        os.environ.update(head.environ)
        import ray  # It reads its environment once.

        ray.init(
            address=head.cluster, log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": str(REPOSITORY)}},
        )  # fmt: skip
        figures = measure(asked.items, asked.seconds, asked.rounds)
        ray.shutdown()
        figures["overhead_job_s"] = round(job_seconds(head.address, head.token), 2)
    figures["load"] = [*load, load_now()]
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
