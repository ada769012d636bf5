"""What stands around every page: its heading, who is working, and how it says that something is missing or broken."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import streamlit as st

from app import marks, shared
from pipeline import control
from pipeline.control import Job, Show

WHO = "who"
"""Who is working, in the session and in the address."""

_BOX = "who-box"

FIRST_SAY_WHO = "Say who you are first, at the top right: what you do here is kept with your name."
_LONGEST_NAME = 80


def heading(title: str, note: str = "") -> None:
    """The page's first line: what it shows, as of when, and who looks at it."""
    if who() and st.query_params.get(WHO) != who():
        st.query_params[WHO] = who()  # Another page's address begins anew.
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.title(title, anchor=False)
        st.caption(f"{note}{' · ' if note else ''}as of {datetime.now():%H:%M:%S}", text_alignment="right")  # noqa: DTZ005 (the reader's clock)
        with st.popover(who() or "Who are you?", icon=":material/person:", type="tertiary" if who() else "primary"):
            st.session_state.setdefault(_BOX, who())
            st.text_input(
                "Your name or e-mail",
                key=_BOX,
                on_change=introduce,
                max_chars=_LONGEST_NAME,
                placeholder="anna@example.com",
                help="What you accept, change, push or undo is kept with it.",
            )


def introduce() -> None:
    """Somebody said who they are."""
    st.session_state[WHO] = str(st.session_state[_BOX])
    st.query_params[WHO] = who()


def who() -> str:
    """The person working at the panel; empty until they said so. What a browser sends is cut to a plain line."""
    said = str(st.session_state[WHO] if WHO in st.session_state else st.query_params.get(WHO, ""))
    return " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())[:_LONGEST_NAME]


def act(
    label: str,
    icon: str,
    key: str,
    do: Callable[[str], str],
    *,
    primary: bool = False,
    disabled: bool = False,
    help: str = "",  # noqa: A002 (Streamlit's own name for it)
) -> None:
    """A button that changes something: it needs a person, tells what it did, and what went wrong in words.

    `do` is given the person, and returns what to say of it. It runs before the page is drawn again.
    """

    def pressed() -> None:
        if not (person := who()):
            st.session_state.told = ("error", FIRST_SAY_WHO)
            return
        with told_problems():
            st.session_state.told = ("done", do(person))

    st.button(
        label,
        icon=icon,
        key=key,
        type="primary" if primary else "secondary",
        on_click=pressed,
        disabled=disabled or not who(),
        help=(help or None) if who() else FIRST_SAY_WHO,
        width="content",
    )


def runs(jobs: Mapping[str, Job], verb: str) -> bool:
    return verb in jobs and jobs[verb].state == "running"


def start(
    show: Show, verb: str, label: str, icon: str, jobs: Mapping[str, Job], *, primary: bool = False, hint: str = ""
) -> None:
    """The button of a job; while it runs the button says so, and a second press would be the same job."""
    busy = runs(jobs, verb)

    def begin(person: str) -> str:
        control.start(show, verb, by=person)
        return f"{label}: begun. It goes on when this page is closed."

    said = f"{label} runs" if busy else label
    act(said, icon, f"start-{verb}", begin, disabled=busy, help=hint, primary=primary)


@contextmanager
def told_problems() -> Iterator[None]:
    """What people can mend is told on the page, at the next `tell`; anything else is a bug and shows its trace."""
    try:
        yield
    except control.MENDABLE as error:
        st.session_state.told = ("error", str(error))


def tell() -> None:
    """What the last button did, once."""
    kind, words = st.session_state.pop("told", ("", ""))
    if kind == "done" and words:
        st.toast(words, icon=":material/check_circle:")
    elif kind == "error":
        problem("That did not work.", words)


def show() -> Show | None:
    """The show this panel looks at; None, with the reason and the remedy on the page, where it cannot be read."""
    folder = shared.show_folder()
    try:
        return control.open_show(folder)
    except ValueError as error:
        cannot_read(folder, str(error))
        return None


def cannot_read(folder: Path, reason: str) -> None:
    st.title("Dailies", anchor=False)
    problem(f"The show in `{folder}` cannot be read.", reason, "Put this right; the page will notice by itself.")
    st.caption("A new show: `dailies init` in its folder. Another folder: `dailies up --show DIR`.")


def problem(what: str, reason: str, remedy: str = "") -> None:
    """Something is broken: what, the reason just as it was told, and what to do."""
    st.error(f"**{what}** {remedy}".strip(), icon=":material/error:")
    st.code(reason, language=None, wrap_lines=True)


def nothing(what: str, remedy: str, icon: str = ":material/inbox:") -> None:
    """Something is not there yet: what, and what brings it."""
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        st.markdown(f":gray[{icon}]", width="content")
        with st.container(gap=None):
            st.markdown(f"**{what}**")
            st.caption(remedy)


JOB_STATES = {"done": "fresh", "failed": "failed", "died": "failed", "stopped": "stale", "running": "running"}
"""How a job's state looks: as that of a result does."""

_LAST_WORDS = 6


NAMES = {"label-studio": "Label Studio"}


def job(show: Show, made: Job) -> None:
    """What a job did or does, with its words. What runs can be stopped."""
    state = shared.STATES[JOB_STATES[made.state]]
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{NAMES.get(made.verb, made.verb.capitalize())}**", width="content")
            st.badge(made.state, icon=state.icon, color=state.palette, width="content")
            took = "for" if made.state == "running" else "took"
            st.caption(f"{made.at:%d %b %H:%M} by {made.by}, {took} {shared.duration(made.seconds)}")
        serves = made.state == "running" and made.verb == "label-studio"
        if made.state in ("failed", "died", "running") and not serves:
            st.code("\n".join(made.lines[-_LAST_WORDS:]) or "…", language=None, wrap_lines=True)
        elif made.lines and not serves:
            st.caption("  \n".join(marks.plain(line) for line in made.lines[-2:]))
        if made.state == "running":
            act("Stop", ":material/stop:", f"stop-{made.id}", partial(stopped, show, made))


def stopped(show: Show, made: Job, person: str) -> str:
    control.stop(show, made.id, by=person)
    return f"{NAMES.get(made.verb, made.verb.capitalize())} is stopping. What it finished is kept."
