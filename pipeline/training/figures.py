"""The figures of each step as they become known: a step late, so that the GPU is never waited for."""

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor

from pipeline.schemas.training import Metric
from pipeline.training.hands import Hands
from pipeline.training.processes import World
from pipeline.training.task import Drawn
from pipeline.training.watching import Reading, Seen, Watch, by_band


class Figures:
    """`log` gets a line of JSON for each step; `watch` raises where the losses are not what they should be."""

    def __init__(self, world: World, hands: Hands | None, log: list[str], watch: Watch) -> None:
        self.world, self.hands, self.log, self.watch = world, hands, log, watch
        self._pending: tuple[Metric, list[Drawn], Reading, float | None] | None = None
        self.begin()

    def begin(self) -> None:
        """Time runs from here: what was done since the last step is none of the next one's."""
        self._clock = time.monotonic()

    def add(self, metric: Metric, losses: Sequence[tuple[Drawn, Tensor]], norm: Tensor) -> None:
        """A step that was done: `metric` without what the device has yet to give, which is the losses of each batch's
        samples, (B,), and the gradient's `norm`. The step before it is told.
        """
        reading = Reading(torch.cat([*(losses_B for _, losses_B in losses), norm.reshape(1).float()]))
        # A GPU is still at it, and is waited for in `look`; on a CPU the step is done by now.
        done = None if self.world.device.type == "cuda" else time.monotonic()
        self.look()
        self._pending = metric, [batch for batch, _ in losses], reading, done

    def look(self) -> None:
        """Tell the last step that was done. All processes do so at the same places."""
        if self._pending is None:
            return
        metric, batches, reading, done = self._pending
        self._pending = None
        *losses, norm = reading.values()
        named = [pair for batch in batches for pair in zip(batch.samples, batch.sigmas, strict=True)]
        mine = [Seen(sample, sigma, loss) for (sample, sigma), loss in zip(named, losses, strict=True)]
        gathered = self.world.gathered(mine)
        if self.hands is None:
            return
        seen = [each for some in gathered for each in some]
        done = done or time.monotonic()
        seconds, self._clock = done - self._clock, done
        metric = metric.model_copy(
            update={
                "loss": sum(each.loss for each in seen) / len(seen),
                "grad_norm": norm,
                "step_seconds": round(seconds, 4),
                "bands": by_band(seen),
                **of_gpu(self.world.device),
            }
        )
        self.hands.tell(metric)
        self.log.append(metric.model_dump_json())
        self.watch.see(metric.step, seen, norm)


def of_gpu(device: torch.device) -> dict[str, Any]:
    """Memory and use, by the names that `Metric` has; nothing of a CPU. Of a slice of a card, say, or of some virtual
    ones the driver does not tell the use: no training ends for that.
    """
    if device.type != "cuda":
        return {}
    import pynvml  # type: ignore[import-untyped]

    found: dict[str, Any] = {"gpu_memory_bytes": torch.cuda.max_memory_reserved(device)}
    with suppress(pynvml.NVMLError):
        found["gpu_use_percent"] = float(torch.cuda.utilization(device))
    return found
