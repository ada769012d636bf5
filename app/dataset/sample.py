"""One sample, exactly as the trainer will see it: every frame by its number, and the caption with its trigger."""

from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from app import components, marks, media, shared, ways
from pipeline.datasets import Row, Standing

_here = Path(__file__).parent
_sample = st.components.v2.component(
    "dailies_sample",
    html=(_here / "sample.html").read_text(encoding="utf-8"),
    css=(_here / "sample.css").read_text(encoding="utf-8") + components.SLIDER,
    js=(_here / "sample.js").read_text(encoding="utf-8"),
)


def part(of: Standing, row: Row, names: Mapping[str, str]) -> None:
    """The film, frame by frame, and beside it what is said of it."""
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _sample(data={"video": media.url(row.video), "frames": row.num_frames, "fps": row.fps}, key="sample")
    with right:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{marks.plain(row.stem)}**", width="content")
            held = row.split == "holdout"
            icon = ":material/visibility_off:" if held else ":material/model_training:"
            st.badge("held out" if held else "trained on", icon=icon, color="violet" if held else "blue")
        st.markdown(caption(of, row))
        figures = [
            f"{row.width}x{row.height} pixels",
            f"{row.num_frames} frames at {row.fps:g} a second",
            shared.duration(row.seconds),
            marks.count(row.words, "word"),
        ]
        st.caption(" · ".join(figures))
        if row.characters:
            st.caption(f"With {marks.plain(', '.join(names.get(each, each) for each in row.characters))}")
        if row.unsaid:
            st.caption(f":material/content_cut: {marks.count(row.unsaid, 'line')} cut short or off by the window")
        if (kept := of.psnr_db.get(row.stem)) is not None:
            st.caption(f":material/compare: its latents keep {kept:.1f} dB of it (PSNR)")
        address = ways.moment(row.episode, row.at)
        st.link_button("Where it is in the episode", address, icon=":material/movie:", type="tertiary")


def caption(of: Standing, row: Row) -> str:
    """The words that go into the text encoder, the trigger marked."""
    trigger, text = of.dataset.trigger, of.caption(row)
    if not trigger or not text.startswith(trigger):
        return marks.plain(text)
    return f":violet-background[**{marks.plain(trigger)}**] {marks.plain(text.removeprefix(trigger))}"
