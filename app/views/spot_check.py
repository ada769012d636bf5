"""Spot check: an episode's first captions, with their faults and their cost, before the whole show is captioned."""

from html import escape

import streamlit as st

from app import components, marks, media, shared, shell, ways
from app.shared import STATES, Palette
from pipeline import control, spot_check, timelines
from pipeline.control import Show
from pipeline.spot_check import Checked, SpotCheck

FOLLOW_SECONDS = 3.0  # between two looks
FIRST = 3
DOUBTFUL = 0.5  # a caption that scores less is shown so
TELLING_SECONDS = 0.1  # less than this tells no pace


def page() -> None:
    show = shell.show()
    if show is None:
        return
    shell.heading("Spot check", marks.plain(show.file.name))
    # All of it, so that nothing has to be drawn anew from outside when a check begins or ends.
    st.fragment(follow, run_every=FOLLOW_SECONDS)()


def follow() -> None:
    """Everything on the page; runs again by itself."""
    show = shell.show()
    if show is None:
        return
    shell.tell()
    try:
        content(show)
    except control.MENDABLE as error:
        shell.problem("This cannot be shown yet.", str(error))


def content(show: Show) -> None:
    jobs = control.latest_jobs(show)
    busy = shell.runs(jobs, spot_check.VERB)
    with st.container(border=True, horizontal=True, vertical_alignment="bottom", gap="medium"):
        episode = st.selectbox("Episode", list(show.episodes()), key="episode", bind="query-params", width=220)
        count = int(st.number_input("Clips", 1, spot_check.MOST, FIRST, key="clips", width=120))
        now = spot_check.look(show, episode, count)

        def begin(person: str) -> str:
            spot_check.begin(show, episode, count, by=person)
            return "Begun. What is made is kept for the whole run."

        label = "Spot check runs" if busy else f"Caption {marks.count(count, 'clip')}"
        done = now.whole or len(now.checked) >= min(count, now.clips or count)
        shell.act(label, ":material/visibility:", "check", begin, primary=not done, disabled=busy or now.whole)
        if now.checked and not now.whole:
            shell.start(
                show, "run", "Run the show", ":material/play_arrow:", jobs, primary=done and not busy,
                hint="All steps that are not up to date. These captions are taken as they are.",
            )  # fmt: skip
    if busy:
        doing(show)
    elif spot_check.VERB in jobs and jobs[spot_check.VERB].state != "done":
        shell.job(show, jobs[spot_check.VERB])
    situation(now)
    if now.checked:
        cost(now)
        found = timelines.timelines(show, [now.episode])
        stills = {each.id: media.url(each.still) for shown in found for each in shown.clips if each.still}
        for each in now.checked:
            clip(now, each, stills.get(each.clip, ""))


def doing(show: Show) -> None:
    """What the check is at."""
    state = STATES["running"]
    with st.container(border=True, gap="small"):
        for each in spot_check.doing(show) or [spot_check.Doing("begins", "")]:
            done = f" · {each.done} of {each.total}" if each.total else ""
            st.badge(f"{each.step} {each.unit}{done}".strip(), icon=state.icon, color=state.palette, width="content")
            if each.note:
                st.caption(marks.plain(each.note))


def situation(now: SpotCheck) -> None:
    """What is shown below, or what would have to be made first."""
    if not now.checked:
        detail = "A few clips are captioned as the whole show would be. They are kept, so nothing is made twice."
        if now.waits:
            first = [f"{step} of {unit}" if unit != shared.SHOW else step for step, unit in now.waits]
            detail += f" Before them {marks.count(len(first), 'step')} must run: {', '.join(first)}."
        shell.nothing(f"No caption of {now.episode} to look at yet", detail, ":material/subtitles:")
        return
    written = " · ".join(marks.plain(words) for words in now.by)
    what = "is captioned; its first" if now.whole else "is not captioned yet; a sample of its first"
    st.caption(f"{marks.plain(now.episode)} {what} {len(now.checked)} of {marks.count(now.clips, 'clip')}. {written}")
    faulty = sum(bool(each.faults) for each in now.checked)
    if faulty and now.will_repair:
        st.caption(f"{marks.count(faulty, 'caption')} with faults: a run asks the model about them once more.")


def cost(now: SpotCheck) -> None:
    measured = now.cost
    if measured is None:
        st.caption("Nothing was measured: these were kept from an earlier run.")
        return
    pace = f"{60 * measured.clips / measured.seconds:,.1f}" if measured.seconds >= TELLING_SECONDS else "–"
    tokens = f"{measured.tokens_in / measured.clips:,.0f} → {measured.tokens_out / measured.clips:,.0f}"
    whole = shared.duration(measured.seconds_for(now.show_clips))
    uncut = f"; {marks.count(now.uncut, 'episode')} not cut yet" if now.uncut else ""
    figures = [
        ("A clip", shared.duration(measured.seconds_for(1)), "Looking at it and writing; loading the model aside"),
        ("Clips a minute", pace, "Too quick to measure" if pace == "–" else ""),
        (f"Whole show, {now.show_clips:,} clips", whole, f"At this pace{uncut}"),
    ]
    if measured.tokens_out:
        figures.append(("Tokens a clip", tokens, "Read → written"))
    if measured.peak_memory_gib:
        figures.append(("Model memory", f"{measured.peak_memory_gib:.1f} GiB", "At its peak"))
    for column, (name, value, hint) in zip(st.columns(max(4, len(figures))), figures, strict=False):
        column.metric(name, value, help=hint or None)


def clip(now: SpotCheck, of: Checked, still: str) -> None:
    """The clip, what is truly said in it, and its caption with the faults marked."""
    with st.container(border=True):
        left, right = st.columns([1, 2], gap="medium")
        with left:
            # Streamlit's own player would load the whole film into the panel's memory.
            film = (
                f'<video class="film" controls preload="metadata" poster="{escape(still)}" '
                f'src="{escape(media.url(of.video))}"></video>'
            )
            components.drawing(film, key=f"film-{of.clip}")
        with right:
            with st.container(horizontal=True, vertical_alignment="center"):
                way = ways.clip(now.episode, of.clip)
                st.markdown(f"[**{marks.plain(of.clip)}**]({way}) :gray[{marks.clock(of.span.start)}]", width="content")
                colour: Palette = "orange" if of.faults or of.caption.score < DOUBTFUL else "green"
                st.badge(f"score {of.caption.score:.2f}", color=colour, width="content")
            said = [f"{marks.plain(who or 'nobody known')}: {marks.plain(words)}" for who, words in of.said]
            st.caption("  \n".join(f":material/graphic_eq: {line}" for line in said or ["Nobody speaks."]))
            st.markdown(marks.flagged(of.caption.text, [fault.where for fault in of.faults]))
            if of.caption.short:
                st.markdown(f":gray[short:] {marks.plain(of.caption.short)}")
            if seen := of.caption.observed:
                fields = [seen.shot, seen.camera, seen.light, seen.sounds]
                st.caption(" · ".join(marks.plain(each) for each in fields if each))
            for fault in of.faults:
                st.markdown(f":orange[:material/flag: **{fault.kind}**] {marks.plain(fault.what)}")
            for note in of.notes:
                st.caption(f":material/help: {marks.plain(note)}")


page()
