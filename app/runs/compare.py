"""Trainings compared: their losses over each other, and what was set differently."""

from collections.abc import Sequence
from html import escape
from typing import Any

import streamlit as st

from app import shell
from app.runs import charts, drawn, pictures
from pipeline import runs
from pipeline.control import Show
from pipeline.runs import Run
from pipeline.runs_told import Job, Training

MOST = 6


def part(show: Show, known: Sequence[Run]) -> None:
    """The runs that the address names, by default the two newest."""
    trained = {run.id: run for run in known if run.trainings}
    wanted = [each for each in st.query_params.get("compare", "").split(",") if each]
    for each in wanted:
        if each not in trained and (older := runs.find(show, each)) and older.trainings:
            trained[each] = older
    st.session_state.setdefault("compared", [each for each in wanted if each in trained][:MOST] or [*trained][:2])
    chosen = st.multiselect(
        "Trainings", list(trained), key="compared", max_selections=MOST, format_func=lambda id_: name(trained[id_]),
        placeholder="Choose two or more",
    )  # fmt: skip
    st.query_params["compare"] = ",".join(chosen) or "choose"
    if not trained:
        shell.nothing("Nothing was trained yet", "Launch a training; it then stands here.", ":material/show_chart:")
        return
    found = [(trained[id_], trained[id_].trainings[-1]) for id_ in chosen]
    named = [(name(run), runs.whole(show, run, job)) for run, job in found]
    charts.charts(charts.compared(named), "compared-charts")
    drawn.drawn(_table(show, found, [training for _, training in named]), "compared-table")


def name(run: Run) -> str:
    return f"{pictures.title(run)}, {run.at:%d %b %H:%M}"


def _table(show: Show, found: Sequence[tuple[Run, Job]], trainings: Sequence[Training]) -> str:
    """What came of each, then the settings in which they differ."""
    if not found:
        return ""
    heads = "".join(
        f'<th><i class="dash" style="border-color:var(--st-{charts.COLOURS[number % len(charts.COLOURS)]}-color)"></i>'
        f'<a href="{escape(pictures.address(run=run.id))}">{escape(name(run))}</a></th>'
        for number, (run, _) in enumerate(found)
    )
    best = [training.best for training in trainings]
    rows: list[tuple[str, list[str]]] = [
        ("best hold-out loss", [f"{each.loss:.4f} at step {each.step:,}" if each else "–" for each in best]),
        ("steps", [f"{(each.last or (0, 0))[1]:,} of {each.of:,}" for each in trainings]),
        ("state", [str(run.state) for run, _ in found]),
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
    text = value if isinstance(value, str) else repr(value)
    return f"{text[:10]}…" if len(text) == 64 else text[:80]
