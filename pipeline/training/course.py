"""What every training does besides its maths: begin or go on, keep, watch, judge, sample, end.

course = Course(...)
for step in course.steps():
    for batch in course.batches(step):
        course.backward(batch, losses)  # losses(model, batch), of each sample
    course.update(step)
trained = course.trained
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from pipeline.engine.records import Record
from pipeline.engine.work import StoppedError, Workspace
from pipeline.schemas.training import Checkpoint, HoldoutLoss, Metric, Planned, Resumed, Sampled, Usage
from pipeline.training import graphs, holdout, loading, lora, sharding
from pipeline.training.batches import Order
from pipeline.training.checkpoints import Shelf, State
from pipeline.training.processes import World
from pipeline.training.randomness import generator, seed_of
from pipeline.training.schedules import factor, set_rate
from pipeline.training.trackers import Tracker
from pipeline.training.training_config import TrainingConfig
from pipeline.training.watching import Reading, Seen, Watch, by_band


@dataclass(frozen=True)
class Drawn:
    """A batch with all that is random about it settled: `tensors` for the model, the samples' sigmas beside."""

    samples: tuple[str, ...]
    sigmas: tuple[float, ...]
    tensors: dict[str, Tensor]
    shape: Any
    share: float = 1.0


class Task(Protocol):
    """What a model's own file says of its training. `train` and `held_out` have one entry for each sample."""

    @property
    def names(self) -> Sequence[str]: ...
    @property
    def shapes(self) -> Sequence[Any]: ...
    @property
    def tokens(self) -> Sequence[int]: ...
    @property
    def held_out(self) -> Sequence[str]: ...

    def draw(self, indexes: Sequence[int], generators: Sequence[Generator]) -> Drawn:
        """A batch of the training split; everything random comes from its sample's own generator."""

    def question(self, index: int, sigma: float, generator: Generator) -> Drawn:
        """One held-out sample at `sigma`, as it is: its caption said, no frame given."""

    def losses(self, model: nn.Module, batch: Drawn) -> Tensor:
        """(B,) fp32."""


@dataclass
class Hands:
    """What only the first process has. `save(lora, step, path)` writes the weights as others load them;
    `sample(transformer, prompt, step)` makes the video of prompt number `prompt`.
    """

    work: Workspace
    shelf: Shelf
    save: Callable[[dict[str, Tensor], int, Path], None]
    sample: Callable[[Any, int, int], Sampled] | None = None
    planned: Planned | None = None
    trackers: list[Tracker] = field(default_factory=list)

    def tell(self, record: Record) -> None:
        """To the run's events and to all trackers. One that fails is left out from then on, and training goes on."""
        self.work.tell(record)
        for tracker in list(self.trackers):
            try:
                tracker.see(record)
            except Exception as error:
                self.trackers.remove(tracker)
                self.work.log(f"{tracker.name} gets no more figures, for it failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Every tracker's run; what they fail with changes nothing of the training."""
        for tracker in self.trackers:
            try:
                tracker.close()
            except Exception as error:
                self.work.log(f"{tracker.name} did not end well: {type(error).__name__}: {error}")


@dataclass
class Trained:
    best: Checkpoint
    checkpoints: tuple[Checkpoint, ...]
    holdout: tuple[HoldoutLoss, ...]
    samples: tuple[Sampled, ...]
    usage: tuple[Usage, ...]
    log: list[str]
    planned: Planned | None = None


class Course:
    """`transformer` bears the LoRA, `parameters` are its trainable ones by name; `model` is what the loop calls.
    `is_mixed` says that some batches leave a part of the LoRA out, `is_sharded` that each process is to hold a part of
    the base.
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
        is_compiled: bool = False,
    ) -> None:
        self.config, self.task, self.world, self.hands = config, task, world, hands
        self.transformer, self.optimizer = transformer, optimizer
        self.parameters = list(parameters.values())
        self.order = Order(task.shapes, config.batch_size, config.accumulation, config.seed)
        average = lora.Average(self.parameters, config.ema) if config.ema else None
        self.state = State(parameters, optimizer, average)
        self.watch = Watch(config.spike)
        transformer.train()
        self.is_sharded = is_sharded
        joined = sharding.shard(transformer, world) if is_sharded else world.joined(transformer, is_mixed=is_mixed)
        self.model: nn.Module = joined
        shapes = len(set(task.shapes))
        self.graphs = (
            graphs.Graphs(self.parameters, self.log, graphs.CudaGraph.of)
            if graphs.possible(
                world.device, compiled=is_compiled, processes=world.size, shapes=shapes, is_mixed=is_mixed
            )
            else None
        )
        self.stopping = hands.work.graceful() if hands else None
        self._batches: Iterator[tuple[int, Drawn]] = iter(())
        self._losses: list[tuple[Drawn, Tensor]] = []
        self._pending: tuple[Metric, list[Drawn], Reading] | None = None
        self._clock = time.monotonic()
        self._failed: set[tuple[int, int]] = set()

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
                yield Drawn(drawn.samples, drawn.sigmas, tensors, drawn.shape, drawn.share)

    def backward(self, batch: Drawn, losses: Callable[[nn.Module, Drawn], Tensor]) -> None:
        """Each sample of a step weighs the same, whichever batch and process it is in."""

        def run(tensors: Mapping[str, Tensor]) -> Tensor:
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
        reading = Reading(torch.cat([*(losses_B for _, losses_B in self._losses), norm.reshape(1).float()]))
        tokens = sum(self.task.tokens[index] for batch in self.order.step(step) for index in batch)
        metric = Metric(
            step=step, of=config.steps, loss=0, lr=rate, grad_norm=0, step_seconds=0, tokens=tokens,
            epoch=round(self.order.epochs(step), 4),
        )  # fmt: skip
        self._look()
        self._pending = metric, [batch for batch, _ in self._losses], reading

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
        return step, Drawn(drawn.samples, drawn.sigmas, loading.pinned(drawn.tensors), drawn.shape, share)

    # Around the loop.

    def _begin(self) -> int:
        """Step 0, or that of the newest checkpoint. Until that is loaded, the LoRA adds nothing: the base model."""
        found = self.hands.shelf.newest(self.config.steps) if self.hands else None
        path = self.hands.work.open(found.state) if self.hands and found else None
        step, path = self.world.told((found.step if found else 0, path))
        self._judge(0)
        self._sample(0)
        if path is not None:
            self.state.load(path)
            if self.hands:
                self.hands.tell(Resumed(step=step))
        if self.hands:
            self.hands.work.events.emit("items", done=step, total=self.config.steps)
        return step

    def _after(self, step: int) -> None:
        """What is due after `step`. All processes do the same, so the first says what people asked."""
        is_last = step == self.config.steps
        asked = self.hands.work.asked() if self.hands else []
        must_stop, asked = self.world.told((self.stopping is not None and self.stopping.is_set(), asked))
        is_due = is_last or step % self.config.checkpoint_every == 0
        samples = (
            is_last or "sample" in asked or bool(self.config.sample_every and step % self.config.sample_every == 0)
        )
        if must_stop or is_due or samples or "save" in asked:
            self._look()  # A checkpoint is never made of a step that was not looked at.
            self._keep(step)
        if must_stop:
            raise StoppedError(f"stopped at step {step} as was asked; run again to go on from there")
        if is_due:
            self._judge(step)
        if samples:
            self._sample(step)
        if self.hands:
            self.hands.work.events.emit("items", done=step, total=self.config.steps)
        if is_due or samples:
            self._clock = time.monotonic()

    def _end(self) -> None:
        """Judge what was kept between, and choose."""
        steps = self.config.steps
        self._judge(steps)
        self._sample(steps)
        log = list(self.state.log)  # Of the last step: a checkpoint that is judged below brings its own.
        kept = list(self.hands.shelf.checkpoints(steps)) if self.hands else []
        unjudged = [
            each for each in kept if self.hands and self.task.held_out and not self.hands.shelf.judged(each.step)
        ]
        places = [(each.step, self.hands.work.open(each.state)) for each in unjudged if self.hands]
        for step, path in self.world.told(places):
            self.state.load(path)
            self._judge(step)
        if self.hands is None:
            return
        shelf = self.hands.shelf
        losses = [found for step in (0, *(each.step for each in kept)) if (found := shelf.judged(step))]
        by_step = {each.step: each.loss for each in losses}
        best = min(kept, key=lambda each: (by_step.get(each.step, 0), -each.step))
        counts = zip(self.task.names, self.order.usage(steps), strict=True)
        self.trained = Trained(
            best=best,
            checkpoints=tuple(kept),
            holdout=tuple(losses),
            samples=tuple(shelf.samples(steps)),
            usage=tuple(Usage(sample=name, times=times) for name, times in counts),
            log=log,
            planned=self.hands.planned,
        )

    def _keep(self, step: int) -> None:
        if self.hands is None or self.hands.shelf.checkpoint(step):
            return
        work = self.hands.work
        weights, state = (work.scratch / f"{name}-{step}" for name in ("weights", "state"))
        with self._final():
            self.hands.save(lora.state(self.transformer), step, weights)
        self.state.save(state)
        checkpoint = Checkpoint(
            step=step,
            weights=work.keep(weights, f"checkpoints/step_{step:05d}.safetensors"),
            state=work.keep(state, f"checkpoints/step_{step:05d}_state.pt"),
        )
        self.hands.tell(self.hands.shelf.keep(checkpoint))

    @torch.no_grad()
    def _judge(self, step: int) -> None:
        """Loss on the clips held out. All processes share the work."""
        known = self.hands.shelf.judged(step) if self.hands else None
        if not self.task.held_out or self.world.told(known is not None):
            return
        found: list[tuple[str, float, Tensor]] = []
        self._make_room()
        self.transformer.eval()
        with self._final():
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

    def _sample(self, step: int) -> None:
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
            self._make_room()
        for prompt in missing:
            self._end_if_asked(step)
            self.transformer.eval()
            try:
                with self._final(), torch.no_grad():
                    made = hands.sample(self.transformer, prompt, step)
            except Exception as error:
                self._failed.add((step, prompt))
                self.log(f"step {step}: no sample of prompt {prompt}, for it failed: {type(error).__name__}: {error}")
            else:
                hands.tell(shelf.sample(made))
        self.transformer.train()

    def _make_room(self) -> None:
        """On the device, for what is no training."""
        if self.graphs:
            self.graphs.release()

    def _end_if_asked(self, step: int) -> None:
        """While something long goes on that no checkpoint waits for."""
        if self.stopping is not None and self.stopping.is_set():
            raise StoppedError(f"stopped at step {step} as was asked; run again to go on from there")

    def _final(self) -> Any:
        """The LoRA as it is given away: its average, where one is kept."""
        return self.state.average.in_place() if self.state.average else nullcontext()

    def _look(self) -> None:
        """At the figures of the last step that was done, which the GPU has had a step's time to give."""
        if self._pending is None:
            return
        metric, batches, reading = self._pending
        self._pending = None
        *losses, norm = reading.values()
        named = [pair for batch in batches for pair in zip(batch.samples, batch.sigmas, strict=True)]
        mine = [Seen(sample, sigma, loss) for (sample, sigma), loss in zip(named, losses, strict=True)]
        gathered = self.world.gathered(mine)
        if self.hands is None:
            return
        seen = [each for some in gathered for each in some]
        seconds, self._clock = time.monotonic() - self._clock, time.monotonic()
        metric = metric.model_copy(
            update={
                "loss": sum(each.loss for each in seen) / len(seen),
                "grad_norm": norm,
                "step_seconds": round(seconds, 4),
                "bands": by_band(seen),
                **_gpu(self.world.device),
            }
        )
        self.hands.tell(metric)
        self.state.log.append(metric.model_dump_json())
        self.watch.see(metric.step, seen, norm)


def _gpu(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {}
    return {
        "gpu_memory_bytes": torch.cuda.max_memory_reserved(device),
        "gpu_use_percent": float(torch.cuda.utilization(device)),
    }
