"""One clip in words: its caption before and after review, what is doubted, what the machine decided and why."""

from collections.abc import Iterable, Mapping
from functools import partial

import streamlit as st

from app import marks, shell, ways
from app.episodes import player
from app.shared import Palette
from pipeline import audit, control, timelines
from pipeline.audit import Audited
from pipeline.control import Show
from pipeline.schemas.story import UNKNOWN, Doubt
from pipeline.timelines import Outcome, Shown

COLOURS: dict[str, tuple[Palette, str]] = {
    "reviewed": ("green", ":material/check_circle:"),
    "out": ("red", ":material/block:"),
    "doubtful": ("violet", ":material/rate_review:"),
    "plain": ("gray", ":material/circle:"),
}


def part(show: Show, episode: str, clip: Shown, outcome: Outcome, names: Mapping[str, str]) -> None:
    heading(show, episode, clip, outcome)
    captions(clip, outcome)
    lines(clip, outcome, names)
    doubts(episode, timelines.doubts(show, episode, clip.span), names)
    decisions(show, [each for each in _audited(show, episode) if clip.span.holds(each.at_seconds)], names)


def heading(show: Show, episode: str, clip: Shown, outcome: Outcome) -> None:
    kind = player.state(clip, outcome)
    colour, icon = COLOURS[kind]
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(
            f"**{marks.clock(clip.span.start)} – {marks.clock(clip.span.end)}** "
            f":gray[[{marks.plain(clip.id)}]({ways.clip(episode, clip.id)})]",
            width="content",
        )
        st.badge(player.WORDS[kind], icon=icon, color=colour, width="content")
        links = control.task_links(show)
        for label, suffix in (("Transcript", ""), ("Caption", "#caption")):
            if url := links.get(f"{episode}/{clip.id}{suffix}"):
                st.link_button(label, url, icon=":material/open_in_new:", type="tertiary")
    if why := outcome.left_out.get(clip.id):
        st.caption(f"Not in the training data: {marks.plain(why)}")
    elif after := outcome.settled.get(clip.id):
        st.caption(f"By {marks.plain(', '.join(after.by))}")


def captions(clip: Shown, outcome: Outcome) -> None:
    after = outcome.settled.get(clip.id)
    if clip.caption is None:
        st.caption("No caption yet: `dailies run step2-caption` writes it.")
        return
    if after is None or after.caption == clip.caption:
        with st.container(border=True, gap="xsmall"):
            st.caption(
                "Caption, machine" if after is None else "Caption, as the machine wrote it and reviewers left it"
            )
            st.markdown(marks.plain(clip.caption))
    else:
        was, now = sides(clip.caption, after.caption)
        for column, title, text in zip(st.columns(2, gap="small"), ("machine", "reviewed"), (was, now), strict=True):
            with column.container(border=True, gap="xsmall", height="stretch"):
                st.caption(f"Caption, {title}")
                st.markdown(text)
    for note in clip.notes:
        st.caption(f":material/info: {marks.plain(note)}")


def sides(before: str, after: str) -> tuple[str, str]:
    """Two texts as Markdown: what is only in the first is struck out, what is only in the second is bold."""
    was, now = [], []
    for kind, old, new in marks.pieces(before, after):
        same = kind == "equal"
        was.append(marks.plain_piece(old) if same else _marked(old, ":red[~~", "~~]"))
        now.append(marks.plain_piece(new) if same else _marked(new, ":green[**", "**]"))
    return "".join(was).strip(), "".join(now).strip()


def _marked(text: str, opens: str, closes: str) -> str:
    if not text.strip():
        return text
    before = text[: len(text) - len(text.lstrip())]
    return f"{before}{opens}{marks.plain(text)}{closes}{text[len(text.rstrip()) :]}"


def lines(clip: Shown, outcome: Outcome, names: Mapping[str, str]) -> None:
    """The lines that people changed, before and after; all lines stand under the player."""
    after = outcome.settled.get(clip.id)
    if after is None:
        return
    was = {line.id: line for line in clip.lines}
    for line in after.lines:
        before = was.get(line.id)
        if before is None:
            st.markdown(f":green[**new**] {marks.plain(line.text)}")
            continue
        spoken = "" if before.speaker == line.speaker else f"{marks.changed(*_named(before, line, names))}: "
        if spoken or before.text != line.text:
            st.markdown(f":gray[{marks.clock(line.span.start)}] {spoken}{marks.changed(before.text, line.text)}")


def _named(before: timelines.Said, after: timelines.Said, names: Mapping[str, str]) -> tuple[str, str]:
    first, second = (called(each.speaker or UNKNOWN, names) for each in (before, after))
    return first, second


def doubts(episode: str, asked: Iterable[Doubt], names: Mapping[str, str]) -> None:
    for doubt in asked:
        with st.container(border=True, gap="xsmall"):
            what = f"Was it “{doubt.heard}”?" if doubt.kind == "text" else "Who says this?"
            sign = ":orange[**?**]" if doubt.kind == "text" else ":violet[**◆**]"
            when = f"[{marks.clock(doubt.span.start)}]({ways.moment(episode, doubt.span.start)})"
            st.markdown(f"{sign} :gray[{when}] **{marks.plain(what)}**")
            scored = [(called(each.value, names), each.score) for each in doubt.candidates]
            st.markdown(" · ".join(f"{marks.plain(name)} :gray[{score:.0%}]" for name, score in scored))
            for sentence in doubt.evidence:
                st.caption(marks.told(sentence))


def called(value: str, names: Mapping[str, str]) -> str:
    """What a doubt's candidate is called: a character by name, words as they are."""
    return "not known" if value == UNKNOWN else names.get(value, value)


def decisions(show: Show, taken: Iterable[Audited], names: Mapping[str, str]) -> None:
    for each in taken:
        was, now = called(each.original, names), called(each.chosen, names)
        what = marks.changed(was, now) if was != now else f"“{marks.plain(now)}” stands"
        with st.expander(f"Decided: {what} :gray[{each.score:.0%}]", icon=":material/gavel:"):
            when = f"[{marks.clock(each.at_seconds)}]({ways.moment(each.episode, each.at_seconds)})"
            st.markdown(f":gray[{when}] {marks.plain(each.line)}")
            st.caption(f"By {marks.plain(each.by)}, from {marks.plain(each.backend)}")
            for sentence in each.evidence:
                st.markdown(f"- {marks.told(sentence)}")
            for weighed in each.weighed:
                parts = {"words": weighed.lexical, "voices": weighed.voices, "model": weighed.model}
                told = ", ".join(f"{name} {share:.0%}" for name, share in parts.items() if share is not None)
                st.caption(f"{marks.plain(called(weighed.value, names))} {weighed.score:.0%}: {told}")
            if asked := each.consulted:
                st.caption(marks.plain(f"Asked {asked.model}: {asked.reason or asked.problem}"))
            if each.reverted_by:
                st.caption(f"Taken back by {marks.plain(each.reverted_by)}")
            elif was != now:
                shell.act("Take back", ":material/undo:", f"revert-{each.id}", partial(_take_back, show, each.id))


def _take_back(show: Show, decision: str, person: str) -> str:
    edit = audit.revert(show, decision, person)
    return f"Taken back as edit {edit.id}: `dailies run` makes the clips anew, and the next push asks about it."


def _audited(show: Show, episode: str) -> list[Audited]:
    try:
        return audit.audit(show, episode)
    except ValueError as error:  # It is not that far yet: which command brings it is in the message.
        st.caption(marks.told(str(error)))
        return []
