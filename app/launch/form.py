"""Launch, the settings: a step's form. What people typed stays while the page refreshes, and when they come back."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import marks
from app.launch import fields
from app.launch.fields import Field, Read
from pipeline.control import Show
from pipeline.launching import Path_

FIRST = 9
"""So many settings are in sight; the others are behind a fold, but those that somebody changed."""

COLUMNS = 3
_LONGEST_DEFAULT = 24
_LONGEST_LABEL = 20  # with the default beside it; a longer one takes two lines, and its box no longer stands in the row


def part(show: Show, step: str) -> tuple[list[Field], Read]:
    """The form of a step's settings; what was typed, read."""
    config = show.written()[step]
    found = fields.fields(config)
    if not found:
        st.caption(f"{step} has no settings: what it makes is decided by what it reads.")
        return [], Read({}, {})
    result = fields.read(config, found, typed(step, found))
    for problem in [words for path, words in result.errors.items() if not path]:
        st.error(marks.told(problem), icon=":material/error:")
    plain = [each for each in found if each.path[-1] != "revision"]
    seen = [
        each for number, each in enumerate(plain) if number < FIRST or each.is_changed or each.path in result.errors
    ]
    grid(step, seen, result.errors)
    hidden = [each for each in found if each not in seen]
    if hidden:
        touched = sum(each.path in result.edits for each in hidden)
        note = f", {touched} changed" if touched else ""
        with st.expander(f"{marks.count(len(hidden), 'more setting')}{note}", icon=":material/tune:"):
            for group in dict.fromkeys(each.group for each in hidden):
                if group:
                    st.markdown(f"**{group.replace('_', ' ').capitalize()}**")
                grid(step, [each for each in hidden if each.group == group], result.errors)
    if any(key in st.session_state and st.session_state[key] != each.shown for key, each in _keyed(step, found)):
        st.button(
            "Back to what show.toml says",
            icon=":material/undo:",
            key=f"undo-{step}",
            type="tertiary",
            on_click=forget,
            args=(step, found),
        )
    return found, result


def grid(step: str, found: Sequence[Field], errors: Mapping[Path_, str]) -> None:
    """Short fields side by side, long ones below each other."""
    short = [each for each in found if each.kind not in ("long", "lines")]
    for start in range(0, len(short), COLUMNS):
        for column, each in zip(st.columns(COLUMNS, gap="medium"), short[start : start + COLUMNS], strict=False):
            with column:
                box(step, each, errors.get(each.path, ""))
    for each in found:
        if each not in short:
            box(step, each, errors.get(each.path, ""))


def box(step: str, of: Field, problem: str) -> None:
    """One field with its default beside it, and below it what is wrong."""
    default = of.default if len(of.default) <= _LONGEST_DEFAULT else ""
    beside = default and of.is_changed and len(of.label) + len(default) <= _LONGEST_LABEL
    label = f"{of.label} :gray[:small[default {marks.plain(default)}]]" if beside else of.label
    key = key_of(step, of)
    words = [of.help, f"{of.limits.capitalize()}." if of.limits else ""]
    if of.kind == "lines":
        words.append("One on each line.")
    words.append(f"Default: {of.default}." if default else "")
    hint = marks.plain(" ".join(filter(None, words))) or None
    kept: dict[str, Any] = {"key": key, "help": hint, "persist_state": "session"}
    match of.kind:
        case "tick":
            st.toggle(label, value=of.shown, **kept)
        case "choice":
            st.selectbox(label, of.options, index=_index(of), **kept)
        case "whole":
            st.number_input(label, value=of.shown, step=1, placeholder="none", **kept)
        case "long" | "lines":
            st.text_area(label, value=of.shown, height=140 if of.kind == "long" else 100, **kept)
        case _:
            st.text_input(label, value=of.shown, placeholder="none" if of.is_optional else "", **kept)
    if problem:
        st.markdown(f":red[:material/error: {marks.plain(problem)}]")


def _index(of: Field) -> int:
    return of.options.index(of.shown) if of.shown in of.options else 0


def key_of(step: str, of: Field) -> str:
    """A field's key. It changes with what show.toml says, so that a box never holds what was true before."""
    stamp = hashlib.sha256(repr(of.shown).encode()).hexdigest()[:6]
    return f"setting {step} {'.'.join(of.path)} {stamp}"


def _keyed(step: str, found: Sequence[Field]) -> list[tuple[str, Field]]:
    return [(key_of(step, each), each) for each in found]


def typed(step: str, found: Sequence[Field]) -> dict[Path_, Any]:
    """What stands in the boxes now; those that were not drawn yet hold what show.toml says."""
    return {each.path: st.session_state.get(key, each.shown) for key, each in _keyed(step, found)}


def forget(step: str, found: Sequence[Field]) -> None:
    for key, each in _keyed(step, found):
        st.session_state[key] = each.shown
