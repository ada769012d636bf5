"""Several GPUs of one host: a process for each, of which the first is the one that the step runs in.

Only the first tells, keeps and samples. The others do what it does, on their share of each step's batches.
"""

import os
import socket
import traceback
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

PATIENCE = timedelta(hours=3)
"""For the others, while the first one makes samples."""


@dataclass
class World:
    """One of `size` processes. Words go over the CPU, so that nobody waits for a GPU to exchange them."""

    rank: int = 0
    size: int = 1
    accelerator: Any = None
    words: Any = None

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        return torch.device("cuda", self.rank) if torch.cuda.is_available() else torch.device("cpu")

    def share(self, items: "list[T]") -> "list[T]":
        """Those of `items` that this process does."""
        return items[self.rank :: self.size]

    def gathered(self, mine: T) -> list[T]:
        """What each process has, in the order of their ranks."""
        if self.size == 1:
            return [mine]
        found: list[T] = [mine] * self.size
        torch.distributed.all_gather_object(found, mine, group=self.words)
        return found

    def told(self, word: T) -> T:
        """What the first process says, whatever the others hold for it."""
        if self.size == 1:
            return word
        box = [word]
        torch.distributed.broadcast_object_list(box, group=self.words)
        return box[0]

    def joined(self, model: nn.Module, *, is_mixed: bool = False) -> nn.Module:
        """`model` with its gradients averaged over all processes. The frozen base is the same in each already.

        `is_mixed` says that some batches leave parameters out, which then have to be looked for each time.
        """
        if self.size == 1:
            return model
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        others = [name for name in tensors if name not in trained]
        # So that it does not send the base, some formats of which it cannot send.
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, others)  # type: ignore[no-untyped-call]
        self.accelerator.ddp_handler.find_unused_parameters = is_mixed
        prepared: nn.Module = self.accelerator.prepare_model(model, device_placement=False)
        return prepared

    def alone(self, model: nn.Module) -> AbstractContextManager[None]:
        """Backward passes in which gradients are gathered by this process only, to be averaged later."""
        return model.no_sync() if self.size > 1 else nullcontext()  # type: ignore[operator]


@contextmanager
def together(size: int, follow: Callable[[World], object]) -> Iterator[World]:
    """The first of `size` processes, which is this one; the others, started for the length of the `with`, run `follow`.

    `follow` must pickle. What another process fails with is raised here, as ValueError where it is one. Raises
    ValueError where the host has fewer GPUs.
    """
    if size == 1:
        yield World()
        return
    if torch.cuda.is_available() and torch.cuda.device_count() < size:
        raise ValueError(f"gpus = {size}, but this host has {torch.cuda.device_count()}: set gpus to that")
    context = torch.multiprocessing.get_context("spawn")
    port = _free_port()
    ends = [context.Pipe(duplex=False) for _ in range(1, size)]
    others = [
        context.Process(target=_other, args=(rank, size, port, follow, end[1]), daemon=True)
        for rank, end in enumerate(ends, start=1)
    ]
    for other, end in zip(others, ends, strict=True):
        other.start()
        end[1].close()
    try:
        with _world(0, size, port) as world:
            yield world
    except Exception as error:
        if isinstance(error, ValueError):
            raise
        for other, (receiver, _) in zip(others, ends, strict=True):
            other.join(5)  # One that failed says so; one that only waits for this process does not.
            if receiver.poll() and (said := _received(receiver)) is not None:
                raise said from error
        raise
    finally:
        for other in others:
            other.join(0.1)
            if other.is_alive():
                other.kill()
            other.join()


def _received(receiver: Connection) -> Exception | None:
    try:
        kind, message = receiver.recv()
    except EOFError:
        return None
    return ValueError(message) if kind == "ValueError" else RuntimeError(f"{kind}: {message}")


def _other(rank: int, size: int, port: int, follow: Callable[[World], object], sender: Connection) -> None:
    try:
        with _world(rank, size, port) as world:
            follow(world)
    except Exception as error:
        traceback.print_exc()
        sender.send((type(error).__name__, str(error)))


@contextmanager
def _world(rank: int, size: int, port: int) -> Iterator[World]:
    """Accelerate reads who it is from the environment, which is as it was afterwards."""
    from accelerate import Accelerator  # type: ignore[import-untyped]
    from accelerate.state import AcceleratorState  # type: ignore[import-untyped]
    from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs  # type: ignore[import-untyped]

    who = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_PORT": port}
    threads = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, torch.get_num_threads() // size)))}
    before = dict(os.environ)
    os.environ.update({**{name: str(value) for name, value in who.items()}, "MASTER_ADDR": "127.0.0.1", **threads})
    try:
        accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            kwargs_handlers=[
                DistributedDataParallelKwargs(gradient_as_bucket_view=True),
                InitProcessGroupKwargs(timeout=PATIENCE),
            ],
        )
        if torch.cuda.is_available():
            torch.cuda.set_device(rank)
        words = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
        yield World(rank, size, accelerator, words)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        AcceleratorState._reset_state(reset_partial_state=True)
        os.environ.clear()
        os.environ.update(before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
