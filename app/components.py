"""HTML that the page's own elements cannot show: drawings. Text in them must be escaped by whoever writes it."""

from pathlib import Path

import streamlit as st

SLIDER = (Path(__file__).parent / "slider.css").read_text(encoding="utf-8")
"""How a slider looks in a component of ours, which page styles do not reach."""

FOLLOW = """
const follow = (event, address) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return  // Another tab, by the link itself.
  event.preventDefault()
  history.pushState({}, "", address)
  dispatchEvent(new PopStateEvent("popstate"))
}
"""
"""A click on a link within the panel, for components: the browser goes there and Streamlit follows, as it follows Back.

An address that the server changed would be lost where a refresh is under way: the browser asked for it with the address
that it knew, and what is drawn by that would be taken for what people want.
"""

# st.html takes SVG out of what it is given; as an image, a drawing would lose the theme's colours and its hints.
_drawing = st.components.v2.component(
    "dailies_drawing",
    html="<figure></figure>",
    css="""
    figure { margin: 0; color: var(--st-text-color); font-family: var(--st-font); }
    a { color: inherit; text-decoration: none; }
    .step a:hover, .left a:hover { text-decoration: underline; }
    .film { display: block; width: 100%; border-radius: 8px; background: #0c0d10; }
    .card:hover rect { stroke-width: 2.4; }
    .way { display: flex; justify-content: space-between; gap: 1em; padding: .55em .9em; margin-bottom: .4em;
           border: 1px solid var(--st-border-color); border-radius: 8px; font-size: .95rem; }
    .way:hover, .way:focus-visible { border-color: var(--st-primary-color); color: var(--st-link-color);
                                     outline: none; }
    .choose { display: block; text-align: center; font-size: .875rem; padding: .55em;
              border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); }
    .choose:hover, .choose:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color);
                                           outline: none; }
    .choose.is { background: var(--st-primary-color); border-color: transparent; color: #fff; }
    .bar { display: flex; gap: 2px; height: 10px; border-radius: 5px; overflow: hidden;
           background: color-mix(in srgb, var(--st-text-color) 9%, transparent); }
    .bar i { display: block; min-width: 3px; }
    .key { display: flex; flex-wrap: wrap; gap: .2em 1.2em; margin-top: .6em; font-size: .87rem; }
    .key span { display: inline-flex; align-items: center; gap: .4em; }
    .key i { width: 9px; height: 9px; border-radius: 3px; }
    .diff { font: .83rem/1.55 var(--st-code-font); border: 1px solid var(--st-border-color); border-radius: 8px;
            padding: .6em 0; overflow-x: auto; white-space: pre; }
    .diff div { padding: 0 1em; }
    .diff .come { background: color-mix(in srgb, var(--st-green-color) 18%, transparent); }
    .diff .gone { background: color-mix(in srgb, var(--st-red-color) 16%, transparent); }
    .diff .where { opacity: .6; }
    .steps small { opacity: .65; font-size: .8rem; }
    .step { display: grid; grid-template-columns: 1.2em 1fr auto; gap: .5em; align-items: baseline; font-size: .9rem;
            padding: .45em 0; border-top: 1px solid var(--st-border-color); }
    .step > span { min-width: 0; }
    .step .why { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    .step .time { text-align: right; white-space: nowrap; }
    .step .time small { display: block; }
    .left { max-width: 1180px; }
    .left .one { display: grid; grid-template-columns: 17em 1fr 13em; gap: 1em; align-items: center; font-size: .87rem;
                 padding: .3em 0; }
    .left small { display: block; opacity: .65; font-size: .78rem; }
    .left .track { position: relative; height: 8px; border-radius: 4px;
                   background: color-mix(in srgb, var(--st-text-color) 7%, transparent); }
    .left .track i { position: absolute; left: 0; top: 0; height: 8px; border-radius: 4px; min-width: 3px; }
    .left .track .may { opacity: .3; }
    .meters { display: grid; grid-template-columns: repeat(auto-fit, minmax(13em, 1fr)); gap: 1.2em; }
    .meter { display: grid; grid-template-columns: 1fr auto; gap: .3em .6em; font-size: .87rem; min-width: 0; }
    .meter .bar, .meter small { grid-column: 1 / -1; }
    .meter small { opacity: .65; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
    """,
    js=FOLLOW
    + """
    export default function ({ data, parentElement }) {
      // The first div is Streamlit's own, which holds the styles too.
      const root = parentElement.querySelector("figure")
      // The same again is left as it is, so that a press that a refresh comes between is still a click.
      if (root.dataset.html !== data.html) {
        root.dataset.html = data.html
        root.innerHTML = data.html
      }
      root.onclick = (event) => {
        const link = event.target.closest("a[data-here]")
        if (link) follow(event, link.getAttribute("href"))
      }
    }
    """,
)


def drawing(html: str, key: str) -> None:
    """Show HTML or SVG in the page's colours and font."""
    _drawing(data={"html": html}, key=key)


_out = st.components.v2.component(
    "dailies_sign_out",
    html='<form method="post" action="/sign-out"><button>Sign out</button></form>',
    css="""
    button { font: inherit; font-family: var(--st-font); color: var(--st-text-color); cursor: pointer;
             padding: .35em .9em; background: none; border: 1px solid var(--st-border-color);
             border-radius: var(--st-button-radius); }
    button:hover { border-color: var(--st-primary-color); color: var(--st-primary-color); }
    """,
)


def sign_out() -> None:
    """The way out: a form, since leaving is the server's to do and a link could be opened by another site."""
    _out(key="sign-out")
