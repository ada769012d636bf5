"""Review, progress: how far the reviewers are, where they work, and what goes to them and comes back."""

from collections.abc import Mapping
from urllib.parse import urlencode

import streamlit as st

from app import advice, beside, components, marks, shared, shell
from app import desk as actions
from app.review import pictures
from pipeline import control
from pipeline.control import Desk, Job, Show
from pipeline.quality import Progress, Quality


def part(show: Show, told: Quality) -> None:
    jobs = control.latest_jobs(show)
    now = beside.desk(show)
    standing(show, now, jobs)
    projects(now, told)
    waiting_column, drafts_column, done_column = st.columns(3, gap="medium")
    with waiting_column:
        waiting(show, told)
    with drafts_column:
        unsent(beside.drafts(show) if now.state == "ready" else None, is_asked=now.state == "ready")
    with done_column:
        done(show, jobs)


def standing(show: Show, now: Desk, jobs: Mapping[str, Job]) -> None:
    """Whether reviewers can work, and the one thing to do about it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        state, headline, detail = situation(now, jobs)
        look = shared.REVIEW if state == "review" else shared.STATES[state]
        st.badge(
            {"ready": "open", "empty": "empty", "asked": "asked"}.get(now.state, "not running"),
            icon=look.icon,
            color=look.palette,
            width="content",
        )
        with st.container(gap=None):
            st.markdown(f"**{headline}**")
            st.caption(marks.told(detail))
        if now.state in ("down", "never started") and now.ours:
            shell.start(show, "label-studio", "Start Label Studio", ":material/play_arrow:", jobs, primary=True)
        if now.state == "empty":
            shell.start(show, "push", "Push", ":material/upload:", jobs, primary=True)
        if now.state == "ready":
            shell.start(
                show, "pull", "Pull", ":material/download:", jobs, hint="Fetch the answers as a new snapshot.",
                primary=bool(now.new),
            )  # fmt: skip
            shell.start(
                show, "push", "Push", ":material/upload:", jobs,
                hint="Send what is new or changed. What people did is never touched.",
            )  # fmt: skip


def situation(now: Desk, jobs: Mapping[str, Job]) -> tuple[str, str, str]:
    """(state, headline, detail): a server that is down is not a project that was never pushed."""
    if now.state == "ready":
        done, total = sum(link.done for link in now.links), sum(link.total for link in now.links)
        new = advice.new(now)
        return "review", f"{done:,} of {total:,} tasks are answered", f"{new} Label Studio works at {now.url}"
    if now.state == "asked":
        return "missing", "Label Studio is being asked", "Its answer comes by itself."
    if now.state == "empty":
        return "missing", "Nothing was pushed yet", f"Label Studio works at {now.url} and has no tasks of this show."
    if shell.runs(jobs, "label-studio"):
        return "running", "Label Studio is starting", "The first start takes about a minute."
    if now.state == "never started":
        return "missing", "Label Studio was never started here", now.problem
    return "failed", "Label Studio does not answer", now.problem


def projects(now: Desk, told: Quality) -> None:
    """One card a project: what became of its tasks, the pace, and the ways in."""
    pulled = {each.kind.capitalize(): each for each in told.progress}
    live = {link.title: link for link in now.links}
    titles = list(dict.fromkeys([*live, *pulled]))
    if not titles:
        return
    for column, title in zip(st.columns(max(2, len(titles))), titles, strict=False):
        of, link = pulled.get(title), live.get(title)
        with column.container(border=True, height="stretch"):
            done, total = (link.done, link.total) if link else (of.done, of.tasks) if of else (0, 0)
            st.markdown(f"**{title}** :gray[{done:,} of {total:,}]")
            found = pictures.parts(of, done, total)
            components.drawing(pictures.bar(found, total or 1), key=f"bar-{title}")
            st.caption(pace(of, total - done))
            if link:
                with st.container(horizontal=True):
                    st.link_button("Next task", link.next_task, icon=":material/rate_review:", width="content")
                    st.link_button("All tasks", link.url, icon=":material/list:", type="tertiary", width="content")


def pace(of: Progress | None, left: int) -> str:
    """How long a task takes and what is left, as words."""
    if of is None:
        return "Pull to see the pace and what wants a second look."
    if not left:
        return "Nothing is left."
    if of.median_seconds is None or of.minutes_left is None:
        return f"{left:,} left; too few answers were timed to tell the pace."
    each = of.minutes_left / of.left if of.left else 0
    minutes = max(1, round(left * each))
    return f"{shared.duration(of.median_seconds)} a task · about {shared.duration(minutes * 60)} left"


def unsent(found: Mapping[str, int] | None, *, is_asked: bool) -> None:
    st.markdown("**Begun and not sent**")
    if found is None and is_asked:
        st.caption("Label Studio is being asked.")
        return
    if found is None:
        st.caption("Label Studio tells whose drafts are open once it runs and has tasks.")
        return
    if not found:
        st.caption("Nobody has a draft open.")
    for person, count in found.items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            st.markdown(f":material/edit_note: {marks.plain(person)}", width="content")
            st.caption(f"{marks.count(count, 'draft')}: Label Studio keeps them until they are submitted")


def waiting(show: Show, told: Quality) -> None:
    """What the lead can settle here, each with the way to it."""
    st.markdown("**Waiting for you**")
    try:
        found = actions.waiting(show)
    except control.MENDABLE as error:
        st.caption(marks.told(str(error)))
        return
    if found is None:
        st.caption("It is being counted what an answer settles too; the figures come by themselves.")
        return
    second = sum(each.second_look for each in told.progress)
    rows = [
        (found.places, "place", "that an answer settles too", "More like this"),
        (found.lines, "line", "for the bible", "Glossary"),
        (second, "task", "for a second look", "Flagged"),
    ]
    ways = [
        f'<a class="way" href="/review?{urlencode({"part": part_})}" data-here>'
        f"<span><b>{number:,}</b> {what if number == 1 else f'{what}s'} {why}</span><span>→</span></a>"
        for number, what, why, part_ in rows
        if number
    ]
    if ways:
        components.drawing("".join(ways), key="waiting")
    else:
        st.caption("Nothing. Reviewers' answers bring more with the next pull.")


def done(show: Show, jobs: Mapping[str, Job]) -> None:
    """What the last push, pull and start of Label Studio did."""
    st.markdown("**Last done**")
    shown = [jobs[verb] for verb in ("pull", "push", "label-studio") if verb in jobs]
    if not shown:
        st.caption("Nothing was pushed or pulled from here yet; `dailies push` and `dailies pull` do the same.")
    for job in sorted(shown, key=lambda each: each.at, reverse=True):
        shell.job(show, job)
