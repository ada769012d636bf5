"""A contact sheet: stills with a line of where and a line of what, each of them a link."""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from app import components, marks, media, ways
from pipeline import timelines
from pipeline.control import Show

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
    .small { grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); font-size: .8rem; }
    .small .text { -webkit-line-clamp: 2; }
    """,
    js=components.FOLLOW
    + """
    export default function ({ data, parentElement, setTriggerValue }) {
      const make = (tag, text, name) => {
        const element = document.createElement(tag)
        if (text) element.textContent = text
        if (name) element.className = name
        return element
      }
      const root = parentElement.querySelector(".sheet"), told = JSON.stringify(data)
      // The same again is left as it is, so that a press that a refresh comes between is still a click.
      if (root.dataset.told === told) return
      root.dataset.told = told
      root.classList.toggle("small", data.small)
      root.replaceChildren(...data.hits.map((hit) => {
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
          if (!hit.open) return follow(event, hit.url)
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
    _sheet(data={"hits": list(hits), "small": False}, key=key, on_opened_change=on_opened)


def clips(show: Show, listed: Sequence[tuple[str, str, str]], key: str, chosen: str = "") -> None:
    """Clips as a sheet of small stills; each is (episode, clip, what is said of it), and opens on the Episodes page."""
    shown = {
        clip.id: clip for each in timelines.timelines(show, sorted({e for e, *_ in listed})) for clip in each.clips
    }
    hits = []
    for episode, clip_id, said in listed:
        clip = shown.get(clip_id)
        hits.append(
            {
                "url": ways.clip(episode, clip_id),
                "still": media.url(clip.still) if clip and clip.still else "",
                "where": f"{episode} {marks.clock(clip.span.start)}" if clip else clip_id,
                "lead": "",
                "text": said,
                "chosen": clip_id == chosen,
            }
        )
    _sheet(data={"hits": hits, "small": True}, key=key, on_opened_change=lambda: None)


def opened(key: str) -> dict[str, Any] | None:
    """What was clicked, once."""
    state = st.session_state.get(key)
    found = state.get("opened") if state else None
    return dict(found) if found else None
