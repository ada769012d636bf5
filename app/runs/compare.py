"""Trainings compared: their losses over each other, and what was set differently."""

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from app import shell
from app.runs import charts, drawn, pictures, samples
from pipeline import runs
from pipeline.control import Show
from pipeline.runs import Run
from pipeline.runs_told import Job, Training

MOST = 6


def part(show: Show, known: Sequence[Run]) -> None:
    """The trainings that the address names, by default the two newest."""
    trained = {key: each for run in known for key, each in _of(run)}
    wanted = [each for each in st.query_params.get("compare", "").split(",") if each]
    for each in wanted:
        if each not in trained and (older := runs.find(show, each.partition(".")[0])):
            trained |= dict(_of(older))
    chosen = st.multiselect(
        "Trainings", list(trained), default=[each for each in wanted if each in trained][:MOST] or [*trained][:2],
        key="compared", max_selections=MOST, format_func=lambda key: name(*trained[key]),
        placeholder="Choose two or more",
    )  # fmt: skip
    address = ",".join(chosen) or "choose"
    if st.query_params.get("compare") != address:  # Said again, it could be of a page that people have left.
        st.query_params["compare"] = address
    if not trained:
        shell.nothing("Nothing was trained yet", "Launch a training; it then stands here.", ":material/show_chart:")
        return
    found = [trained[key] for key in chosen]
    named = [(name(run, job), runs.whole(show, run, job)) for run, job in found]
    charts.charts(charts.compared(named), "compared-charts")
    drawn.drawn(_table(show, found, [training for _, training in named]), "compared-table")
    seen(samples.compared(named, [run.id for run, _ in found]))


def seen(shown: dict[str, Any]) -> None:
    """What they make of the same words and seed; a click opens the sample in its own training."""
    if not shown["columns"]:
        return
    st.markdown("**Samples**, at the best checkpoint of each")
    samples.samples(shown, "compared-samples")


def _of(run: Run) -> list[tuple[str, tuple[Run, Job]]]:
    """The trainings of a run as the address names them: by the run, of several in one by their step too."""
    return [(run.id if len(run.trainings) == 1 else f"{run.id}.{job.step}", (run, job)) for job in run.trainings]


def name(run: Run, job: Job) -> str:
    return f"{job.step}, {run.at:%d %b %H:%M}"


def _table(show: Show, found: Sequence[tuple[Run, Job]], trainings: Sequence[Training]) -> str:
    """What came of each, then the settings in which they differ."""
    if not found:
        return ""
    heads = "".join(
        f'<th><i class="dash" style="border-color:var(--st-{charts.COLOURS[number % len(charts.COLOURS)]}-color)"></i>'
        f'<a href="{escape(pictures.address(run=run.id))}">{escape(name(run, job))}</a></th>'
        for number, (run, job) in enumerate(found)
    )
    best = [training.best for training in trainings]
    rows: list[tuple[str, list[str]]] = [
        ("best hold-out loss", [f"{each.loss:.4f} at step {each.step:,}" if each else "–" for each in best]),
        ("steps taken", [f"{(each.last or (0, 0))[1]:,} of {each.of:,}" for each in trainings]),
        ("state", [run.state_of(job) for run, job in found]),
        *differences([_settings(show, run, job) for run, job in found]),
    ]
    body = "".join(
        f"<tr><td>{escape(label)}</td>{''.join(f'<td>{escape(value)}</td>' for value in values)}</tr>"
        for label, values in rows
    )
    return f"<table><tr><th></th>{heads}</tr>{body}</table>"


def _settings(show: Show, run: Run, job: Job) -> dict[str, Any]:
    """All that decides a training: settings, and what it reads, each in a few letters."""
    recipe = runs.recipe(show, run.id, job.step, job.unit) or {}
    inputs = {f"input {name}": value for name, value in _flat(recipe.get("inputs", {})).items()}
    return _flat(recipe.get("config", {})) | inputs | {"version": recipe.get("version", "–")}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def differences(settings: Sequence[dict[str, Any]]) -> list[tuple[str, list[str]]]:
    """(name, value of each) of the settings that are not the same in all. Pure."""
    names = dict.fromkeys(key for each in settings for key in each)
    rows = [(key, [_shown(each.get(key, "–")) for each in settings]) for key in names]
    return [(key, values) for key, values in rows if len(set(values)) > 1]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))[:80] or "none"
    text = value if isinstance(value, str) else repr(value)
    return f"{text[:10]}…" if len(text) == 64 else text[:80]
