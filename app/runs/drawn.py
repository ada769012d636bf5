"""What the Runs page draws with HTML of its own: rows, bars, lights, tables. Whatever can be opened is a link."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

_here = Path(__file__).parent
_drawn = st.components.v2.component(
    "dailies_runs",
    html="<div class='drawn'></div>",
    css=(_here / "drawn.css").read_text(encoding="utf-8"),
    js="""
    export default function ({ data, parentElement, setTriggerValue }) {
      const root = parentElement.querySelector(".drawn")
      // The same again is left as it is: a film that plays goes on playing, and what is selected stays so.
      if (root.dataset.html !== data.html) {
        root.dataset.html = data.html
        root.innerHTML = data.html
      }
      root.onclick = (event) => {
        const link = event.target.closest("a[data-open]")
        if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return  // Another tab, by the link itself.
        event.preventDefault()
        setTriggerValue("opened", link.dataset.open)
      }
    }
    """,
)


def drawn(html: str, key: str, on_opened: Callable[[str], None] | None = None) -> None:
    """Show HTML whose texts are escaped. A link with `data-open` is told to `on_opened` instead of being followed."""
    key = f"drawn-{key}"

    def opened() -> None:
        state = st.session_state.get(key)
        found = state.get("opened") if state else None
        if found and on_opened:
            on_opened(str(found))

    _drawn(data={"html": html}, key=key, on_opened_change=opened)
