"""Hosts: this machine and the GPU hosts that work runs on, their cards, what runs there, and what it costs."""

from pathlib import Path

import streamlit as st

from app import marks, shell
from app.launch import machines
from pipeline import control, hosts

FOLLOW_SECONDS = 4.0


def page() -> None:
    if shell.show() is not None:
        st.fragment(content, run_every=FOLLOW_SECONDS)()


def content() -> None:
    """Everything here changes while one watches."""
    show = shell.show()
    if show is None:
        return
    shell.heading("Hosts", marks.plain(show.file.name))
    shell.tell()
    try:
        found = hosts.hosts(show)
        # Who pays for nothing needs no count of what is left, which takes longer than all else here.
        left = outlook(str(show.folder)) if any(host.price or host.is_remote for host in found) else None
        for host in found:
            machines.card(show, host, left)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


@st.cache_data(ttl=20, show_spinner=False)
def outlook(folder: str) -> control.Forecast:
    """What is left to make: it changes slower than this page looks."""
    return control.outlook(control.open_show(Path(folder)))[1]


page()
