"""A contact sheet: stills with a line of where and a line of what, each of them a link that opens on this page."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

_sheet = st.components.v2.component(
    "dailies_contact_sheet",
    html="<div class='sheet'></div>",
    css="""
    .sheet { display: grid; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: .8em;
             font: .84rem/1.4 var(--st-font); }
    a { color: var(--st-text-color); text-decoration: none; border: 1px solid var(--st-border-color);
        border-radius: 8px; overflow: hidden; display: flex; flex-direction: column; }
    .chosen { border-color: var(--st-primary-color); box-shadow: 0 0 0 1px var(--st-primary-color); }
    a:hover, a:focus-visible { border-color: var(--st-primary-color); }
    img, .none { width: 100%; aspect-ratio: 16/9; object-fit: cover; display: block;
                 background: color-mix(in srgb, var(--st-text-color) 9%, transparent); }
    p { margin: 0; padding: .4em .7em; }
    .where { opacity: .65; padding-bottom: 0; font-variant-numeric: tabular-nums; }
    .text { display: -webkit-box; -webkit-line-clamp: 4; -webkit-box-orient: vertical; overflow: hidden;
            padding-bottom: 0; margin-bottom: .5em; }
    b { font-weight: 600; }
    """,
    js="""
    export default function ({ data, parentElement, setTriggerValue }) {
      const make = (tag, text, name) => {
        const element = document.createElement(tag)
        if (text) element.textContent = text
        if (name) element.className = name
        return element
      }
      parentElement.querySelector(".sheet").replaceChildren(...data.hits.map((hit) => {
        const link = make("a", "", hit.chosen ? "chosen" : "")
        link.href = hit.url
        const still = make(hit.still ? "img" : "div", "", hit.still ? "" : "none")
        if (hit.still) {
          still.loading = "lazy"
          still.alt = ""
          still.src = hit.still
        }
        const line = make("p", "", "text")
        if (hit.lead) line.append(make("b", hit.lead + ": "))
        line.append(hit.text)
        link.append(still, make("p", hit.where, "where"), line)
        link.onclick = (event) => {
          if (event.ctrlKey || event.metaKey || event.shiftKey) return  // Another tab, by the link itself.
          event.preventDefault()
          setTriggerValue("opened", hit.open)
        }
        return link
      }))
    }
    """,
)


def sheet(hits: Sequence[dict[str, Any]], key: str, on_opened: Callable[[], None]) -> None:
    """Show stills. Each hit has `url` (of a tab of its own), `open` (what `opened` then returns), `still` (an address
    or ""), `where`, `lead` (bold before the text, or ""), `text`, and may be `chosen`.
    """
    _sheet(data={"hits": list(hits)}, key=key, on_opened_change=on_opened)


def opened(key: str) -> dict[str, Any] | None:
    """What was clicked, once."""
    state = st.session_state.get(key)
    found = state.get("opened") if state else None
    return dict(found) if found else None
