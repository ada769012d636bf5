"""The next batches are made while the GPU works on this one."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

K = TypeVar("K")
T = TypeVar("T")


def ahead(make: Callable[[K], T], keys: Iterable[K], *, threads: int = 2, depth: int = 4) -> Iterator[T]:
    """`make(key)` for each key, in order, at most `depth` of them made before they are asked for.

    An error of `make` is raised where its result would have come. Closing ends the threads.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="loading")
    waiting: deque[Future[T]] = deque()
    try:
        for key in keys:
            waiting.append(pool.submit(make, key))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def read(path: Path) -> dict[str, Any]:
    """The tensors of a `.pt` file (a dict, nothing executable) or of a safetensors file, whatever it is called.

    Raises ValueError where it is neither.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with path.open("rb") as stream:
        is_zip = stream.read(4) == b"PK\x03\x04"  # What torch.save writes.
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True, mmap=True) if is_zip else load_file(path)
    except (SafetensorError, RuntimeError) as error:
        raise ValueError(
            f"{path} holds no tensors ({error}): `dailies store verify --repair`, then run again"
        ) from None
    return found


def to(device: torch.device, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On their way to the device, while the CPU goes on."""
    return {name: tensor.to(device, non_blocking=True) for name, tensor in tensors.items()}


def pinned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In memory from which a GPU can fetch them by itself; as they are where there is no GPU."""
    if not torch.cuda.is_available():
        return dict(tensors)
    return {name: tensor.pin_memory() for name, tensor in tensors.items()}
