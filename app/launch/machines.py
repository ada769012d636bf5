"""Hosts, one machine: what it has, what of it is in use, what runs on it now, and what it has cost."""

from html import escape

import streamlit as st

from app import components, marks, shared, shell
from app.shared import STATES
from pipeline import foretold, launching
from pipeline.control import Show
from pipeline.gpus import Gpu
from pipeline.hosts import Host

USED, HOT = STATES["running"].colour, STATES["stale"].colour
FULL = 0.9
"""Above it a bar is shown as a warning."""


def card(show: Show, host: Host) -> None:
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**:material/dns: {marks.plain(host.name)}**", width="content")
            state = STATES["running" if host.running or host.working else "fresh"]
            st.badge(
                "working" if state.name == "running" else "idle", icon=state.icon, color=state.palette, width="content"
            )
            st.caption(f"{host.kind} · {marks.plain(host.cpu_model)}")
        warning(host)
        components.drawing(f'<div class="meters">{meters(host)}</div>', key=f"meters-{host.name}")
        cards, price = st.columns([3, 2], gap="medium")
        with cards:
            graphics(host)
        with price:
            account(host)
        working(show, host)


def warning(host: Host) -> None:
    """A card that costs and does nothing."""
    if host.idle_money:
        spent = foretold.amount(host.idle_money, host.currency)
        st.warning(
            f"No GPU step has run for {foretold.duration(host.idle_seconds or 0)}: that is **{marks.plain(spent)}** at "
            f"{marks.plain(foretold.amount(host.price or 0, host.currency))} an hour. Give the machine back if nothing "
            "more is to run.",
            icon=":material/hourglass_empty:",
        )


def meters(host: Host) -> str:
    """Processors, memory and disk as bars."""
    disk_used = host.disk.total_bytes - host.disk.free_bytes
    slots = f"{marks.count(host.slots['cpu'], 'CPU job')} and {marks.count(host.slots['cuda'], 'GPU job')} at once"
    return "".join(
        (
            meter("Processors", host.load / host.cpus, f"{host.load:.1f} of {host.cpus} busy", slots),
            meter(
                "Memory",
                host.memory_used_bytes / host.memory_bytes,
                f"{host.memory_used_bytes / 1e9:.1f} of {host.memory_bytes / 1e9:.1f} GB used",
                f"{(host.memory_bytes - host.memory_used_bytes) / 1e9:.1f} GB free",
            ),
            meter(
                "Disk of the store",
                disk_used / host.disk.total_bytes,
                f"{host.disk.free_bytes / 1e9:.0f} of {host.disk.total_bytes / 1e9:.0f} GB free",
                host.disk.path,
            ),
        )
    )


def meter(name: str, share: float, words: str, below: str) -> str:
    full = 100 * min(max(share, 0.0), 1.0)
    colour = HOT if share > FULL else USED
    return (
        f'<div class="meter"><b>{escape(name)}</b><span>{escape(words)}</span>'
        f'<div class="bar" role="img" aria-label="{escape(name)}: {full:.0f} % in use">'
        f'<i style="width:{full:.1f}%;background:{colour}"></i></div>'
        f'<small title="{escape(below)}">{escape(below)}</small></div>'
    )


def graphics(host: Host) -> None:
    st.markdown("**GPUs**")
    if not host.gpus:
        st.caption(
            f":material/info: None here: {marks.plain(host.no_gpu)}. Steps for a GPU run on the CPU, slower; "
            "training a full model needs one."
        )
        return
    bars = "".join(gpu(each) for each in host.gpus)
    components.drawing(f'<div class="meters">{bars}</div>', key=f"gpus-{host.name}")


def gpu(of: Gpu) -> str:
    facts = [f"{of.use:.0%} busy" if of.use is not None else "", f"{of.watts:.0f} W" if of.watts is not None else "",
             f"{of.celsius:.0f} °C" if of.celsius is not None else ""]  # fmt: skip
    share = of.used_bytes / of.memory_bytes if of.memory_bytes else 0.0
    words = f"{of.used_bytes / 1e9:.1f} of {of.memory_bytes / 1e9:.1f} GB used"
    return meter(f"{of.index} · {of.name}", share, words, " · ".join(filter(None, facts)) or "tells nothing of its use")


def account(host: Host) -> None:
    """The price of an hour, and what was spent."""
    st.markdown("**Money**")
    if host.price is None:
        st.caption("No price is set: `gpu_price_per_hour` in `[settings]` of show.toml, and `currency`.")
    else:
        st.markdown(f"{marks.plain(foretold.amount(host.price, host.currency))} an hour of GPU")
    if host.spent_seconds:
        spent = marks.plain(foretold.amount(host.spent, host.currency))
        st.markdown(f"**{spent}** so far, for {foretold.duration(host.spent_seconds)} of GPU steps")
        st.caption("From the records of this show's runs, at the price of their time.")
    else:
        st.caption("No step of this show has run on a GPU here yet, so nothing was spent.")


def working(show: Show, host: Host) -> None:
    """What runs now, and what waits behind it."""
    st.markdown("**Running now**")
    if not host.running and not host.working:
        st.caption("Nothing. What is launched runs here, in a process of its own.")
        return
    for job in host.working:
        done = f" · {job.at_step or job.done:,} of {job.of_steps or job.total:,}" if job.of_steps or job.total else ""
        name = f"{job.step} of {job.unit}" if job.unit != shared.SHOW else job.step
        st.badge(f"{name}{done}", icon=STATES["running"].icon, color=STATES["running"].palette, width="content")
    for started in host.running:
        shell.job(show, started, launching.called(started) if started.verb == launching.VERB else "")
