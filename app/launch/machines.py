"""Hosts, one place of work: what it has, what of it is in use, what runs there and waits, and what it has cost."""

from html import escape

import streamlit as st

from app import components, marks, shared, shell
from app.shared import STATES
from pipeline import foretold, hosts, launching
from pipeline.control import Forecast, Show
from pipeline.gpus import Gpu
from pipeline.hosts import Host, Machine

USED, HOT = STATES["running"].colour, STATES["stale"].colour
FULL = 0.9
"""Above it a bar is shown as a warning."""

MOST = 12
"""So many jobs of a host are listed; a hundred that wait would hide what else is to be seen."""

LOOKS = {
    "working": ("working", STATES["running"]),
    "idle": ("idle", STATES["fresh"]),
    "away": ("not reached", STATES["failed"]),
    "asked": ("being asked", STATES["missing"]),
}
"""A place's state in words, in the colours and marks that states of results have."""


def card(show: Show, host: Host, left: Forecast | None) -> None:
    """`left` is what is left to make, None where nobody has counted it."""
    with st.container(border=True, key=f"host-{host.place}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**:material/dns: {marks.plain(host.name)}**", width="content")
            word, look = LOOKS[host.state]
            st.badge(word, icon=look.icon, color=look.palette, width="content")
            st.caption(marks.plain(host.kind))
        if host.problem:
            st.warning(marks.told(host.problem), icon=":material/cloud_off:")
        warning(host)
        returning(host, left)
        if host.machine is not None:
            bars = meters(host, host.machine)
            components.drawing(f'<div class="meters">{bars}</div>', key=f"meters-{host.place}")
        cards, price = st.columns([3, 2], gap="medium")
        with cards:
            graphics(host, bool(show.file.hosts))
        with price:
            account(host)
        working(show, host)


def warning(host: Host) -> None:
    """A card that costs and does nothing."""
    if host.is_idle_for_long and (host.price or host.is_remote):
        cost = ""
        if host.idle_money:
            spent, price = (foretold.amount(each, host.currency) for each in (host.idle_money, host.price or 0))
            cost = f": that is **{marks.plain(spent)}** at {marks.plain(price)} an hour"
        st.warning(
            f"Nothing has run on its GPUs for {foretold.duration(host.idle_seconds or 0)}{cost}. Give it back if "
            f"nothing more is to run. {host.stop}",
            icon=":material/hourglass_empty:",
        )
    elif host.stop:
        st.caption(f":material/timer_off: {host.stop}")


def returning(host: Host, left: Forecast | None) -> None:
    """Whether the place is still wanted: a rented one that is not can be given back."""
    if left is None or host.state in ("away", "asked") or not (host.price or host.is_remote):
        return
    if wanted := hosts.needed(left.steps, host.place):
        st.caption(f":material/pending: {marks.count(wanted, 'result')} of its steps are still to be made.")
    elif host.state == "idle" and (host.gpus or host.is_remote):
        st.success("Nothing is left for the GPU: you can give the server back.", icon=":material/task_alt:")


def meters(host: Host, has: Machine) -> str:
    """Processors, memory and disk as bars, and the GPUs that Ray gives to jobs."""
    bars = [
        meter(
            "Processors",
            has.load / max(has.cpus, 1),
            f"{min(has.load, has.cpus):.1f} of {has.cpus} busy",
            f"{host.slots} · {has.load - has.cpus:.0f} more want one" if has.load >= has.cpus + 1 else host.slots,
        ),
        meter(
            "Memory",
            has.memory_used_bytes / max(has.memory_bytes, 1),
            f"{has.memory_used_bytes / 1e9:.1f} of {has.memory_bytes / 1e9:.1f} GB used",
            f"{(has.memory_bytes - has.memory_used_bytes) / 1e9:.1f} GB free",
        ),
    ]
    if has.disk is not None:
        words = f"{has.disk.free_bytes / 1e9:.0f} of {has.disk.total_bytes / 1e9:.0f} GB free"
        bars.append(meter("Disk of the store", 1 - has.disk.free_bytes / has.disk.total_bytes, words, has.disk.path))
    if host.is_remote:
        waiting = sum(job.state == "waiting" for job in host.queue)
        words, below = (
            f"{host.gpus_used:g} of {host.gpus_declared} given to jobs",
            f"{marks.count(waiting, 'job')} waiting",
        )
        # All of them in use is what they were rented for.
        bars.append(meter("GPUs", host.gpus_used / max(host.gpus_declared, 1), words, below, may_be_full=True))
    return "".join(bars)


def meter(name: str, share: float, words: str, below: str, *, may_be_full: bool = False) -> str:
    full = 100 * min(max(share, 0.0), 1.0)
    colour = HOT if share > FULL and not may_be_full else USED
    return (
        f'<div class="meter"><b>{escape(name)}</b><span>{escape(words)}</span>'
        f'<div class="bar" role="img" aria-label="{escape(name)}: {full:.0f} % in use">'
        f'<i style="width:{full:.1f}%;background:{colour}"></i></div>'
        f'<small title="{escape(below)}">{escape(below)}</small></div>'
    )


def graphics(host: Host, has_hosts: bool) -> None:
    st.markdown("**GPUs**")
    if host.is_remote and not host.gpus:
        said = host.no_gpu or "not known while it does not answer"
        st.caption(f":material/info: {marks.count(host.gpus_declared, 'GPU')} by its settings; {marks.plain(said)}.")
        return
    if not host.gpus:
        go = "are for the hosts below" if has_hosts else "run on the CPU, slower; training a full model needs one"
        st.caption(f":material/info: None here: {marks.plain(host.no_gpu)}. Steps for a GPU {go}.")
        return
    bars = "".join(gpu(each) for each in host.gpus)
    components.drawing(f'<div class="meters">{bars}</div>', key=f"gpus-{host.place}")


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
        local, remote = "`gpu_price_per_hour` in `[settings]`", f"`price_per_hour` in `[hosts.{host.place}]`"
        st.caption(f"No price is set: {remote if host.is_remote else local} of show.toml.")
    else:
        what = "for the whole host" if host.is_remote else "of GPU"
        st.markdown(f"{marks.plain(foretold.amount(host.price, host.currency))} an hour {what}")
    if host.spent_seconds:
        spent = marks.plain(foretold.amount(host.spent, host.currency))
        what = "steps" if host.is_remote else "GPU steps"
        st.markdown(f"**{spent}** so far, for {foretold.duration(host.spent_seconds)} of {what}")
        idle = " What it idled between them is not in it." if host.is_remote else ""
        st.caption(f"From the records of this show's runs, at the price of their time.{idle}")
    else:
        where = "there" if host.is_remote else "on a GPU here"
        st.caption(f"No step of this show has run {where} yet, so nothing was spent.")


def working(show: Show, host: Host) -> None:
    """What runs now, and what waits behind it."""
    st.markdown("**Running and waiting**" if host.queue else "**Running now**")
    if host.state in ("away", "asked"):
        st.caption("Not known while it does not answer.")
    elif not host.running and not host.working and not host.queue:
        here, there = "What is launched runs here, in a process of its own.", "No job waits there."
        st.caption(f"Nothing. {there if host.is_remote else here}")
    with st.container(gap="xxsmall"):
        for job in host.working[:MOST]:
            done = (
                f" · {job.at_step or job.done:,} of {job.of_steps or job.total:,}" if job.of_steps or job.total else ""
            )
            name = f"{job.step} of {job.unit}" if job.unit != shared.SHOW else job.step
            st.badge(f"{name}{done}", icon=STATES["running"].icon, color=STATES["running"].palette, width="content")
        for sent in host.queue[:MOST]:
            state = STATES["running" if sent.state == "running" else "missing"]
            id_ = sent.id.replace("`", "'")  # Within code nothing else ends it, and nothing is escaped.
            words = f"{sent.state} since {sent.at:%H:%M:%S} · `{id_}`"
            st.markdown(f":{state.palette}[{state.icon}] {words}", help=marks.plain(sent.message) or None)
        if more := len(host.working[MOST:]) + len(host.queue[MOST:]):
            st.caption(f"and {marks.count(more, 'more job')}; Runs has those of this show")
    for started in host.running:
        shell.job(show, started, launching.called(started) if started.verb == launching.VERB else "")
