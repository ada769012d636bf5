"""Hosts: the machines that work runs on, their cards, what runs there, and what it costs."""

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
        for host in hosts.hosts(show):
            machines.card(show, host)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


page()
