"""One step's items on all GPUs of a Ray cluster.

Every member, one process with one GPU, runs the step itself on the host's store, up to the items that are being made:
so it has its own models, loaded once, and nothing of a step has to travel but the job. The job's own process is a
member too; it hands out batches, one at a time to each, so that nobody waits behind a slow one. A member keeps each
item in the store as it is made; when it dies, what it did not finish goes to another one.
"""

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.engine.fingerprint import Digest
from pipeline.engine.memo import Filling

TRIES = 3
"""So often an item is begun by members that die of it, or with it."""

START_SECONDS = 300.0
"""A member that is not up by then is done without: somebody else may have taken its GPU."""

IDLE_SECONDS = 30.0
"""Members whose step does something else for so long (a training, say) give their GPUs back."""


Call = tuple[str, tuple[Digest, ...]]
"""Which items are being made, and the names of those that a member is to make."""


@dataclass(slots=True)
class Member:
    """A member's side: the step waits in `fill` for its batches, and goes on when the job's process has gone on."""

    calls: "queue.Queue[Call]" = field(default_factory=queue.Queue)
    told: "queue.Queue[Digest | BaseException | None]" = field(default_factory=queue.Queue)
    is_making: bool = False
    _ahead: Call | None = None

    def fill(self, filling: Filling) -> None:
        """Make what is asked of these items, until other ones are asked for."""
        while True:
            call = self._ahead or self.calls.get()
            self._ahead = None
            if call[0] != filling.identity:
                self._ahead = call
                return
            self.is_making = True
            try:
                for name in filling.make(call[1]):
                    self.told.put(name)
                self.told.put(None)
            except BaseException as error:
                self.told.put(error)
            finally:
                self.is_making = False

    def follow(self, step: Callable[[], object]) -> None:
        """Run the step; it never ends as long as items of its are asked for."""
        try:
            step()
            error: BaseException = RuntimeError("two runs of this step differ in the items that they are made of")
        except BaseException as raised:
            error = raised
        while True:
            self.told.put(error)
            self.calls.get()

    def made(self, call: Call) -> Iterator[Digest]:
        """Names as they are made. Raises what the step raised."""
        self.calls.put(call)
        while (told := self.told.get()) is not None:
            if isinstance(told, BaseException):
                raise told
            yield told


@dataclass(slots=True)
class _Batches:
    """Batches that are still to be made: who takes them, and what became of them."""

    waiting: deque[tuple[Digest, ...]]
    kept: Callable[[Digest], None]
    changed: threading.Condition = field(default_factory=threading.Condition)
    tries: dict[Digest, int] = field(default_factory=dict)
    running: int = 0
    members: int = 0
    failure: BaseException | None = None

    def take(self, *, is_own: bool) -> tuple[Digest, ...] | None:
        """The next batch; None when all are made or one failed. What a member died of, the job's process leaves to
        other members as long as there are any: with it the job would end.
        """
        with self.changed:
            while self.failure is None and (self.waiting or self.running):
                for batch in self.waiting:
                    if not (is_own and self.members and any(name in self.tries for name in batch)):
                        self.waiting.remove(batch)
                        self.running += 1
                        return batch
                self.changed.wait()
            return None

    def tell(self, name: Digest) -> None:
        with self.changed:
            self.kept(name)

    def end(self, failure: BaseException | None = None) -> None:
        """A batch is made, or its failure is everybody's."""
        with self.changed:
            self.running -= 1
            self.failure = self.failure or failure
            self.changed.notify_all()

    def lost(self, left: Sequence[Digest], describe: Callable[[Digest], str]) -> None:
        """Whoever made these has died: the first of them was in its hands, and each goes alone from now on."""
        with self.changed:
            self.running -= 1
            if left:
                self.tries[left[0]] = self.tries.get(left[0], 0) + 1
                if self.tries[left[0]] >= TRIES:
                    self.failure = self.failure or RuntimeError(
                        f"{describe(left[0])}: {TRIES} processes died making it (out of memory?); all other finished"
                        " items are kept, run again"
                    )
                self.waiting.extend((name,) for name in left)
            self.changed.notify_all()

    def put_back(self, batch: tuple[Digest, ...]) -> None:
        """Nobody began it."""
        with self.changed:
            self.running -= 1
            self.waiting.appendleft(batch)
            self.changed.notify_all()

    def left(self) -> None:
        """A member is no more."""
        with self.changed:
            self.members -= 1
            self.changed.notify_all()


@dataclass(slots=True)
class Spread:
    """The job's side. `start` starts a member and gives its actor; `free` says how many could be started now.

    There are `most` members at most, besides the job's own process.
    """

    start: Callable[[], Any]
    free: Callable[[], int]
    most: int | None = None
    is_making: bool = False
    _actors: list[Any] = field(default_factory=list)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _idle: threading.Timer | None = None

    def fill(self, filling: Filling) -> None:
        """Have all that is lacking made. Raises what a step raised, or RuntimeError naming an item that kills."""
        if len(filling.lacking) < 2:
            for name in filling.make(filling.lacking):
                filling.kept(name)
            return
        if self._idle is not None:
            self._idle.cancel()
        with self._guard:
            count = min(len(self._actors) + self.free(), len(filling.lacking) - 1)
        if self.most is not None:
            count = min(count, self.most)
        share = -(-len(filling.lacking) // (count + 1))
        size = min(filling.batch, share)
        batches = _Batches(deque(_batched(filling.lacking, size)), filling.kept, members=count)
        threads = [threading.Thread(target=self._serve, args=(batches, filling), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        self.is_making = True
        try:
            while (batch := batches.take(is_own=True)) is not None:
                for name in filling.make(batch):
                    batches.tell(name)
                    if batches.failure is not None:
                        break
                batches.end()
        except BaseException as error:
            batches.end(error)
            raise
        finally:
            self.is_making = False
        if batches.failure is not None:
            raise batches.failure
        for thread in threads:
            thread.join()
        self._idle = threading.Timer(IDLE_SECONDS, self.close)
        self._idle.daemon = True
        self._idle.start()

    def _serve(self, batches: _Batches, filling: Filling) -> None:
        """Give one member its batches; another takes its place when it dies."""
        from ray.exceptions import RayError

        actor: Any = None
        try:
            while (batch := batches.take(is_own=False)) is not None:
                left = list(batch)
                try:
                    actor = actor or self._member()
                    for name in _names(actor, (filling.identity, batch)):
                        left.remove(name)
                        batches.tell(name)
                    batches.end()
                except TimeoutError:  # No GPU for it any more: others make what it was to make.
                    batches.put_back(batch)
                    return
                except RayError as error:
                    cause = getattr(error, "cause", None)
                    if isinstance(cause, BaseException):
                        batches.end(cause)
                        return
                    actor = None
                    batches.lost(left, filling.describe)
        except BaseException as error:
            batches.end(error)
        finally:
            if actor is not None:
                with self._guard:
                    self._actors.append(actor)
            batches.left()

    def _member(self) -> Any:
        import ray
        from ray.exceptions import GetTimeoutError

        with self._guard:
            if self._actors:
                return self._actors.pop()
        actor = self.start()
        try:
            ray.get(actor.ready.remote(), timeout=START_SECONDS)
        except GetTimeoutError as error:
            ray.kill(actor)
            raise TimeoutError("no GPU became free") from error
        return actor

    def close(self) -> None:
        """End the members that wait."""
        import ray

        if self._idle is not None:
            self._idle.cancel()
        with self._guard:
            for actor in self._actors:
                ray.kill(actor)
            self._actors.clear()


def _names(actor: Any, call: Call) -> Iterator[Digest]:
    import ray

    for reference in actor.made.options(num_returns="streaming").remote(call):
        yield ray.get(reference)


def _batched(names: Iterable[Digest], size: int) -> Iterator[tuple[Digest, ...]]:
    rest = iter(names)
    while chunk := tuple(itertools.islice(rest, size)):
        yield chunk
