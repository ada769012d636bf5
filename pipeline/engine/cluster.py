"""The Ray cluster that a job's process belongs to: joining it, and what it starts on each GPU."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pipeline.engine.fingerprint import Digest
from pipeline.engine.spread import Call, Member, Spread

JOIN_SECONDS = 90.0
"""A cluster that takes no process in by then is given up; a busy machine needs some ten seconds."""


class ClusterError(ValueError):
    """The cluster that a job runs on takes no members."""


class _Actor:
    """What Ray starts on a GPU: the step, in a thread beside the calls."""

    def __init__(self, follow: Callable[[Member], None]) -> None:
        self._member = Member()
        threading.Thread(target=follow, args=(self._member,), daemon=True).start()

    def ready(self) -> bool:
        return True

    def made(self, call: Call) -> Iterator[Digest]:
        yield from self._member.made(call)


def _join() -> None:
    """Join the cluster that this process belongs to. Raises ClusterError, also where Ray does not answer for ever."""
    import ray

    raised: list[BaseException] = []

    def init() -> None:
        try:
            ray.init(log_to_driver=True)
        except BaseException as error:  # Of many kinds, by what is wrong there.
            raised.append(error)

    # In a thread: Ray itself tries an address that nobody answers for more than ten minutes.
    thread = threading.Thread(target=init, daemon=True)
    thread.start()
    thread.join(JOIN_SECONDS)
    if not (raised or thread.is_alive()):
        return
    error = raised[0] if raised else TimeoutError(f"no answer in {JOIN_SECONDS:g} s")
    said = (str(error).strip() or type(error).__name__).splitlines()[0]
    raise ClusterError(f"Ray takes no processes of this job ({said}): is it up, and of this version?") from error


@contextmanager
def over_cluster(follow: Callable[[Member], None], most: int | None = None) -> Iterator[Spread]:
    """A Spread over the GPUs that are free in the cluster that this process belongs to; `follow` runs the step for a
    member, and must travel by pickle.
    """
    import ray

    if not ray.is_initialized():
        ends = signal.getsignal(signal.SIGTERM)
        _join()
        signal.signal(signal.SIGTERM, ends)  # Ray sets its own, and a job says itself how it ends.
    remote: Any = ray.remote
    resources: Any = ray.available_resources
    kind = remote(num_gpus=1, num_cpus=0)(_Actor)
    spread = Spread(lambda: kind.remote(follow), lambda: int(resources().get("GPU", 0)), most)
    try:
        yield spread
    finally:
        spread.close()
