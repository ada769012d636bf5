"""Review, people: who reviews, how far and how alike they are, and logins for new ones."""

import pandas as pd
import streamlit as st

from app import beside, marks, shell
from pipeline import control
from pipeline.control import Show
from pipeline.quality import Quality, Share


def part(show: Show, told: Quality) -> None:
    table(told)
    new, invite = st.columns(2, gap="medium")
    with new.container(border=True, height="stretch"):
        add(show)
    with invite.container(border=True, height="stretch"):
        ways_in(show)


def table(told: Quality) -> None:
    if not told.people:
        shell.nothing("Nobody's answers were pulled yet", "Add a person below, push, and pull what they decided.")
        return
    rows = [
        {
            "Reviewer": person.by,
            "Transcripts": person.transcripts,
            "Captions": person.captions,
            "Skipped": person.skipped,
            "A transcript": person.transcript_seconds,
            "A caption": person.caption_seconds,
            "Agreement": share(person.agreement),
            "Known answers": share(person.checks),
        }
        for person in told.people
    ]
    seconds = st.column_config.NumberColumn(format="%.0f s", help="Median seconds an answer")
    whole = st.column_config.NumberColumn(format="localized")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "Transcripts": whole,
            "Captions": whole,
            "Skipped": whole,
            "A transcript": seconds,
            "A caption": seconds,
            "Agreement": st.column_config.TextColumn(
                help="Answers that others gave alike, of those that others gave too"
            ),
            "Known answers": st.column_config.TextColumn(help="Hidden known answers found, of those found or missed"),
        },
    )


def share(of: Share) -> str:
    return "–" if of.share is None else f"{100 * of.share:.0f} % of {of.of:,}"


def add(show: Show) -> None:
    st.markdown("**Add a reviewer**")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("E-mail", key="new-person", placeholder="ben@example.com")
        shell.act("Add", ":material/person_add:", "add-person", lambda _: added(show))
    if person := st.session_state.get("added"):
        st.caption("Send them this; the password is shown this once.")
        st.code(f"{person.url}\n{person.email}\n{person.password}", language=None)
    else:
        st.caption("A login of their own in Label Studio, so that decisions say whose they are.")


def added(show: Show) -> str:
    person = control.add_person(show, str(st.session_state.get("new-person", "")).strip())
    st.session_state.added = person
    st.session_state["new-person"] = ""
    return f"{person.email} can log in."


def ways_in(show: Show) -> None:
    st.markdown("**Ways in**")
    now = beside.desk(show)
    if now.state == "asked":
        st.caption("Label Studio is being asked.")
        return
    if now.state in ("down", "never started"):
        st.caption(marks.told(now.problem))
        return
    st.link_button("Log in to Label Studio", now.login, icon=":material/login:", width="content")
    shell.act("Show an invite link", ":material/link:", "invite", lambda _: invited(show))
    if link := st.session_state.get("invitation"):
        st.code(link, language=None, wrap_lines=True)
    st.caption("Whoever has the invite link can make a login; add people by e-mail where that is too much.")


def invited(show: Show) -> str:
    st.session_state.invitation = control.invitation(show)
    return "Anybody with this link can sign up."
