"""What may be done with a run: save, sample, end, go on. Going on says first what it would do."""

from functools import partial
from pathlib import Path

import streamlit as st

from app import marks, shell
from pipeline import control, runs, runs_asks
from pipeline.control import Show
from pipeline.runs import Run
from pipeline.runs_asks import Resumption
from pipeline.runs_told import Job

OPEN = "resume-open"
"""In the session: what going on with a run would do, as it was when somebody asked."""


def buttons(show: Show, run: Run, job: Job | None) -> None:
    """The buttons that make sense now, beside each other."""
    if run.state == "running":
        key = f"{job.step}/{job.unit}" if job else ""
        busy = run.is_ending or job is None or job.training is None or job.state != "running"
        if job is not None and job.training is not None:
            shell.act(
                "Save now", ":material/save:", "save-now", partial(_asked, show, run, key, "save"), disabled=busy,
                help="Keeps a checkpoint after this step.",
            )  # fmt: skip
            shell.act(
                "Sample now", ":material/movie:", "sample-now", partial(_asked, show, run, key, "sample"),
                disabled=busy,
                help="Makes all samples after this step; training waits for them.",
            )  # fmt: skip
        shell.act(
            "Cancelling" if run.is_ending else "Cancel", ":material/stop:", "cancel", partial(_cancelled, show, run),
            disabled=run.is_ending,
            help="Ends its jobs. A training keeps a checkpoint first, to go on from; what is finished stays.",
        )  # fmt: skip
    elif run.state != "done" and run.told.jobs:
        label = "Resume" if job is not None and job.training is not None else "Run again"
        st.button(
            f"{label} …",
            icon=":material/resume:",
            key="resume",
            width="content",
            on_click=_look,
            args=(show.folder, run.id),
        )


def _look(folder: Path, run_id: str) -> None:
    """Work out what going on would do, once, by the settings of this moment: they may be newer than what is drawn."""
    with shell.told_problems():
        show = control.open_show(folder)
        run = runs.read(show, run_id)
        left = [each for each in run.trainings if run.state_of(each) not in ("done", "fresh")]
        st.session_state[OPEN] = (run.id, [runs_asks.resumption(show, run, each) for each in left])


def _asked(show: Show, run: Run, key: str, what: runs_asks.Ask, person: str) -> str:
    runs_asks.ask(show, run.id, key, what, by=person)
    return "A checkpoint is kept after this step." if what == "save" else "Samples are made after this step."


def _cancelled(show: Show, run: Run, person: str) -> str:
    runs_asks.cancel(show, run.id, by=person)
    return "It is ending. What is finished is kept, and a training keeps a checkpoint first."


def resuming(show: Show, run: Run) -> None:
    """What going on would do, and the button that does it; only where somebody asked."""
    open_run, found = st.session_state.get(OPEN, ("", []))
    if open_run != run.id or run.state == "running":
        return
    anew = any(not each.goes_on for each in found)
    with st.container(border=True):
        st.markdown("**What going on would do**")
        for each in found:
            st.markdown(told(each))
        if not found:
            st.markdown("Jobs that did not end are run again. Items that were finished are taken as they are.")
        st.caption("Nothing is overwritten: checkpoints, samples and results stay under what they were made of.")
        with st.container(horizontal=True, vertical_alignment="center"):
            label = "Begin anew" if anew else "Go on"
            shell.act(label, ":material/play_arrow:", "go-on", partial(_resumed, show, run), primary=not anew)
            st.button("Leave it", key="leave", type="tertiary", on_click=st.session_state.pop, args=(OPEN, None))


def told(found: Resumption) -> str:
    """A resumption in words, as Markdown."""
    name, checkpoint = f"**{marks.plain(found.job.step)}**", found.checkpoint
    lost = "".join(f" The checkpoint of {marks.plain(each)}." for each in found.lost)
    if found.waits:
        waits = marks.plain(", ".join(found.waits))
        return f"{name}: {waits} must be made first; then it goes on if that is the same.{lost}"
    if not found.is_known:
        return f"{name}: what this run was to make was not written down, so it may begin anew at step 1.{lost}"
    if found.changed:
        kept = f" The checkpoint of step {checkpoint.step:,} stays as it is." if checkpoint else ""
        reasons = "\n".join(f"- {marks.plain(each)}" for each in found.changed)
        return (
            f":orange[:material/warning:] {name} would **begin anew at step 1**: with what has changed since, the same"
            f" steps would not follow each other.{kept}\n{reasons}"
        )
    if checkpoint is None:
        return f"{name} kept no checkpoint: it **begins at step 1**.{lost}"
    optimizer = "with its optimizer" if found.has_optimizer else "**without** its optimizer"
    return (
        f":green[:material/check_circle:] {name} goes on from **step {checkpoint.step:,} of {found.of:,}**,"
        f" {optimizer}: `{checkpoint.weights.name.rpartition('/')[2]}`, {found.tensors:,} tensors, read just now. The"
        f" steps that follow are the same as if it had never stopped.{lost}"
    )


def _resumed(show: Show, run: Run, person: str) -> str:
    started = runs_asks.resume(show, run.id, by=person)
    st.session_state.pop(OPEN, None)
    st.session_state["awaited"] = started.id
    return "Begun. It goes on when this page is closed."


def follow_resumed(show: Show) -> str | None:
    """The run that a resumption made, once it is there."""
    awaited = st.session_state.get("awaited")
    found = runs.of_job(show, awaited) if awaited else None
    if found is not None and st.query_params.get("run") == found.id:
        st.session_state.pop("awaited")  # Not before: a refresh that was under way comes with the old address.
        return None
    return found.id if found else None
