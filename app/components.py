"""HTML that the page's own elements cannot show: drawings. Text in them must be escaped by whoever writes it."""

import streamlit as st

# st.html takes SVG out of what it is given; as an image, a drawing would lose the theme's colours and its hints.
_drawing = st.components.v2.component(
    "dailies_drawing",
    html="<div></div>",
    css="""
    div { color: var(--st-text-color); font-family: var(--st-font); }
    """,
    js="""
    export default function ({ data, parentElement }) {
      parentElement.querySelector("div").innerHTML = data.html
    }
    """,
)


def drawing(html: str, key: str) -> None:
    """Show HTML or SVG in the page's colours and font."""
    _drawing(data={"html": html}, key=key)
