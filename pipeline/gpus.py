"""The graphics cards of this machine, asked of NVIDIA's driver; without one there are none, and a reason."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Gpu:
    """A card as it is now. `use` is the share of the last moment in which it worked, 0 to 1, None where not told."""

    index: int
    name: str
    memory_bytes: int
    used_bytes: int
    use: float | None
    watts: float | None
    celsius: float | None
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """The cards that are there, or `why` none could be found."""

    gpus: tuple[Gpu, ...]
    why: str = ""


def here() -> Found:
    """All cards of this machine as they are now."""
    import pynvml  # type: ignore[import-untyped]

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Found((), f"no NVIDIA driver answers ({error})")
    try:
        return Found(tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())))
    finally:
        pynvml.nvmlShutdown()


@lru_cache(maxsize=1)
def name() -> str:
    """The name of this machine's first card, "" without one. It is what measured times belong to."""
    found = here().gpus
    return found[0].name if found else ""


def _gpu(api: Any, index: int) -> Gpu:
    """What one card tells; some (laptops', slices of one) keep a figure to themselves, which is then None."""
    handle = api.nvmlDeviceGetHandleByIndex(index)

    def told(ask: Any, *more: Any) -> Any:
        try:
            return ask(handle, *more)
        except api.NVMLError:
            return None

    memory = told(api.nvmlDeviceGetMemoryInfo)
    rates = told(api.nvmlDeviceGetUtilizationRates)
    power = told(api.nvmlDeviceGetPowerUsage)
    return Gpu(
        index=index,
        name=str(api.nvmlDeviceGetName(handle)),
        memory_bytes=int(memory.total) if memory else 0,
        used_bytes=int(memory.used) if memory else 0,
        use=rates.gpu / 100 if rates else None,
        watts=power / 1000 if power is not None else None,
        celsius=told(api.nvmlDeviceGetTemperature, api.NVML_TEMPERATURE_GPU),
        pids=tuple(each.pid for each in told(api.nvmlDeviceGetComputeRunningProcesses) or ()),
    )
