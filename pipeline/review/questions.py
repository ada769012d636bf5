"""Doubts as questions in plain words, each answered by one key."""

from collections import Counter
from collections.abc import Mapping

from pipeline.review import gains
from pipeline.review.panels import clock
from pipeline.schemas.story import UNKNOWN, Doubt
from pipeline.schemas.timeline import Clip

# Options of each slot, row by row of the keyboard, so that the hand rests. The letters that the configs themselves use
# (i j l m n o) and Label Studio's own (u) are others: a key that does two things corrupts answers silently. The last
# slot has what letters are left.
OPTION_KEYS = {"q_a": "qwert", "q_b": "asdfg", "q_c": "zxcvb", "q_d": "yhkp"}
MOST_OPTIONS = 5


def rank(doubt: Doubt, gain: float) -> tuple[object, ...]:
    """Sorts the doubts of a clip, the most valuable question first; `gain` as pipeline/review/gains.py has it.

    Of equal ones, words come before speakers: a line without a speaker shows itself on the timeline, a wrong name does
    not.
    """
    return -gain, doubt.kind != "text", doubt.span.start, doubt.id


def options(doubt: Doubt, labels: Mapping[str, str], most: int = MOST_OPTIONS) -> dict[str, str]:
    """What can be picked -> what it means, likeliest first, at most `most`; what stands now is always among them.

    That nobody knows who speaks comes last, wherever it ranks: it is no answer to hope for.
    `labels`: characters' ids and UNKNOWN -> what the screen calls them. Raises ValueError for a stranger.
    """
    ranked = sorted(doubt.candidates, key=lambda candidate: (-candidate.score, candidate.value))
    values = list(dict.fromkeys(candidate.value for candidate in ranked))
    if (standing := gains.standing(doubt)) not in values:
        values.append(standing)
    if len(values) > most:
        others = [value for value in values if value != standing][: most - 1]
        values = [value for value in values if value in (*others, standing)]
    if UNKNOWN in values and doubt.kind == "speaker":
        values = [*(value for value in values if value != UNKNOWN), UNKNOWN]
    if doubt.kind == "text":
        bare = Counter(map(_bare, values))
        return {_bare(value) if bare[_bare(value)] == 1 else value: value for value in values}
    strangers = [value for value in values if value not in labels]
    if strangers:
        raise ValueError(
            f"doubt {doubt.id}: the bible has no character {strangers[0]!r}; run step2-transcript-disambiguate again"
        )
    return {labels[value]: value for value in values}


def ask(doubt: Doubt, line: str, clip: Clip) -> str:
    """The question, with the moment of the clip to listen to. `line`: the text of the doubt's segment."""
    moment = clock(max(0.0, doubt.span.start - clip.span.start))
    if doubt.kind == "speaker":
        return f"{moment} · Who says “{_short(line)}”?"
    ranked = sorted(doubt.candidates, key=lambda candidate: -candidate.score)
    words = list(dict.fromkeys(_bare(value) for value in (doubt.heard, *(c.value for c in ranked))))[:MOST_OPTIONS]
    quoted = [f"“{word}”" for word in words]
    if len(quoted) == 1:
        return f"{moment} · Is {quoted[0]} right?"
    return f"{moment} · {', '.join(quoted[:-1])} or {quoted[-1]}?"


def _bare(value: str) -> str:
    """Words without the punctuation around them, which says nothing in a question."""
    return value.strip(" \"“”‘'.,;:!?…") or value


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + "…"
