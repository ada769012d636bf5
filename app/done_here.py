"""What was done in the panel: who, when, what, from where, and what came of it."""

from pathlib import Path

import pandas as pd
import streamlit as st

from app import access, shell
from pipeline import panel_log
from pipeline.panel_log import Outcome

MOST = 200
OUTCOMES: dict[Outcome, str] = {"begun": "► begun", "done": "✓ done", "failed": "✕ failed", "refused": "⊘ refused"}


def part(folder: Path) -> None:
    """Closed, it reads nothing."""
    with st.expander("What was done here", icon=":material/history:", key="done-here", on_change="rerun") as opened:
        if opened.open:
            table(folder)


def table(folder: Path) -> None:
    found = panel_log.entries(folder, MOST)
    if not found:
        shell.nothing("Nothing was done here yet", "Every push, pull, launch and undo of the panel is kept here.")
        return
    rows = [
        {
            "When": f"{each.at:%d %b %H:%M:%S}",
            "Who": each.by,
            "From": each.address,
            "What": each.what,
            "Outcome": OUTCOMES[each.outcome],
            "Said": each.said,
        }
        for each in found
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height=min(420, 38 + 35 * len(rows)))
    note = "Nobody has to sign in, so names are what people say they are. " if not access.is_closed() else ""
    st.caption(f"{note}The newest first; `dailies panel log` prints all of it.")
