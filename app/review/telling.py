"""Review, what it tells: how right which machine was, whether it asked the right things, and what is left."""

from collections.abc import Iterator

import pandas as pd
import streamlit as st

from app import components, marks, shell
from app.review import pictures
from app.review.people import share
from app.shared import Palette
from pipeline.quality import Estimate, Quality, Range

MOST_CORRECTIONS = 12

VERDICTS: dict[bool | None, tuple[str, Palette]] = {
    True: ("enough", "green"),
    False: ("go on", "violet"),
    None: ("too early to tell", "gray"),
}


def part(told: Quality) -> None:
    if not told.decisions:
        shell.nothing(
            "Nothing was pulled yet",
            "From the first answers on, this tells how often the machine was right, and how many errors are left.",
            ":material/insights:",
        )
        return
    errors_left(told.estimate)
    st.subheader("How right the machine was", anchor=False)
    versions(told)
    doubts, scores = st.columns([2, 3], gap="medium")
    with doubts:
        st.subheader("Did it ask the right things", anchor=False)
        questions(told)
    with scores:
        st.subheader("Do its scores mean what they say", anchor=False)
        calibration(told)
    corrections(told)


def errors_left(of: Estimate) -> None:
    """Whether to go on: the sentence, and the figures it rests on."""
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            words, colour = VERDICTS[of.enough]
            st.badge(words, color=colour, icon=":material/flag:", width="content")
            st.markdown(marks.plain(of.words))
        figures = list(estimates(of))
        for column, (name, value, hint) in zip(st.columns(len(figures)), figures, strict=True):
            column.metric(name, value, help=hint)


def estimates(of: Estimate) -> Iterator[tuple[str, str, str]]:
    yield "Errors found", f"{of.found:,}", f"in {marks.count(of.reviewed, 'reviewed clip')}"
    yield "Left in reviewed clips", ranged(of.left_in_reviewed), "What reviewers overlooked; 90 % range"
    yield "In clips to come", ranged(of.in_unreviewed), f"in {marks.count(of.unreviewed, 'clip')}; 90 % range"
    yield f"Found by {of.more} more", ranged(of.found_by_more), "What the next clips would show; 90 % range"
    yield "Known answers found", share(of.checks), "Hidden known answers: how many errors reviewers notice"


def ranged(of: Range | None) -> str:
    return "–" if of is None else f"{of.likely:,.0f}  ({of.low:,.0f}–{of.high:,.0f})"


def versions(told: Quality) -> None:
    heard = [
        {
            "Transcript by": each.version,
            "Clips": each.clips,
            "Word error rate": share(each.word_errors),
            "Lines unchanged": share(each.unchanged),
            "Names right": share(each.names),
            "Names invented": each.invented,
            "Speakers right": share(each.speakers),
        }
        for each in told.heard
    ]
    captioned = [
        {
            "Captions by": each.version,
            "Kept as they were": share(each.unchanged),
            "Edited": share(each.edited),
            "Dropped": share(each.dropped),
            "Second look": share(each.second_look),
        }
        for each in told.captioned
    ]
    for rows, none in ((heard, "No transcript was judged yet."), (captioned, "No caption was judged yet.")):
        if rows:
            whole = st.column_config.NumberColumn(format="localized")
            columns = {"Clips": whole, "Names invented": whole}
            st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)
        else:
            st.caption(none)


def questions(told: Quality) -> None:
    for each in told.doubted:
        with st.container(border=True, gap="xsmall"):
            st.markdown(f"**{each.kind.capitalize()}** :gray[{share(each.answered)} questions answered]")
            if each.real.of:
                st.markdown(f"Real doubts: **{share(each.real)}** answers changed what stood")
            if each.caught.of:
                st.markdown(
                    f"Errors asked about: **{share(each.caught)}**; {marks.count(each.missed, 'error')} found elsewhere"
                )
            if not each.real.of and not each.caught.of:
                st.caption("Nothing to measure yet.")


def calibration(told: Quality) -> None:
    shown = [each for each in told.calibration if each.bins]
    if not shown:
        st.caption("Too few answers to compare scores with.")
        return
    for column, each in zip(st.columns(max(3, len(shown))), shown, strict=False):
        with column:
            error = "" if each.error is None else f", off by {100 * each.error:.0f} points"
            st.markdown(f"**{each.of.capitalize()}** :gray[{each.scores:,} scores{error}]")
            components.drawing(pictures.reliability(each), key=f"calibration-{each.of}")
    st.caption("Across: the machine's score. Up: the share that was right. On the dashed line a score keeps its word.")


def corrections(told: Quality) -> None:
    st.subheader("What people change most", anchor=False)
    if not told.corrections:
        st.caption("People changed nothing.")
        return
    for each in told.corrections[:MOST_CORRECTIONS]:
        asked = f"asked about {marks.count(each.asked, 'time')}" if each.asked else "never asked about"
        st.markdown(f"**{each.count}×** {marks.changed(each.was, each.now)} :gray[{each.kind}, {asked}]")
