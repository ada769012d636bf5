"""Items over processes: handed out, tried again, failing once, in order; and over the GPUs of a real Ray head."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from functools import partial
from pathlib import Path

import pytest

from pipeline.engine.cluster import over_cluster
from pipeline.engine.events import Events
from pipeline.engine.memo import Memo
from pipeline.engine.records import Record
from pipeline.engine.spread import TRIES, Member, _Batches
from pipeline.engine.store import Store
from tests import ray_head

ALONE = "DAILIES_TESTS_ALONE"
in_a_process_of_its_own = pytest.mark.skipif(
    ALONE not in os.environ, reason="Ray reads its token once a process: run by test_items_over_a_real_cluster"
)


class Made(Record):
    value: int


def memo(root, spread=None):
    return Memo(Store(root), "step", "code", Made, Events(root / "events.jsonl"), spread=spread)


def fill(root, spread, count, wait=None):
    """Items that wait for a file, or that kill or fail whoever finds a file of their name."""

    def make(indexes):
        for index in indexes:
            if wait:  # The job's process makes nothing before another has tried.
                _await(root / "tried")
            if (root / f"fails-{index}").exists() and os.getpid() != int((root / "job").read_text()):
                (root / "tried").touch()
                raise ValueError(f"item {index} cannot be read")
            kills = root / f"kills-{index}"
            if kills.exists() and os.getpid() != int((root / "job").read_text()):
                (root / "tried").touch()
                left = int(kills.read_text()) - 1
                if left < 0:
                    yield Made(value=index)
                    continue
                kills.write_text(str(left))
                os.kill(os.getpid(), signal.SIGKILL)
            yield Made(value=index)

    return [each.value for each in memo(root, spread).fill(list(range(count)), make)]


def _await(path):
    end = time.monotonic() + 90
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def follow(root, count, member):
    member.follow(lambda: fill(root, member, count))


@pytest.fixture(scope="module")
def cluster():
    with ray_head.ray_head(gpus=2) as head, pytest.MonkeyPatch.context() as patch:
        for name, value in head.environ.items():
            patch.setenv(name, value)
        import ray  # It reads its environment once.

        path = os.pathsep.join([str(Path(__file__).parents[2]), str(Path(__file__).parent)])
        ray.init(address=head.cluster, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
        yield head
        ray.shutdown()


@pytest.fixture
def root(tmp_path):
    (tmp_path / "job").write_text(str(os.getpid()))
    return tmp_path


@pytest.mark.skipif(ALONE in os.environ, reason="is what runs these")
def test_items_over_a_real_cluster():
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", __file__)
    done = subprocess.run(command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout


@in_a_process_of_its_own
def test_an_item_whose_process_was_killed_is_made_by_another(cluster, root):
    for index in range(2):
        (root / f"kills-{index}").write_text("1")
    with over_cluster(partial(follow, root, 2), most=1) as spread:
        assert fill(root, spread, 2, wait=True) == [0, 1]
    assert (root / "tried").exists()
    assert memo(root).find(0) == Made(value=0)


@in_a_process_of_its_own
def test_an_item_that_kills_every_process_is_named(cluster, root):
    for index in range(2):
        (root / f"kills-{index}").write_text("9")
    with (
        over_cluster(partial(follow, root, 2), most=1) as spread,
        pytest.raises(RuntimeError, match=f"item [12] of 2: {TRIES} processes died"),
    ):
        fill(root, spread, 2, wait=True)


@in_a_process_of_its_own
def test_what_a_step_raises_elsewhere_is_raised_as_itself(cluster, root):
    for index in range(2):
        (root / f"fails-{index}").touch()
    with (
        over_cluster(partial(follow, root, 2), most=1) as spread,
        pytest.raises(ValueError, match="cannot be read"),
    ):
        fill(root, spread, 2, wait=True)


def test_the_job_leaves_what_killed_a_member_to_the_members():
    batches = _Batches(deque([("a",), ("b",)]), kept=lambda name: None, members=1)
    batches.take(is_own=False)
    batches.lost(["a"], str)
    assert batches.take(is_own=True) == ("b",)
    batches.left()
    assert batches.take(is_own=True) == ("a",)


def test_a_member_goes_on_to_the_items_that_are_asked_for(tmp_path):
    member = Member()

    def step():
        fill(tmp_path, member, 2)
        fill(tmp_path, member, 3)

    (tmp_path / "job").write_text(str(os.getpid()))
    fill(tmp_path, None, 2)
    threading.Thread(target=member.follow, args=(step,), daemon=True).start()
    seen = []

    class Asking:
        is_making = False

        def fill(self, filling):
            seen.append(filling.lacking)
            for name in member.made((filling.identity, tuple(filling.lacking))):
                filling.kept(name)

    assert fill(tmp_path, Asking(), 3) == [0, 1, 2]
    assert len(seen[0]) == 1
