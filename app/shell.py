"""What stands around every page: its heading, who is working, and how it says that something is missing or broken."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import streamlit as st

from app import access, components, marks, shared
from pipeline import control, panel_log
from pipeline.access import is_loopback, refusal
from pipeline.control import Job, Show

WHO = "who"
"""Who is working, in the session and in the address."""

_BOX = "who-box"
HEAL_SECONDS = 5.0  # between two looks at a show that cannot be read

FIRST_SAY_WHO = "Say who you are first, at the top right: what you do here is kept with your name."
VIEWERS_ONLY_LOOK = "You are a viewer: an operator can do this, or make you one (`dailies panel user role`)."
SESSION_IS_OVER = "Your session is over: load this page again and sign in."
_LONGEST_NAME = 80


def heading(title: str, note: str = "") -> None:
    """The page's first line: what it shows, as of when, and who looks at it."""
    if not access.is_closed() and who():
        st.session_state.setdefault(WHO, who())  # Who came by an address with a name stays that person on all pages.
        if st.query_params.get(WHO) != who():
            st.query_params[WHO] = who()  # Another page's address begins anew.
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.title(title, anchor=False)
        st.caption(f"{note}{' · ' if note else ''}as of {datetime.now():%H:%M:%S}", text_alignment="right")  # noqa: DTZ005 (the reader's clock)
        with st.popover(who() or "Who are you?", icon=":material/person:", type="tertiary" if who() else "primary"):
            _signed_in() if access.is_closed() else _introduction()


def _introduction() -> None:
    st.session_state.setdefault(_BOX, who())
    st.text_input(
        "Your name or e-mail",
        key=_BOX,
        on_change=introduce,
        max_chars=_LONGEST_NAME,
        placeholder="anna@example.com",
        help="What you accept, change, push or undo is kept with it.",
    )


def _signed_in() -> None:
    person = access.person()
    if person is None:
        return
    st.markdown(f"**{marks.plain(person.name)}** :gray[{person.role}]")
    st.caption("What you do here is kept with your name." if person.may_change else VIEWERS_ONLY_LOOK)
    components.sign_out()


def entered() -> bool:
    """Whether this page may be shown at all; else it says why. The door has asked already, where there is one."""
    address = str(st.get_option("server.address") or "")
    try:
        if access.is_closed():
            if access.person():
                return True
            st.error(SESSION_IS_OVER, icon=":material/lock:")
            return False
        if address and not is_loopback(address):  # Somebody started the page without its server.
            st.error(refusal(address), icon=":material/lock:")
            return False
    except ValueError as error:
        st.error(str(error), icon=":material/lock:")
        return False
    return True


def introduce() -> None:
    """Somebody said who they are."""
    st.session_state[WHO] = str(st.session_state[_BOX])
    st.query_params[WHO] = who()


def who() -> str:
    """The person working at the panel: who signed in, or, where nobody has to, who they said they are; else empty.

    What a browser sends is cut to a plain line.
    """
    if access.is_closed():
        person = access.person()
        return person.name if person else ""
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
    """A button that changes something: it needs a person who may, tells what it did, and what went wrong in words.

    `do` is given the person, and returns what to say of it. It runs before the page is drawn again, and stands in the
    panel's log.
    """

    def pressed() -> None:
        # Asked anew: what a browser sends need not come from a button that could be pressed.
        person, problem = who(), hindrance()
        folder = shared.show_folder()
        if problem:
            panel_log.note(folder, label, by=person, address=access.address(), outcome="refused", where=key)
            st.session_state.told = ("error", problem)
            return
        with told_problems(), panel_log.doing(folder, label, by=person, address=access.address(), where=key) as log:
            said = do(person)
            log.say(said)
            st.session_state.told = ("done", said)

    problem = hindrance()
    st.button(
        label,
        icon=icon,
        key=key,
        type="primary" if primary else "secondary",
        on_click=pressed,
        disabled=disabled or bool(problem),
        help=problem or help or None,
        width="content",
    )


def hindrance() -> str:
    """Why whoever looks at this page may not change anything; empty where they may."""
    if not access.is_closed():
        return "" if who() else FIRST_SAY_WHO
    person = access.person()
    if person is None:
        return SESSION_IS_OVER
    return "" if person.may_change else VIEWERS_ONLY_LOOK


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
        st.fragment(_heal, run_every=HEAL_SECONDS)()
        return None


def _heal() -> None:
    """Until the show can be read again."""
    with suppress(ValueError):
        control.open_show(shared.show_folder())
        st.rerun()


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


def job(show: Show, made: Job, name: str = "") -> None:
    """What a job did or does, with its words. What runs can be stopped. `name` is what people call it."""
    name = name or NAMES.get(made.verb, made.verb.capitalize())
    state = shared.STATES[JOB_STATES[made.state]]
    ends = made.state == "running" and made.stopped_by
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{marks.plain(name)}**", width="content")
            st.badge("ending" if ends else made.state, icon=state.icon, color=state.palette, width="content")
            took = "for" if made.state == "running" else "took"
            st.caption(f"{made.at:%d %b %H:%M} by {made.by}, {took} {shared.duration(made.seconds)}")
        serves = made.state == "running" and made.verb == "label-studio"
        if made.state in ("failed", "died", "running") and not serves:
            st.code("\n".join(made.lines[-_LAST_WORDS:]) or "…", language=None, wrap_lines=True)
        elif made.lines and not serves:
            st.caption("  \n".join(marks.plain(line) for line in made.lines[-2:]))
        if ends:
            st.caption(f"{marks.plain(made.stopped_by)} cancelled it. What it has is being kept.")
        elif made.state == "running":
            act("Stop", ":material/stop:", f"stop-{made.id}", partial(stopped, show, made, name))


def stopped(show: Show, made: Job, name: str, person: str) -> str:
    control.stop(show, made.id, by=person)
    return f"{name} is stopping. What it finished is kept."
