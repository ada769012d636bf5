"""Launch, what goes on: the launches that run and the last that ended, each with the way to its run."""

import streamlit as st

from app import shell
from pipeline import launching, runs
from pipeline.control import Show


def part(show: Show) -> None:
    found = launching.recent(show)
    if not found:
        return
    st.subheader("Launched", anchor=False)
    for row in (found[:2], found[2:]):
        for column, job in zip(st.columns(2, gap="medium"), row, strict=False):
            with column:
                shell.job(show, job, launching.called(job))
                if run := runs.of_job(show, job.id):
                    st.page_link(
                        "views/runs.py",
                        label="Progress, log and samples",
                        icon=":material/monitoring:",
                        query_params={"run": run.id},
                    )
