"""Launch, the choice: the big ones first, each with how it stands, then any step."""

import streamlit as st

from app import components, marks, shared
from app.shared import STATES
from pipeline import dag, foretold, launching
from pipeline.forecast import Outlook
from pipeline.launching import Offer, Request

WHAT, STEP, EPISODES = "what", "any-step", "of-episodes"

ANY = "any"
ICONS = {
    "Package": ":material/inventory_2:",
    "Preprocess": ":material/memory:",
    "Train LTX-2": ":material/model_training:",
    "Train Wan2.1": ":material/model_training:",
}


def part(now: Outlook) -> tuple[str, Request]:
    """What is to be launched: its name, and the request."""
    offers = launching.offers()
    names = {address(offer): offer for offer in offers}
    asked = st.query_params.get(WHAT, "")
    steps = [step.name for step in dag.STEPS]
    chosen = asked if asked in (*names, *steps) else next(iter(names), steps[-1])
    for column, offer in zip(st.columns(len(offers) + 1, gap="small"), [*offers, None], strict=True):
        with column.container(border=True, height="stretch", gap="small"):
            if offer is not None:
                card(now, offer, address(offer) == chosen)
            else:
                any_step(now, steps, chosen)
    step_or_offer = names.get(chosen) or Offer(chosen, launching.sentence(chosen), (chosen,))
    episodes = which_episodes(now, step_or_offer)
    return step_or_offer.name, Request(step_or_offer.steps, tuple(episodes))


def address(offer: Offer) -> str:
    """`train-ltx-2`: a choice as it stands in the page's address."""
    return offer.name.lower().replace(" ", "-").replace(".", "")


def card(now: Outlook, offer: Offer, is_chosen: bool) -> None:
    st.markdown(f"**{ICONS.get(offer.name, '')} {marks.plain(offer.name)}**")
    st.caption(offer.what)
    standing(now, offer.steps)
    look, word = ("choose is", "✓ Chosen") if is_chosen else ("choose", "Choose")
    way = f'<a class="{look}" href="/launch?{WHAT}={address(offer)}" data-here>{word}</a>'
    components.drawing(way, key=f"choose-{address(offer)}")


def any_step(now: Outlook, steps: list[str], chosen: str) -> None:
    st.markdown("**:material/account_tree: Any step**")
    st.caption("One step, and all that it needs to be made first.")
    is_chosen = chosen in steps
    standing(now, (chosen,) if is_chosen else tuple(steps))
    st.selectbox(
        "Step",
        steps,
        index=steps.index(chosen) if is_chosen else None,
        # Another choice empties it: the key changes with it.
        key=f"{STEP}-{is_chosen}",
        placeholder="Choose a step",
        on_change=lambda: choose(str(st.session_state[f"{STEP}-{is_chosen}"])),
        label_visibility="collapsed",
    )


def standing(now: Outlook, steps: tuple[str, ...]) -> None:
    """How these steps stand, and how long all that they need would take."""
    units = [unit for unit in now.units if unit.step in steps]
    state = shared.worst(units) if units else STATES["missing"]
    nodes = now.plan.nodes(steps)
    left = now.left(nodes)
    time = ""
    if left.units:
        # What nobody has measured is not in the sum: a training would look like a matter of seconds.
        about = "over" if left.unmeasured else "about"
        time = f"{about} {foretold.duration(left.clock.likely)}" if left.clock else "not measured yet"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.badge(state.name, icon=state.icon, color=state.palette, width="content")
        if time:
            st.caption(time)


def choose(what: str) -> None:
    st.query_params[WHAT] = what


def which_episodes(now: Outlook, offer: Offer) -> list[str]:
    """Which episodes it is for; none chosen means all. Their names stay with the page."""
    episodes = list(now.plan.episodes)
    if all(now.plan.steps[step].per == "show" for step in offer.steps):
        return []  # A narrower season would be another dataset without saying so.
    return st.multiselect(
        "Episodes",
        episodes,
        key=EPISODES,
        placeholder=f"All {marks.count(len(episodes), 'episode')}",
        persist_state="session",
        width=420,
    )
