"""Runs: what runs now and what ran, step by step, and how trainings do."""

import streamlit as st

from app import marks, shell
from app.runs import acting, compare, drawn, one, pictures
from pipeline import control, runs
from pipeline.control import Show

FOLLOW_SECONDS = 2.0  # between two looks
PAGE = 25


def page() -> None:
    show = shell.show()
    if show is None:
        return
    shell.heading("Runs", marks.plain(show.file.name))
    # Always as often: to change that, the whole page is drawn anew, and a click that comes meanwhile may be lost.
    st.fragment(follow, run_every=FOLLOW_SECONDS)()


def back() -> None:
    """From one run to all of them."""
    drawn.drawn('<a class="back" href="/runs" data-here>← All runs</a>', "back")


def follow() -> None:
    """All that changes while one watches; runs again by itself."""
    show = shell.show()
    if show is None:
        return
    shell.tell()
    try:
        content(show)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


def content(show: Show) -> None:
    """What the address asks for."""
    if made := acting.follow_resumed(show):
        st.query_params.from_dict({"run": made})
        st.rerun()
    if run_id := st.query_params.get("run"):
        run = runs.find(show, run_id)
        back()
        if run is None:
            shell.problem("There is no such run.", run_id[:120], "“All runs” has those there are.")
        else:
            one.part(show, run)
    elif "compare" in st.query_params:
        back()
        compare.part(show, runs.listed(show, 4 * PAGE)[0])
    else:
        listed(show)


def listed(show: Show) -> None:
    """All runs, the newest first."""
    total = len(runs.ids(show))
    launches = runs.stillborn(show)
    if not total and not launches:
        shell.nothing(
            "Nothing ran yet", "“Run” on Overview, or `dailies run`, makes what is missing. It is then followed here.",
            ":material/directions_run:",
        )  # fmt: skip
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{marks.count(total, 'run')}**", width="content")
        page_ = st.pagination(-(-total // PAGE), key="runs-page") if total > PAGE else 1
        drawn.drawn('<a class="back" href="/runs?compare=choose" data-here>⇄ Compare trainings</a>', "compare")
    found, _ = runs.listed(show, PAGE, (page_ - 1) * PAGE)
    drawn.drawn(pictures.listed(found, launches if page_ == 1 else ()), "runs-list")


page()
