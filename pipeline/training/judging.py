"""What is judged between steps: by the clips held out, and by samples that people look at."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pipeline.engine.work import StoppedError
from pipeline.schemas.training import HoldoutLoss
from pipeline.training import holdout, loading, lora, sharding
from pipeline.training.hands import Hands
from pipeline.training.processes import World
from pipeline.training.task import Drawn, Task
from pipeline.training.training_config import TrainingConfig
from pipeline.training.watching import Seen, by_band


@dataclass
class Judging:
    """`transformer` bears the LoRA; `average` is what is judged instead of it, where there is one. `make_room` frees
    what training holds on the device for its next step. Nothing here changes what training does afterwards.
    """

    config: TrainingConfig
    task: Task
    world: World
    hands: Hands | None
    transformer: Any
    average: lora.Average | None
    is_sharded: bool
    make_room: Callable[[], None]
    stopping: threading.Event | None
    _failed: set[tuple[int, int]] = field(default_factory=set)

    def final(self) -> AbstractContextManager[None]:
        """The LoRA as it is given away: its average, where one is kept."""
        return self.average.in_place() if self.average else nullcontext()

    @torch.no_grad()
    def judge(self, step: int) -> None:
        """Loss on the clips held out. All processes share the work."""
        known = self.hands.shelf.judged(step) if self.hands else None
        if not self.task.held_out or self.world.told(known is not None):
            return
        found: list[tuple[str, float, Tensor]] = []
        self.make_room()
        self.transformer.eval()
        with self.final():
            for asked in self._questions():
                self._end_if_asked(step)
                drawn = self.task.question(asked.index, asked.sigma, asked.generator())
                tensors = loading.to(self.world.device, drawn.tensors)
                losses_B = self.task.losses(self.transformer, Drawn(drawn.samples, drawn.sigmas, tensors, drawn.shape))
                found.append((asked.sample, asked.sigma, losses_B))
        self.transformer.train()
        mine = [Seen(sample, sigma, float(losses_B.mean())) for sample, sigma, losses_B in found]
        gathered = self.world.gathered(mine)
        seen = list({(each.sample, each.sigma): each for some in gathered for each in some}.values())
        if self.hands:
            loss = sum(each.loss for each in seen) / len(seen)
            self.hands.tell(self.hands.shelf.judge(HoldoutLoss(step=step, loss=loss, bands=by_band(seen))))

    def _questions(self) -> list[holdout.Question]:
        """This process's. Where all must call the model together, some are asked twice, so that all have as many."""
        asked = list(holdout.questions(self.task.held_out, self.config.holdout_sigmas))
        lacking = -len(asked) % self.world.size if self.is_sharded else 0
        return self.world.share([*asked, *asked[:1] * lacking])

    def sample(self, step: int) -> None:
        """Videos of all prompts that were not made yet at this step. Whatever they draw, training draws anew, and where
        one cannot be made, training goes on without it.
        """
        if self.hands is None:
            if self.is_sharded:
                sharding.followed(self.transformer, self.world)
            return
        with sharding.led(self.transformer, self.world) if self.is_sharded else nullcontext():
            self._sample_by_itself(self.hands, step)

    def _sample_by_itself(self, hands: Hands, step: int) -> None:
        if hands.sample is None:
            return
        shelf = hands.shelf
        prompts = range(len(shelf.prompts))
        missing = [each for each in prompts if (step, each) not in self._failed and shelf.sampled(step, each) is None]
        if missing:
            self.make_room()
        for prompt in missing:
            self._end_if_asked(step)
            self.transformer.eval()
            try:
                with self.final(), torch.no_grad():
                    made = hands.sample(self.transformer, prompt, step)
            except Exception as error:
                self._failed.add((step, prompt))
                failed = f"{type(error).__name__}: {error}"
                hands.work.log(f"step {step}: no sample of prompt {prompt}, for it failed: {failed}")
            else:
                hands.tell(shelf.sample(made))
        self.transformer.train()

    def _end_if_asked(self, step: int) -> None:
        """While something long goes on that no checkpoint waits for."""
        if self.stopping is not None and self.stopping.is_set():
            raise StoppedError(f"stopped at step {step} as was asked; run again to go on from there")
