"""What the Runs page draws with HTML of its own: rows, bars, lights, tables. Whatever can be opened is a link."""

from pathlib import Path

import streamlit as st

from app import components

_here = Path(__file__).parent
_drawn = st.components.v2.component(
    "dailies_runs",
    html="<div class='drawn'></div>",
    css=(_here / "drawn.css").read_text(encoding="utf-8"),
    js=components.FOLLOW
    + """
    export default function ({ data, parentElement }) {
      const root = parentElement.querySelector(".drawn")
      // The same again is left as it is: a film that plays goes on playing, and what is selected stays so.
      if (root.dataset.html !== data.html) {
        root.dataset.html = data.html
        root.innerHTML = data.html
      }
      root.onclick = (event) => {
        const link = event.target.closest("a[data-here]")
        if (link) follow(event, link.href)
      }
    }
    """,
)


def drawn(html: str, key: str) -> None:
    """Show HTML whose texts are escaped. A link with `data-here` is one within this page."""
    _drawn(data={"html": html}, key=f"drawn-{key}")
