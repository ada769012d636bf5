"""Review, glossary: mishearings that people corrected twice, offered as lines of bible.toml, written on a word."""

from functools import partial

import streamlit as st

from app import components, desk, marks, shell, ways
from pipeline import control
from pipeline.control import Show


def part(show: Show) -> None:
    offers = desk.glossary(show)
    if not offers:
        shell.nothing(
            "No line is offered for the bible",
            "A mishearing that people corrected in two places is offered here, and the next episode starts with it.",
            ":material/menu_book:",
        )
        return
    links = control.task_links(show)
    for offer in offers:
        with st.container(border=True):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"“{marks.plain(offer.heard)}” is **{marks.plain(offer.right)}** misheard")
                shell.act(
                    f"Write into {show.file.bible}",
                    ":material/edit_document:",
                    f"write-{offer.id}",
                    partial(written, show, offer.id),
                )
            named = [f"[{marks.plain(key)}]({links.get(key) or ways.task(key)})" for key in offer.places]
            st.caption(f"Corrected in {', '.join(named[:6])}{' and others' if len(named) > 6 else ''}")
            components.drawing(marks.unified(offer.diff), key=f"diff-{offer.id}")
            for warning in offer.warnings:
                st.warning(marks.plain(warning), icon=":material/warning:")


def written(show: Show, offer_id: str, person: str) -> str:
    offer = desk.write_glossary(show, offer_id, person)
    return f"{show.file.bible} lists “{offer.heard}” now: the next run makes anew what it changes."
