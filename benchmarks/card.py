"""What a GPU (or, small, the processor) does at best, and models made on it: what every benchmark of models needs."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import torch


def name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def matmul_rate(device: str) -> float:
    """FLOP/s of a large bf16 product on random data (fp32 without a GPU)."""
    side = 8192 if device == "cuda" else 512
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def ten() -> None:
        for _ in range(10):
            one @ other

    ten()
    return 10 * 2 * side**3 / statistics.median(seconds(ten, device) for _ in range(5))


def copy_rate(device: str) -> float:
    """Bytes a second that a large copy reads and writes, both counted."""
    source = torch.randn(2**30 // 4 if device == "cuda" else 2**24 // 4, device=device)
    target = torch.empty_like(source)

    def ten() -> None:
        for _ in range(10):
            target.copy_(source)

    ten()
    return 10 * 2 * source.nbytes / statistics.median(seconds(ten, device) for _ in range(5))


def seconds(run: Callable[[], object], device: str) -> float:
    done(device)
    start = time.perf_counter()
    run()
    done(device)
    return time.perf_counter() - start


def done(device: str) -> None:
    """Returns when the GPU has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


@contextlib.contextmanager
def made_on(device: str, dtype: torch.dtype) -> Iterator[None]:
    """Models made meanwhile are of this type and on the device, without a copy elsewhere."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)
