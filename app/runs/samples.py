"""Samples beside each other: a column for each checkpoint, the base model first, a row for each prompt."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from app import media
from pipeline.runs_told import Training

KEY = "samples"

_here = Path(__file__).parent
_samples = st.components.v2.component(
    "dailies_samples",
    html=(_here / "samples.html").read_text(encoding="utf-8"),
    css=(_here / "samples.css").read_text(encoding="utf-8"),
    js=(_here / "samples.js").read_text(encoding="utf-8"),
)


def samples(training: Training, run_id: str, chosen: str, on_chosen: Callable[[str], None]) -> None:
    """The grid. A click on a sample is told to `on_chosen` as "STEP.PROMPT"."""

    def clicked() -> None:
        state = st.session_state.get(KEY)
        found = state.get("chosen") if state else None
        if found:
            on_chosen(str(found))

    _samples(data=data(training, run_id, chosen), key=KEY, on_chosen_change=clicked)


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
    }


def _change(loss: float | None, base: float | None) -> str:
    """`−12.3 %`: how far a checkpoint is from the base model."""
    return f"{100 * (loss / base - 1):+.1f} %".replace("-", "−") if loss is not None and base else ""
