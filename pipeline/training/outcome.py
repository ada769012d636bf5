"""What a step gives its training to work with, and what it makes of the outcome: both models' steps share it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.engine import fingerprint
from pipeline.engine.records import File
from pipeline.engine.work import Workspace
from pipeline.schemas.training import Lora, Metric, Sampled
from pipeline.training import export, model_card, trackers
from pipeline.training.checkpoints import Shelf
from pipeline.training.fitting import planned
from pipeline.training.hands import Hands, Trained
from pipeline.training.planning import Card, Setting
from pipeline.training.training_config import TrainingConfig

Settled = Callable[[Setting, Card], Hands]


def hands(
    work: Workspace,
    kind: export.Kind,
    config: TrainingConfig,
    trigger: str,
    *,
    data: Sequence[Any],
    held_out: Sequence[Any],
    prompts: Sequence[Any],
    sample: Callable[[Any, int, int], Sampled],
) -> Settled:
    """The first process's hands, once it is settled how the training fits the card.

    `data` are the training samples, `held_out` the others and `prompts` the samples that are wanted, each as all that
    its part of the result depends on, in values that JSON has. Raises ValueError where a tracker's package is missing.
    """
    trackers.check(config.track)

    def settled(setting: Setting, card: Card) -> Hands:
        # Other precisions of base and optimizer learn something else; the rest of a setting is speed.
        decides = {
            "config": config.decides(), "data": list(data), "base": setting.base, "optimizer": setting.optimizer
        }  # fmt: skip
        about = export.About(
            kind=kind,
            base=config.source_name(),
            revision=config.revision,
            trigger=trigger,
            dataset=fingerprint.of_value("dataset", list(data)),
            config=config.decides(),
        )

        def save(lora: dict[str, Tensor], step: int, path: Path) -> None:
            export.save(path, lora, about.model_copy(update={"step": step}), alpha=config.alpha)

        work.tell(found := planned(setting, card))
        work.log(found.setting)
        shelf = Shelf(work, decides, [list(held_out), config.holdout_sigmas], prompts)
        run = f"{_plain(trigger) or 'lora'}-{kind}-{shelf.training[:8]}"
        return Hands(work, shelf, save, sample, found, trackers.trackers(config.track, run, config.decides()))

    return settled


def lora_of(work: Workspace, kind: export.Kind, config: TrainingConfig, trigger: str, trained: Trained) -> Lora:
    """The record of a finished training; how often each sample was used goes into the run's report."""
    best = trained.best
    name = f"{_plain(trigger) or 'lora'}_{kind}.safetensors"
    times = [each.times for each in trained.usage]
    work.report(
        best_step=best.step, samples=len(times), used_at_least=min(times), used_at_most=max(times),
        never_used=times.count(0),
    )  # fmt: skip
    card = model_card.card(
        export.read_about(work.open(best.weights)),
        file=name,
        rank=config.rank,
        steps=config.steps,
        usage=trained.usage,
        holdout=trained.holdout,
        planned=trained.planned,
    )
    events = work.scratch / "events"
    trackers.tensorboard(events, [Metric.model_validate_json(line) for line in trained.log], trained.holdout)
    return Lora(
        model=kind,
        base=config.source_name(),
        revision=config.revision,
        trigger=trigger,
        rank=config.rank,
        steps=config.steps,
        best_step=best.step,
        weights=best.weights.model_copy(update={"name": name}),
        card=_text(work, "README.md", card),
        log=_text(work, "training.jsonl", "".join(f"{line}\n" for line in trained.log)),
        checkpoints=trained.checkpoints,
        holdout=trained.holdout,
        samples=trained.samples,
        usage=trained.usage,
        tensorboard=(work.keep(events, trackers.EVENTS),),
        planned=trained.planned,
    )


def _plain(trigger: str) -> str:
    """The trigger as a part of a file's name."""
    return "".join(letter if letter.isalnum() else "_" for letter in trigger).strip("_")[:60]


def _text(work: Workspace, name: str, text: str) -> File:
    path = work.scratch / name
    path.write_text(text, encoding="utf-8")
    return work.keep(path, name)
