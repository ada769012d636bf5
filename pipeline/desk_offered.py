"""What the lead may settle and should look at: offers and flags of the review as it stands. Only read here.

What takes a look at every clip is kept on disk, so that a page shows it at once.
"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import indexes, standing
from pipeline.review import flags, glossary_lines
from pipeline.review.accounts import age
from pipeline.review.glossary_lines import Offer
from pipeline.schemas.captions import ReviewDecision
from pipeline.show import Show
from pipeline.standing import Group

FORMAT = 1
"""Raise it when `suggestions` or `waiting` would say something else of the same show."""


def suggestions(show: Show) -> list[Group]:
    """What people settled in one place and may settle others with, the most places first. Kept on disk.

    Raises ValueError where the bible was never read.
    """
    return list(
        indexes.kept(show.store, "suggestions", _suggested_from(show), tuple[Group, ...], lambda: _groups(show))
    )


def suggested(show: Show) -> list[Group] | None:
    """`suggestions`, where they stand on disk. Raises ValueError as they do."""
    found = indexes.there(show.store, "suggestions", _suggested_from(show), tuple[Group, ...])
    return None if found is None else list(found)


def _suggested_from(show: Show) -> list[Any]:
    return [FORMAT, standing.stamp(show)]


def _groups(show: Show) -> tuple[Group, ...]:
    now = standing.now(show)
    return tuple(
        Group(
            id=group.id,
            kind="speaker" if group.of[0] == "speaker" else "text",
            heard="" if group.of[0] == "speaker" else group.heard,
            value=now.names.get(group.value, group.value) if group.of[0] == "speaker" else group.value,
            by=group.origin.by,
            at=group.origin.at,
            from_place=group.origin.key,
            said=group.said,
            places=now.places(group),
        )
        for group in now.groups
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much the lead can settle here: places that an answer settles too, and lines for the bible."""

    places: int
    lines: int


def waiting(show: Show) -> Waiting:
    """The counts alone, kept on disk: a page that shows them reads no records. Raises ValueError as all here does."""

    def count() -> Waiting:
        return Waiting(sum(len(group.suggestions) for group in standing.now(show).groups), len(glossary(show)))

    return indexes.kept(show.store, "waiting", _counted_from(show), Waiting, count)


def counted(show: Show) -> Waiting | None:
    """`waiting`, where it stands on disk. Raises ValueError as all here does."""
    return indexes.there(show.store, "waiting", _counted_from(show), Waiting)


def _counted_from(show: Show) -> list[Any]:
    return [FORMAT, standing.stamp(show), bible_path(show).read_text(encoding="utf-8")]


def answered(show: Show) -> dict[str, str]:
    """Who answered last, by the key of the task; these may be sent back."""
    return {each.key: each.by for each in sorted(standing.now(show).decisions, key=age) if not each.skipped}


def flagged(show: Show) -> dict[str, tuple[str, ...]]:
    """The keys of tasks by why they may need a look: doubts, marks, notes, reviewers' flags, second looks."""
    now = standing.now(show)
    found: dict[str, list[str]] = {}
    ours: dict[str, list[ReviewDecision]] = defaultdict(list)
    for decision in now.decisions:
        ours[decision.episode].append(decision)
    for episode, machine in now.machines.items():
        for why, key in flags.flagged(machine, ours[episode], now.standing[episode]):
            found.setdefault(why, []).append(key)
    return {why: tuple(dict.fromkeys(keys)) for why, keys in sorted(found.items())}


def glossary(show: Show) -> list[Offer]:
    """Lines for bible.toml: mishearings that people corrected in two places or more and that it does not list yet."""
    text = bible_path(show).read_text(encoding="utf-8")
    return glossary_lines.offers(text, standing.now(show).decisions, show.edits(), name=show.file.bible)


def bible_path(show: Show) -> Path:
    path = show.folder / show.file.bible
    if not path.is_file():
        raise ValueError(f"there is no file {show.file.bible!r}: `dailies init` has a first one")
    return path
