"""Launch, what would happen: the steps that would run and why, time, money, memory, and what changes in show.toml."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

import streamlit as st

from app import components, marks, shared, ways
from app.shared import STATES
from pipeline import foretold
from pipeline.control import UnitStatus
from pipeline.forecast import Forecast, Left
from pipeline.forecasting import Range
from pipeline.launching import Preview
from pipeline.places import LOCAL

DEVICES = {"cpu": "CPU", "cuda": "GPU"}


def headline(of: Preview) -> None:
    """What it comes to, in one line."""
    made, where = len(of.to_make), place(of)
    if not made:
        st.markdown("**Everything that this needs is made**")
        st.caption("Nothing would run. Change a setting, or choose something else.")
        return
    steps = marks.count(len(of.steps), "step")
    fresh = f"; {marks.count(of.fresh, 'result')} stand and are taken as they are" if of.fresh else ""
    st.markdown(f"**{marks.count(made, 'result')} to make in {steps}**{fresh}")
    st.caption(where)


def place(of: Preview) -> str:
    """Where it would run, in words."""
    there = {step: place for step in of.steps if (place := of.after.place(step)) != LOCAL}
    if there:
        hosts = ", ".join(f"{steps_at(there, host)} on {host}" for host in dict.fromkeys(there.values()))
        return f"Runs {hosts}." if len(there) == len(of.steps) else f"Runs {hosts}, the rest on this machine."
    if "cuda" not in of.devices:
        return "Runs on this machine's CPU."
    gpu = of.after.hardware
    return f"Runs on this machine, GPU steps on {gpu}." if gpu else (
        "Runs on this machine. It has no GPU that NVIDIA's driver knows: steps for one run on the CPU, slower."
    )  # fmt: skip


def steps_at(places: Mapping[str, str], host: str) -> str:
    """The steps that run on a host, by name where they are few."""
    names = [step for step, place in places.items() if place == host]
    return ", ".join(names) if len(names) <= 3 else marks.count(len(names), "step")


def figures(of: Preview) -> None:
    """Time, GPU time, money, memory: each with its range, or the word that nobody knows it yet."""
    cost = of.cost
    found = [("Time", *known_part(ranged(cost.clock, "By the clock, with what runs side by side"), cost))]
    if on_gpu := [step for step in of.steps if of.after.runs_on(step)]:
        unmeasured = [step for step in cost.unmeasured if step in on_gpu]
        name = "GPU" if all(of.after.place(step) == LOCAL for step in on_gpu) else "GPU host"
        found.append((name, *known_part(ranged(cost.gpu, f"Of the steps that run on the {name}"), cost, unmeasured)))
    found.append(("Cost", *money(cost, of)))
    if planned := memory(of):
        found.append(("GPU memory", *planned))
    for column, (name, value, below, hint) in zip(st.columns(len(found)), found, strict=True):
        with column.container(gap=None):
            st.caption(name, help=hint)
            st.markdown(f"#### {marks.plain(value)}")
            st.caption(marks.plain(below))
    if cost.unmeasured:
        st.caption(f":material/help: Not measured yet, and not counted: {', '.join(cost.unmeasured)}.")
    if cost.error is not None:
        st.caption(f":material/target: Past forecasts were {foretold.accuracy(cost.error)}.")


def ranged(of: Range | None, hint: str) -> tuple[str, str, str]:
    if of is None or not of.likely:
        return "–", "not measured yet", hint
    return foretold.duration(of.likely), foretold.spread(of), f"{hint}; 8 of 10 lie within the range."


def known_part(
    said: tuple[str, str, str], cost: Forecast, unmeasured: Sequence[str] | None = None
) -> tuple[str, str, str]:
    """A figure from which steps are missing says so itself: a training would look like a matter of seconds."""
    missing = cost.unmeasured if unmeasured is None else unmeasured
    value, _, hint = said
    if not missing or value == "–":
        return said
    return f"over {value}", f"without {marks.count(len(missing), 'step')} not measured", hint


def money(cost: Forecast, of: Preview) -> tuple[str, str, str]:
    paid = [step for step in of.steps if of.after.price(step)]
    hint = "Time at the price of the GPU, or of the whole host."
    if cost.money is not None:
        low, high = (foretold.amount(each, cost.currency) for each in (cost.money.low, cost.money.high))
        said = foretold.amount(cost.money.likely, cost.currency), f"{low} to {high}", hint
        return known_part(said, cost, [step for step in cost.unmeasured if step in paid])
    if paid:
        return "–", "not measured yet", hint
    if not any(of.after.runs_on(step) for step in of.steps):
        return foretold.amount(0, cost.currency), "no GPU is used", "Only time on a GPU is counted."
    return "–", "no price is set", "Set gpu_price_per_hour in [settings], or price_per_hour of the host, in show.toml."


def memory(of: Preview) -> tuple[str, str, str] | None:
    """What the training planner said when it was last asked for a step of this launch, and what was measured."""
    jobs = [job for job in of.after.jobs if job.step in of.request.steps and (job.planned or job.memory_bytes)]
    if not jobs:
        return None
    last = jobs[-1]
    estimate = last.planned.get("estimated_bytes") or 0
    known = f"measured {foretold.size(last.memory_bytes)}" if last.memory_bytes else "by the planner, last time"
    card = last.planned.get("card") or "the card"
    hint = f"{last.planned.get('setting', '')} on {card}. Another setting is planned anew before the first step."
    return foretold.size(estimate or last.memory_bytes), known, hint


def changes(of: Preview) -> None:
    """What the settings that were typed would do, before anything is saved."""
    if of.change is None:
        return
    with st.container(border=True, gap="small"):
        state = STATES["stale" if of.change.stale else "fresh"]
        words = foretold.of_change(of.change)
        st.markdown(f":{state.palette}[{state.icon}] **This change {marks.plain(words)}**")
        if of.change.follow:
            follow = marks.count(len(of.change.follow), "result")
            st.caption(f"{follow} of these are made anew only if what they read comes out differently.")
        if of.change.revived:
            st.caption(f"{marks.count(len(of.change.revived), 'result')} stand in the store already and come back.")
        with st.expander("What changes in show.toml", icon=":material/difference:", expanded=True):
            components.drawing(marks.unified(of.diff), key="diff")


def steps(of: Preview) -> None:
    """Each step that would run: how many results, why, and how long."""
    left = {each.step: each for each in of.cost.steps}
    rows = [row(step, list(units), left[step]) for step, units in groupby(of.to_make, key=lambda unit: unit.step)]
    components.drawing(f'<div class="steps">{"".join(rows)}</div>', key="steps")


def row(step: str, units: Sequence[UnitStatus], left: Left) -> str:
    state = shared.worst(units)
    where = DEVICES[left.device] if left.place == LOCAL else f"{DEVICES[left.device]} on {left.place}"
    time = foretold.duration(left.left.likely) if left.left else "not measured yet"
    hint = foretold.spread(left.left) if left.left else ""
    kept = f" {left.kept:,} of {left.items:,} items are kept already." if left.kept else ""
    why = "; ".join(dict.fromkeys(unit.why for unit in units))
    episodes = "" if len(units) == 1 and units[0].unit == shared.SHOW else ", ".join(unit.unit for unit in units[:4])
    more = f" and {len(units) - 4} more" if len(units) > 4 else ""
    where_is = ways.result(step, units[0].unit if len(units) == 1 else "")
    return (
        f'<div class="step"><b style="color:{state.colour}" title="{state.name}">{state.mark}</b>'
        f'<span><a href="{escape(where_is)}" data-here><b>{escape(step)}</b></a> '
        f"<small>{escape(episodes + more)}</small>"
        f'<small class="why" title="{escape(why)}">{escape(why[:160] + kept)}</small></span>'
        f'<span class="time" title="{escape(hint)}">{escape(time)}<small>{escape(where)}</small></span></div>'
    )
