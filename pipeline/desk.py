"""The lead's desk, for the CLI and the panel: what is done to many clips at once, outside Label Studio.

Everything here reads results that stand in the store, fresh or not, and runs no step. What is done becomes an entry of
a log that only ever grows, and part of a new snapshot; `dailies run` then makes the reviewed clips anew, and the next
push shows the reviewers what was settled.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime

from pipeline import standing
from pipeline.desk_offered import answered, bible_path, counted, flagged, glossary, suggested, suggestions, waiting
from pipeline.review import desk, fixes, glossary_lines
from pipeline.review.glossary_lines import Offer
from pipeline.schemas.edits import BatchEdit, EditPlace
from pipeline.schemas.story import UNKNOWN
from pipeline.show import Show
from pipeline.standing import Edit, Group, Now, Place

__all__ = [
    "Edit", "Group", "Offer", "Place", "accept", "answered", "change_speaker", "counted", "edits_made", "flagged",
    "glossary", "preview_replace", "preview_speaker", "refuse", "replace", "send_back", "speakers", "suggested",
    "suggestions", "undo", "waiting", "write_glossary",
]  # fmt: skip


# Fix once


def accept(show: Show, group_id: str, places: Collection[str] | None, by: str) -> Edit:
    """Take a suggestion for all its places, or for those with these ids.

    Raises ValueError where it is not offered (any more).
    """
    now = standing.now(show)
    group = _offered(now.groups, group_id)
    chosen = _chosen(now, group, places)
    made = BatchEdit(id="", what="answer", by=by, at=_moment(), places=chosen, group=group.id, taken_from=group.origin)
    return _made(show, made)


def refuse(show: Show, group_id: str, places: Collection[str] | None, by: str) -> Edit:
    """Never suggest this again: anywhere, or at the places with these ids. Raises ValueError as `accept` does."""
    now = standing.now(show)
    group = _offered(now.groups, group_id)
    chosen = _chosen(now, group, places)
    made = BatchEdit(
        id="",
        what="refusal",
        by=by,
        at=_moment(),
        places=chosen,
        group=group.id,
        whole=places is None,
        taken_from=group.origin,
    )
    return _made(show, made)


# Find and replace, and speakers


def preview_replace(
    show: Show, find: str, replacement: str, whole_words: bool = True, match_case: bool = True
) -> list[Place]:
    """Where `replace` would change what, in the lines as people left them. Raises ValueError for no words."""
    now = standing.now(show)
    return [now.place(place) for place in _replacing(now, find, replacement, whole_words, match_case)]


def replace(
    show: Show,
    find: str,
    replacement: str,
    by: str,
    *,
    whole_words: bool = True,
    match_case: bool = True,
    places: Collection[str] | None = None,
) -> Edit:
    """Replace words in every line, or at the previewed places with these ids. Raises ValueError for no such place."""
    now = standing.now(show)
    found = list(_replacing(now, find, replacement, whole_words, match_case))
    chosen = _of_these(found, places, f"{find!r} stands nowhere" if not found else "")
    return _made(show, BatchEdit(id="", what="replace", by=by, at=_moment(), places=chosen))


def speakers(show: Show) -> dict[str, int]:
    """Who speaks how many lines as they stand: characters' ids and UNKNOWN; those without a line too."""
    now = standing.now(show)
    counts = dict.fromkeys([*now.names, UNKNOWN], 0)
    for _, line in now.lines():
        counts[line.speaker or UNKNOWN] = counts.get(line.speaker or UNKNOWN, 0) + 1
    return counts


def preview_speaker(show: Show, old: str, new: str) -> list[Place]:
    """The lines that `change_speaker` would give to another. Raises ValueError where `new` is not in the bible."""
    now = standing.now(show)
    return [now.place(place) for place in _renaming(now, old, new)]


def change_speaker(show: Show, old: str, new: str, by: str, *, places: Collection[str] | None = None) -> Edit:
    """Give all lines of speaker `old` (an id, or UNKNOWN) to `new`: a rename, or the merging of two.

    Raises ValueError where there is no such line, or the bible has nobody called `new`.
    """
    now = standing.now(show)
    found = list(_renaming(now, old, new))
    chosen = _of_these(found, places, f"{old} has no line" if not found else "")
    return _made(show, BatchEdit(id="", what="speaker", by=by, at=_moment(), places=chosen))


# The log


def edits_made(show: Show) -> list[Edit]:
    """All that was done here, the newest first."""
    now = standing.now(show)
    gone = desk.undone(now.log)
    accounts = {account.id: account for account in now.accounts}
    return [standing.edit_of(now, entry, gone, accounts) for entry in reversed(now.log)]


def undo(show: Show, ids: Sequence[str], by: str) -> list[Edit]:
    """Take entries of the log back; what reviewers answered since stays theirs. An undo can be undone.

    Raises ValueError, before anything is done, for an entry that is not there, is undone already, or was written into
    bible.toml.
    """
    log = show.edits()
    known, gone = {entry.id: entry for entry in log}, desk.undone(log)
    for id_ in ids:
        if id_ not in known:
            raise ValueError(f"there is no edit {id_}: `dailies review edits` lists them")
        if id_ in gone:
            raise ValueError(f"edit {id_} is undone already, by {gone[id_].by}: undo {gone[id_].id} to have it back")
        if known[id_].what == "glossary":
            raise ValueError(f"edit {id_} is a line of bible.toml: take it out there")
    return [_made(show, BatchEdit(id="", what="undo", by=by, at=_moment(), undoes=id_)) for id_ in dict.fromkeys(ids)]


def send_back(show: Show, keys: Sequence[str], reason: str, by: str) -> Edit:
    """Have answered tasks (`s01e01/s01e01_0012340`, or with `#caption`) answered again: the next push asks again,
    with the reason and the old answer, and until then their clips are not used.

    Raises ValueError without a reason, or where nobody has answered one of them.
    """
    if not reason.strip():
        raise ValueError("say why: the reviewer is shown the reason")
    newest = {decision.key: decision for decision in standing.now(show).decisions if not decision.skipped}
    for key in keys:
        if key not in newest:
            raise ValueError(f"nobody has answered {key}: there is nothing to send back")
    places = tuple(
        EditPlace(about="clip", episode=newest[key].episode, span=newest[key].span, key=key)
        for key in dict.fromkeys(keys)
    )
    return _made(show, BatchEdit(id="", what="send back", by=by, at=_moment(), places=places, reason=reason.strip()))


# The bible


def write_glossary(show: Show, offer_id: str, by: str) -> Offer:
    """Write one offered line into bible.toml; all else in the file stays as it is.

    Raises ValueError where it is not offered (any more), or the bible would not be valid with it.
    """
    path = bible_path(show)
    with show.store.lock("bible"):
        found = {offer.id: offer for offer in glossary(show)}
        if offer_id not in found:
            raise ValueError(f"there is no glossary line {offer_id} to write (any more)")
        offer = found[offer_id]
        glossary_lines.write(path, offer)
    entry = BatchEdit(id="", what="glossary", by=by, at=_moment(), reason=f"{offer.heard} is {offer.right} misheard")
    show.add_edit(entry)
    return offer


def _made(show: Show, entry: BatchEdit) -> Edit:
    if not entry.by.strip():
        raise ValueError("say who does it: the log keeps it")
    added = show.add_edit(entry)
    return next(each for each in edits_made(show) if each.id == added.id)


def _replacing(now: Now, find: str, replacement: str, whole_words: bool, match_case: bool) -> Iterator[EditPlace]:
    for episode, line in now.lines():
        yield from desk.replacing(episode, [line], find, replacement, whole_words=whole_words, match_case=match_case)


def _renaming(now: Now, old: str, new: str) -> Iterator[EditPlace]:
    if new not in (*now.names, UNKNOWN):
        raise ValueError(f"the bible has no character {new!r}: there are {', '.join(now.names)} and {UNKNOWN}")
    for episode, line in now.lines():
        yield from desk.renaming(episode, [line], old, new)


def _offered(groups: Iterable[fixes.Group], group_id: str) -> fixes.Group:
    for group in groups:
        if group.id == group_id:
            return group
    raise ValueError(f"{group_id} is not suggested (any more): somebody has dealt with it, or answered otherwise")


def _chosen(now: Now, group: fixes.Group, places: Collection[str] | None) -> tuple[EditPlace, ...]:
    return _of_these([each.place for each in group.suggestions], places)


def _of_these(found: Sequence[EditPlace], ids: Collection[str] | None, problem: str = "") -> tuple[EditPlace, ...]:
    """All of them, or those with these ids. Raises ValueError for `problem`, for none, or for an id of another."""
    if problem:
        raise ValueError(problem)
    by_id = {standing.id_of(place): place for place in found}
    strangers = sorted(set(ids or ()) - by_id.keys())
    if strangers:
        raise ValueError(f"{', '.join(strangers)}: no such place (any more); look at the preview again")
    chosen = tuple(place for id_, place in by_id.items() if ids is None or id_ in ids)
    if not chosen:
        raise ValueError("no place is chosen")
    return chosen


def _moment() -> datetime:
    return datetime.now(UTC)
