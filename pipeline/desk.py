"""The lead's desk, for the CLI and the panel: what is done to many clips at once, outside Label Studio.

Everything here reads results that stand in the store, fresh or not, and runs no step. What is done becomes an entry of
a log that only ever grows, and part of a new snapshot; `dailies run` then makes the reviewed clips anew, and the next
push shows the reviewers what was settled.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pipeline import dag
from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW
from pipeline.engine.store import Store
from pipeline.review import desk, edits, fixes, flags, glossary_lines
from pipeline.review.accounts import age, clip_at
from pipeline.review.glossary_lines import Offer
from pipeline.review.merge import Machine, Standing, stand
from pipeline.schemas.captions import ReviewSnapshot
from pipeline.schemas.edits import BatchEdit, EditAccount, EditPlace, What
from pipeline.schemas.story import UNKNOWN, Bible
from pipeline.schemas.timeline import Segment
from pipeline.show import Show

__all__ = [
    "Edit", "Group", "Offer", "Place", "accept", "answered", "change_speaker", "edits_made", "flagged", "glossary",
    "preview_replace", "preview_speaker", "refuse", "replace", "send_back", "speakers", "suggestions", "undo",
    "write_glossary",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a batch edit, made or offered. `about` "text": the words `before` become `after` ("" takes them
    out), and the line's text goes from `line` to `line_after`; "speaker": who says the line; "clip": sent back.

    `clip` is the one that holds it now, "" if none does. Speakers are named as the screens name them.
    """

    id: str
    about: Literal["text", "speaker", "clip"]
    episode: str
    clip: str
    segment: str
    at_seconds: float
    line: str
    line_after: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Group:
    """An answer that somebody gave (`by`, `at`, `from_place`), offered for all `places` that have the same doubt.

    `said` tells it in words, with who answered otherwise. `kind` "text": `heard` may be `value`; "speaker": `value`
    may speak these lines, and `heard` is "".
    """

    id: str
    kind: Literal["text", "speaker"]
    heard: str
    value: str
    by: str
    at: datetime
    from_place: str
    said: str
    places: tuple[Place, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """An entry of the log. `title` says in words what was done; `undone_by` is who took it back, "" if nobody did.

    `account` is what became of its places by now; None for what has none (an undo, a refusal, a glossary line).
    """

    id: str
    what: What
    title: str
    by: str
    at: datetime
    reason: str
    undone_by: str
    places: tuple[Place, ...]
    account: EditAccount | None


# Fix once


def suggestions(show: Show) -> list[Group]:
    """What people settled in one place and may settle others with, the most places first."""
    now = _now(show)
    return [
        Group(
            id=group.id,
            kind="speaker" if group.of[0] == "speaker" else "text",
            heard="" if group.of[0] == "speaker" else group.heard,
            value=now.names.get(group.value, group.value) if group.of[0] == "speaker" else group.value,
            by=group.origin.by,
            at=group.origin.at,
            from_place=group.origin.key,
            said=group.said,
            places=tuple(now.place(each.place) for each in group.suggestions),
        )
        for group in now.groups
    ]


def accept(show: Show, group_id: str, places: Collection[str] | None, by: str) -> Edit:
    """Take a suggestion for all its places, or for those with these ids.

    Raises ValueError where it is not offered (any more).
    """
    now = _now(show)
    group = _offered(now.groups, group_id)
    chosen = _chosen(now, group, places)
    made = BatchEdit(id="", what="answer", by=by, at=_moment(), places=chosen, group=group.id, taken_from=group.origin)
    return _made(show, made)


def refuse(show: Show, group_id: str, places: Collection[str] | None, by: str) -> Edit:
    """Never suggest this again: anywhere, or at the places with these ids. Raises ValueError as `accept` does."""
    now = _now(show)
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
    now = _now(show)
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
    now = _now(show)
    found = list(_replacing(now, find, replacement, whole_words, match_case))
    chosen = _of_these(found, places, f"{find!r} stands nowhere" if not found else "")
    return _made(show, BatchEdit(id="", what="replace", by=by, at=_moment(), places=chosen))


def speakers(show: Show) -> dict[str, int]:
    """Who speaks how many lines as they stand: characters' ids and UNKNOWN; those without a line too."""
    now = _now(show)
    counts = dict.fromkeys([*now.names, UNKNOWN], 0)
    for _, line in now.lines():
        counts[line.speaker or UNKNOWN] = counts.get(line.speaker or UNKNOWN, 0) + 1
    return counts


def preview_speaker(show: Show, old: str, new: str) -> list[Place]:
    """The lines that `change_speaker` would give to another. Raises ValueError where `new` is not in the bible."""
    now = _now(show)
    return [now.place(place) for place in _renaming(now, old, new)]


def change_speaker(show: Show, old: str, new: str, by: str, *, places: Collection[str] | None = None) -> Edit:
    """Give all lines of speaker `old` (an id, or UNKNOWN) to `new`: a rename, or the merging of two.

    Raises ValueError where there is no such line, or the bible has nobody called `new`.
    """
    now = _now(show)
    found = list(_renaming(now, old, new))
    chosen = _of_these(found, places, f"{old} has no line" if not found else "")
    return _made(show, BatchEdit(id="", what="speaker", by=by, at=_moment(), places=chosen))


# The log


def edits_made(show: Show) -> list[Edit]:
    """All that was done here, the newest first."""
    now = _now(show)
    gone = desk.undone(now.log)
    accounts = {account.id: account for account in now.accounts}
    return [_edit(now, entry, gone, accounts) for entry in reversed(now.log)]


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
    newest = {decision.key: decision for decision in _now(show).decisions if not decision.skipped}
    for key in keys:
        if key not in newest:
            raise ValueError(f"nobody has answered {key}: there is nothing to send back")
    places = tuple(
        EditPlace(about="clip", episode=newest[key].episode, span=newest[key].span, key=key)
        for key in dict.fromkeys(keys)
    )
    return _made(show, BatchEdit(id="", what="send back", by=by, at=_moment(), places=places, reason=reason.strip()))


# What to look at, and the bible


def answered(show: Show) -> dict[str, str]:
    """Who answered last, by the key of the task; these may be sent back."""
    return {each.key: each.by for each in sorted(_now(show).decisions, key=age) if not each.skipped}


def flagged(show: Show) -> dict[str, tuple[str, ...]]:
    """The keys of tasks by why they may need a look: doubts, marks, notes, reviewers' flags, second looks."""
    now = _now(show)
    found: dict[str, list[str]] = {}
    for episode, machine in now.machines.items():
        ours = [decision for decision in now.decisions if decision.episode == episode]
        for why, key in flags.flagged(machine, ours, now.standing[episode]):
            found.setdefault(why, []).append(key)
    return {why: tuple(dict.fromkeys(keys)) for why, keys in sorted(found.items())}


def glossary(show: Show) -> list[Offer]:
    """Lines for bible.toml: mishearings that people corrected in two places or more and that it does not list yet."""
    text = _bible_path(show).read_text(encoding="utf-8")
    return glossary_lines.offers(text, _now(show).decisions, show.edits(), name=show.file.bible)


def write_glossary(show: Show, offer_id: str, by: str) -> Offer:
    """Write one offered line into bible.toml; all else in the file stays as it is.

    Raises ValueError where it is not offered (any more), or the bible would not be valid with it.
    """
    path = _bible_path(show)
    with show.store.lock("bible"):
        found = {offer.id: offer for offer in glossary(show)}
        if offer_id not in found:
            raise ValueError(f"there is no glossary line {offer_id} to write (any more)")
        offer = found[offer_id]
        glossary_lines.write(path, offer)
    entry = BatchEdit(id="", what="glossary", by=by, at=_moment(), reason=f"{offer.heard} is {offer.right} misheard")
    show.add_edit(entry)
    return offer


def _bible_path(show: Show) -> Path:
    path = show.folder / show.file.bible
    if not path.is_file():
        raise ValueError(f"there is no file {show.file.bible!r}: `dailies init` has a first one")
    return path


# How everything stands


@dataclass(frozen=True, slots=True)
class _Now:
    machines: dict[str, Machine]
    bible: Bible
    decisions: tuple[Any, ...]
    log: tuple[BatchEdit, ...]
    standing: dict[str, Standing]
    accounts: tuple[EditAccount, ...]
    groups: tuple[fixes.Group, ...]

    @property
    def names(self) -> dict[str, str]:
        return {character.id: character.short for character in self.bible.characters}

    def lines(self) -> Iterator[tuple[str, Segment]]:
        for episode, standing in self.standing.items():
            yield from ((episode, line) for line in standing.dialogue.spoken())

    def place(self, place: EditPlace) -> Place:
        machine = self.machines.get(place.episode)
        clip = clip_at(place.span, machine.scenes.clips) if machine else None
        names = {**self.names, UNKNOWN: UNKNOWN} if place.about == "speaker" else {}
        before, after = (names.get(each, each) for each in (place.before, place.after))
        return Place(
            id=_id(place),
            about=place.about,
            episode=place.episode,
            clip=clip.id if clip else "",
            segment=place.segment,
            at_seconds=place.span.start,
            line=place.line,
            line_after=desk.line_after(place) if place.about == "text" else place.line,
            before=before,
            after=after,
        )


def _now(show: Show) -> _Now:
    digests: dict[tuple[str, str], Digest] = {}
    for step in ("step1-scenes", "step2-transcript-disambiguate", "step2-caption"):
        for episode in show.episodes():
            if run := show.store.head(step, episode):
                digests[step, episode] = run.output
    bible = show.store.head("step2-bible", SHOW)
    if bible is None:
        raise ValueError("the bible was never read: `dailies run` first")
    log = tuple(entry.id for entry in show.edits())
    return _loaded(show.store.root, tuple(digests.items()), bible.output, show.latest_snapshot(), len(log))


@lru_cache(maxsize=2)
def _loaded(
    root: Path,
    digests: tuple[tuple[tuple[str, str], Digest], ...],
    bible_digest: Digest,
    snapshot: Digest | None,
    log_length: int,
) -> _Now:
    """All that the desk shows; the panel asks for it with every click, so the last is kept.

    Everything is named by its digest, but the log, which only grows.
    """
    store = Store(root)
    kinds = {step.name: step.output for step in dag.STEPS}
    records: dict[tuple[str, str], Any] = {node: store.get(digest, kinds[node[0]]) for node, digest in digests}
    bible = store.get(bible_digest, Bible)
    decisions = store.get(snapshot, ReviewSnapshot).decisions if snapshot else ()
    paths = sorted((root / "edits").glob("*"))[:log_length]
    log = tuple(store.get(Digest(path.read_text()), BatchEdit) for path in paths)
    steps = ("step1-scenes", "step2-transcript-disambiguate", "step2-caption")
    episodes = [unit for step, unit in records if step == steps[0]]
    machines = {
        episode: Machine(*(records[step, episode] for step in steps))
        for episode in episodes
        if all((step, episode) in records for step in steps)
    }
    standing = {
        episode: stand(machine, bible, [d for d in decisions if d.episode == episode], log=log)
        for episode, machine in machines.items()
    }
    laid = [each for its in standing.values() for each in its.laid] + edits.elsewhere(log, machines)
    names = {character.id: character.short for character in bible.characters}
    transcripts = {episode: machine.transcript for episode, machine in machines.items()}
    groups = fixes.suggestions(transcripts, decisions, log, names=names)
    return _Now(machines, bible, decisions, log, standing, edits.accounts(log, laid), tuple(groups))


def _made(show: Show, entry: BatchEdit) -> Edit:
    if not entry.by.strip():
        raise ValueError("say who does it: the log keeps it")
    added = show.add_edit(entry)
    return next(each for each in edits_made(show) if each.id == added.id)


def _edit(now: _Now, entry: BatchEdit, gone: dict[str, BatchEdit], accounts: dict[str, EditAccount]) -> Edit:
    return Edit(
        id=entry.id,
        what=entry.what,
        title=_title(now, entry),
        by=entry.by,
        at=entry.at,
        reason=entry.reason,
        undone_by=gone[entry.id].by if entry.id in gone else "",
        places=tuple(now.place(place) for place in entry.places),
        account=accounts.get(entry.id),
    )


def _title(now: _Now, entry: BatchEdit) -> str:
    if entry.what == "undo":
        return f"edit {entry.undoes} undone"
    if entry.what == "glossary":
        return f"written into the bible: {entry.reason}"
    count = f"{len(entry.places)} place" + ("" if len(entry.places) == 1 else "s")
    if entry.what == "send back":
        return f"{count} sent back: {entry.reason}"
    shown = [now.place(place) for place in entry.places]
    changes = list(dict.fromkeys((place.before, place.after) for place in shown))
    first = f"“{changes[0][0]}” → “{changes[0][1]}”" + (f" and {len(changes) - 1} more" if len(changes) > 1 else "")
    verb = {"answer": "suggestion taken", "refusal": "suggestion refused", "replace": "replaced", "speaker": "speaker"}
    return f"{verb[entry.what]}: {first}, {count}"


def _replacing(now: _Now, find: str, replacement: str, whole_words: bool, match_case: bool) -> Iterator[EditPlace]:
    for episode, line in now.lines():
        yield from desk.replacing(episode, [line], find, replacement, whole_words=whole_words, match_case=match_case)


def _renaming(now: _Now, old: str, new: str) -> Iterator[EditPlace]:
    if new not in (*now.names, UNKNOWN):
        raise ValueError(f"the bible has no character {new!r}: there are {', '.join(now.names)} and {UNKNOWN}")
    for episode, line in now.lines():
        yield from desk.renaming(episode, [line], old, new)


def _offered(groups: Iterable[fixes.Group], group_id: str) -> fixes.Group:
    for group in groups:
        if group.id == group_id:
            return group
    raise ValueError(f"{group_id} is not suggested (any more): somebody has dealt with it, or answered otherwise")


def _chosen(now: _Now, group: fixes.Group, places: Collection[str] | None) -> tuple[EditPlace, ...]:
    return _of_these([each.place for each in group.suggestions], places)


def _of_these(found: Sequence[EditPlace], ids: Collection[str] | None, problem: str = "") -> tuple[EditPlace, ...]:
    """All of them, or those with these ids. Raises ValueError for `problem`, for none, or for an id of another."""
    if problem:
        raise ValueError(problem)
    by_id = {_id(place): place for place in found}
    strangers = sorted(set(ids or ()) - by_id.keys())
    if strangers:
        raise ValueError(f"{', '.join(strangers)}: no such place (any more); look at the preview again")
    chosen = tuple(place for id_, place in by_id.items() if ids is None or id_ in ids)
    if not chosen:
        raise ValueError("no place is chosen")
    return chosen


def _id(place: EditPlace) -> str:
    return fingerprint.of_value("place", place.model_dump(mode="json"))[:12]


def _moment() -> datetime:
    return datetime.now(UTC)
