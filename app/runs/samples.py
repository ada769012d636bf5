"""Samples beside each other: a column for each checkpoint, the base model first, a row for each prompt."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from app import components, media
from app.runs import pictures
from pipeline.runs_told import Training

KEY = "samples"

_here = Path(__file__).parent
_samples = st.components.v2.component(
    "dailies_samples",
    html=(_here / "samples.html").read_text(encoding="utf-8"),
    css=(_here / "samples.css").read_text(encoding="utf-8") + components.SLIDER,
    js=components.FOLLOW + (_here / "samples.js").read_text(encoding="utf-8"),
)


def samples(shown: dict[str, Any], key: str = KEY) -> None:
    """The grid. A click on a sample goes to its address."""
    _samples(data=shown, key=key)


def address(run_id: str, step: int, prompt: int) -> str:
    return pictures.address(run=run_id, part="Samples", sample=f"{step}.{prompt}")


def data(training: Training, run_id: str, chosen: str = "") -> dict[str, Any]:
    """All that the browser draws."""
    best = training.best
    losses = {each.step: each.loss for each in training.holdout if math.isfinite(each.loss)}
    steps = sorted({each.step for each in training.samples})
    prompts = {each.prompt: each for each in sorted(training.samples, key=lambda each: each.step)}
    return {
        "run": run_id,
        "chosen": chosen,
        "columns": [
            {
                "step": step,
                "name": f"step {step:,}" if step else "base model",
                "loss": f"{losses[step]:.4f}" if step in losses else "",
                "change": _change(losses.get(step), losses.get(0)) if step else "",
                "best": best is not None and best.step == step,
            }
            for step in steps
        ],
        "rows": [
            {"prompt": number, "text": each.text, "of": each.of, "seed": each.seed}
            for number, each in sorted(prompts.items())
        ],
        "cells": {f"{each.step}.{each.prompt}": media.url(each.video) for each in training.samples},
        "opens": {f"{each.step}.{each.prompt}": address(run_id, each.step, each.prompt) for each in training.samples},
    }


@dataclass(frozen=True, slots=True)
class Column:
    """A training's samples at one step, in a grid of several trainings."""

    training: int
    step: int


def columns(trainings: Sequence[Training]) -> list[Column]:
    """The base model as the first training saw it, then of each its best checkpoint that has samples, else its last."""
    found: list[Column] = []
    for number, training in enumerate(trainings):
        steps = {each.step for each in training.samples}
        if 0 in steps and not found:
            found.append(Column(number, 0))
        if made := steps - {0}:
            best = training.best
            found.append(Column(number, best.step if best and best.step in made else max(made)))
    return found


def compared(named: Sequence[tuple[str, Training]], run_ids: Sequence[str]) -> dict[str, Any]:
    """As `data`, of several trainings, each of a run: a column for each, a row for each prompt with the same seed. A
    sample stands under the number of its column.
    """
    shown = columns([training for _, training in named])
    prompts: dict[tuple[str, int], int] = {}
    of: dict[int, str] = {}
    cells, opens = {}, {}
    for number, column in enumerate(shown):
        for each in named[column.training][1].samples:
            if each.step == column.step:
                row = prompts.setdefault((each.text, each.seed), len(prompts))
                of.setdefault(row, each.of)
                cells[f"{number}.{row}"] = media.url(each.video)
                opens[f"{number}.{row}"] = address(run_ids[column.training], each.step, each.prompt)
    return {
        "run": " ".join(name for name, _ in named),
        "chosen": "",
        "columns": [_compared(number, column, *named[column.training]) for number, column in enumerate(shown)],
        "rows": [{"prompt": row, "text": text, "of": of[row], "seed": seed} for (text, seed), row in prompts.items()],
        "cells": cells,
        "opens": opens,
    }


def _compared(number: int, column: Column, name: str, training: Training) -> dict[str, Any]:
    losses = {each.step: each.loss for each in training.holdout if math.isfinite(each.loss)}
    loss = losses.get(column.step)
    return {
        "step": number,
        "name": f"{name}: step {column.step:,}" if column.step else "base model",
        "loss": f"{loss:.4f}" if loss is not None else "",
        "change": _change(loss, losses.get(0)) if column.step else "",
        "best": False,
    }


def _change(loss: float | None, base: float | None) -> str:
    """`−12.3 %`: how far a checkpoint is from the base model."""
    return f"{100 * (loss / base - 1):+.1f} %".replace("-", "−") if loss is not None and base else ""
