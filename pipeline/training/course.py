"""What every training does besides its maths: begin or go on, keep, watch, judge, sample, end.

course = Course(...)
for step in course.steps():
    for batch in course.batches(step):
        course.backward(batch, losses)  # losses(model, batch), of each sample
    course.update(step)
trained = course.trained
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pipeline.engine.work import StoppedError
from pipeline.schemas.training import Checkpoint, Metric, Resumed, Usage
from pipeline.training import graphs, loading, lora, sharding, speed
from pipeline.training.batches import Order
from pipeline.training.checkpoints import State
from pipeline.training.copies import Copies
from pipeline.training.figures import Figures
from pipeline.training.hands import Hands, Trained
from pipeline.training.judging import Judging
from pipeline.training.processes import World
from pipeline.training.randomness import generator, seed_of
from pipeline.training.schedules import factor, set_rate
from pipeline.training.task import Drawn, Task
from pipeline.training.training_config import TrainingConfig
from pipeline.training.watching import Watch


class Course:
    """`transformer` bears the LoRA, `parameters` are its trainable ones by name; `model` is what the loop calls.
    `is_mixed` says that some batches leave a part of the LoRA out, `is_sharded` that each process is to hold a part of
    the base, `by_graphs` that steps are launched as CUDA graphs.
    """

    trained: Trained | None = None

    def __init__(
        self,
        config: TrainingConfig,
        task: Task,
        world: World,
        hands: Hands | None,
        *,
        transformer: Any,
        parameters: dict[str, nn.Parameter],
        optimizer: Optimizer,
        is_mixed: bool = False,
        is_sharded: bool = False,
        by_graphs: bool = False,
    ) -> None:
        self.config, self.task, self.world, self.hands = config, task, world, hands
        self.transformer, self.optimizer, self.is_sharded = transformer, optimizer, is_sharded
        self.parameters = list(parameters.values())
        self.order = Order(task.shapes, config.batch_size, config.accumulation, config.seed)
        average = lora.Average(self.parameters, config.ema) if config.ema else None
        self.state = State(parameters, optimizer, average)
        self.figures = Figures(world, hands, self.state.log, Watch(config.spike))
        transformer.train()
        joined = sharding.shard(transformer, world) if is_sharded else world.joined(transformer, is_mixed=is_mixed)
        self.model: nn.Module = joined
        self.graphs = graphs.Graphs(self.parameters, self.log, graphs.CudaGraph.of) if by_graphs else None
        self.copies = Copies(transformer, speed.dtype(transformer)) if by_graphs else None
        self.stopping = hands.work.graceful() if hands else None
        self.judging = Judging(
            config, task, world, hands, transformer, average, is_sharded, self._make_room, self.stopping
        )
        self._batches: Iterator[tuple[int, Drawn]] = iter(())
        self._losses: list[tuple[Drawn, Tensor]] = []

    def log(self, words: str) -> None:
        """One line for people, of the first process."""
        if self.hands and words:
            self.hands.work.log(words)

    # The loop's own four.

    def steps(self) -> Iterator[int]:
        """The steps that are left. Raises StoppedError where the job is to end, with a checkpoint kept."""
        try:
            yield from self._steps()
        finally:
            if self.hands:
                self.hands.close()

    def _steps(self) -> Iterator[int]:
        done = self._begin()
        self._batches = loading.ahead(self._draw, self._mine(done + 1))
        try:
            while done < self.config.steps:
                done += 1
                yield done
                self._after(done)
        finally:
            self._batches.close()  # type: ignore[attr-defined]
        self._end()

    def batches(self, step: int) -> Iterator[Drawn]:
        """This process's batches of `step`, on the device."""
        mine = self.config.accumulation // self.world.size
        self._losses = []
        for number in range(1, mine + 1):
            _, drawn = next(self._batches)
            tensors = loading.to(self.world.device, drawn.tensors)
            with self.world.alone(self.model) if number < mine and not self.is_sharded else nullcontext():
                # For what draws inside the model (dropout): the same again after a kill.
                torch.manual_seed(seed_of(self.config.seed, "model", step, self.world.rank + number * self.world.size))
                yield replace(drawn, tensors=tensors)

    def backward(self, batch: Drawn, losses: Callable[[nn.Module, Drawn], Tensor]) -> None:
        """Each sample of a step weighs the same, whichever batch and process it is in."""

        def run(tensors: Mapping[str, Tensor]) -> Tensor:
            with self.copies.in_use() if self.copies else nullcontext():
                losses_B = losses(self.model, replace(batch, tensors=dict(tensors)))
                (losses_B.sum() * (batch.share * self.world.size)).backward()  # type: ignore[no-untyped-call]
            return losses_B.detach()

        kind = (batch.shape, batch.share)
        losses_B = self.graphs.run(kind, batch.tensors, run) if self.graphs else run(batch.tensors)
        self._losses.append((batch, losses_B))

    def update(self, step: int) -> None:
        config = self.config
        rate = config.learning_rate * factor(config.schedule, step, warmup=config.warmup, steps=config.steps)
        set_rate(self.optimizer, rate)
        if self.is_sharded:
            sharding.average(self.parameters, self.world)
        norm = nn.utils.clip_grad_norm_(self.parameters, config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=self.graphs is None)
        if self.state.average:
            self.state.average.update(step)
        tokens = sum(self.task.tokens[index] for batch in self.order.step(step) for index in batch)
        metric = Metric(
            step=step, of=config.steps, loss=0, lr=rate, grad_norm=0, step_seconds=0, tokens=tokens,
            epoch=round(self.order.epochs(step), 4),
        )  # fmt: skip
        self.figures.add(metric, self._losses, norm)

    # Data.

    def _mine(self, first: int) -> Iterator[tuple[int, int]]:
        """(step, place in the step) of all batches that this process is to do from step `first` on."""
        for step in range(first, self.config.steps + 1):
            for place in self.world.share(list(range(self.config.accumulation))):
                yield step, place

    def _draw(self, key: tuple[int, int]) -> tuple[int, Drawn]:
        step, place = key
        batches = self.order.step(step)
        generators = [generator(self.config.seed, "sample", step, place, at) for at in range(len(batches[place]))]
        drawn = self.task.draw(batches[place], generators)
        share = 1 / sum(len(batch) for batch in batches)
        return step, replace(drawn, tensors=loading.pinned(drawn.tensors), share=share)

    # Around the loop.

    def _begin(self) -> int:
        """Step 0, or that of the newest checkpoint. Until that is loaded, the LoRA adds nothing: the base model."""
        found = self.hands.shelf.newest(self.config.steps) if self.hands else None
        path = self.hands.work.open(found.state) if self.hands and found else None
        step, path = self.world.told((found.step if found else 0, path))
        self.judging.judge(0)
        self.judging.sample(0)
        if path is not None:
            self.state.load(path)
            if self.hands:
                self.hands.tell(Resumed(step=step))
        if self.hands:
            self.hands.work.events.emit("items", done=step, total=self.config.steps)
        self.figures.begin()
        return step

    def _after(self, step: int) -> None:
        """What is due after `step`. All processes do the same, so the first says what people asked."""
        config, is_last = self.config, step == self.config.steps
        asked = self.hands.work.asked() if self.hands else []
        must_stop, asked = self.world.told((self.stopping is not None and self.stopping.is_set(), asked))
        is_due = is_last or step % config.checkpoint_every == 0
        samples = is_last or "sample" in asked or bool(config.sample_every and step % config.sample_every == 0)
        if must_stop or is_due or samples or "save" in asked:
            self.figures.look()  # A checkpoint is never made of a step that was not looked at.
            self._keep(step)
        if must_stop:
            raise StoppedError(f"stopped at step {step} as was asked; run again to go on from there")
        if is_due:
            self.judging.judge(step)
        if samples:
            self.judging.sample(step)
        if self.hands:
            self.hands.work.events.emit("items", done=step, total=config.steps)
        if is_due or samples:
            self.figures.begin()

    def _keep(self, step: int) -> None:
        if self.hands is None or self.hands.shelf.checkpoint(step):
            return
        work = self.hands.work
        weights, state = (work.scratch / f"{name}-{step}" for name in ("weights", "state"))
        with self.judging.final():
            self.hands.save(lora.state(self.transformer), step, weights)
        self.state.save(state)
        checkpoint = Checkpoint(
            step=step,
            weights=work.keep(weights, f"checkpoints/step_{step:05d}.safetensors"),
            state=work.keep(state, f"checkpoints/step_{step:05d}_state.pt"),
        )
        self.hands.tell(self.hands.shelf.keep(checkpoint))

    def _make_room(self) -> None:
        """On the device, for what is no training."""
        if self.graphs:
            self.graphs.release()

    def _end(self) -> None:
        """Judge what was kept between, and choose."""
        steps = self.config.steps
        self.judging.judge(steps)
        self.judging.sample(steps)
        log = list(self.state.log)  # Of the last step: a checkpoint that is judged below brings its own.
        kept = list(self.hands.shelf.checkpoints(steps)) if self.hands else []
        unjudged = [
            each for each in kept if self.hands and self.task.held_out and not self.hands.shelf.judged(each.step)
        ]
        places = [(each.step, self.hands.work.open(each.state)) for each in unjudged if self.hands]
        for step, path in self.world.told(places):
            self.state.load(path)
            self.judging.judge(step)
        if self.hands:
            self.trained = self._chosen(self.hands, kept, log)

    def _chosen(self, hands: Hands, kept: list[Checkpoint], log: list[str]) -> Trained:
        """The best checkpoint is the one that the clips held out like best, of several the latest."""
        shelf, steps = hands.shelf, self.config.steps
        losses = [found for step in (0, *(each.step for each in kept)) if (found := shelf.judged(step))]
        by_step = {each.step: each.loss for each in losses}
        counts = zip(self.task.names, self.order.usage(steps), strict=True)
        return Trained(
            best=min(kept, key=lambda each: (by_step.get(each.step, 0), -each.step)),
            checkpoints=tuple(kept),
            holdout=tuple(losses),
            samples=tuple(shelf.samples(steps)),
            usage=tuple(Usage(sample=name, times=times) for name, times in counts),
            log=log,
            planned=hands.planned,
        )
