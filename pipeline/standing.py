"""How the review stands, read from the store, fresh or not: what the lead's desk shows and what it works on."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pipeline import dag
from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import Digest
from pipeline.engine.plan import SHOW, Node
from pipeline.engine.store import Store
from pipeline.review import desk, edits, fixes
from pipeline.review.accounts import clip_at
from pipeline.review.merge import Machine, Policy, Standing, stand
from pipeline.schemas.captions import ReviewDecision, ReviewSnapshot
from pipeline.schemas.edits import BatchEdit, EditAccount, EditPlace, What
from pipeline.schemas.story import UNKNOWN, Bible
from pipeline.schemas.timeline import Segment
from pipeline.show import Show
from pipeline.steps import step2_reviewed

_STEPS = ("step1-scenes", "step2-transcript-disambiguate", "step2-caption")


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


@dataclass(frozen=True, slots=True)
class Now:
    """Everything at one moment; `standing` is each episode's, `accounts` are those of the batch edits."""

    machines: dict[str, Machine]
    bible: Bible
    decisions: tuple[ReviewDecision, ...]
    log: tuple[BatchEdit, ...]
    standing: dict[str, Standing]
    accounts: tuple[EditAccount, ...]
    groups: tuple[fixes.Group, ...]
    shown: dict[str, tuple[Place, ...]] = field(default_factory=dict)
    """The places of the groups, by group, once somebody has asked for them."""

    @property
    def names(self) -> dict[str, str]:
        return {character.id: character.short for character in self.bible.characters}

    def lines(self) -> Iterator[tuple[str, Segment]]:
        for episode, standing in self.standing.items():
            yield from ((episode, line) for line in standing.dialogue.spoken())

    def places(self, group: fixes.Group) -> tuple[Place, ...]:
        if group.id not in self.shown:
            self.shown[group.id] = tuple(self.place(each.place) for each in group.suggestions)
        return self.shown[group.id]

    def place(self, place: EditPlace) -> Place:
        machine = self.machines.get(place.episode)
        clip = clip_at(place.span, machine.scenes.clips) if machine else None
        names = {**self.names, UNKNOWN: UNKNOWN} if place.about == "speaker" else {}
        before, after = (names.get(each, each) for each in (place.before, place.after))
        return Place(
            id=id_of(place),
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


def now(show: Show) -> Now:
    """What stands of `show`. Raises ValueError where the bible was never read."""
    return _loaded(*_made_of(show))


def stamp(show: Show) -> list[str]:
    """While it is the same, `now` is. Raises ValueError as `now` does."""
    return [str(each) for each in _made_of(show)[1:]]


def _made_of(show: Show) -> tuple[Path, tuple[tuple[Node, Digest], ...], Digest | None, int, float, Policy]:
    nodes = [(step, episode) for step in _STEPS for episode in show.episodes()]
    heads = {node: show.store.head(*node) for node in (*nodes, ("step2-bible", SHOW), ("step2-voices", SHOW))}
    digests = tuple((node, run.output) for node, run in heads.items() if run)
    if heads["step2-bible", SHOW] is None:
        raise ValueError("the bible was never read: `dailies run` first")
    config = show.configs()["step2-reviewed"]
    assert isinstance(config, step2_reviewed.Config)
    edits = len(show.edits())
    return show.store.root, digests, show.latest_snapshot(), edits, config.sure_enough, config.policy


@lru_cache(maxsize=2)
def _loaded(
    root: Path,
    digests: tuple[tuple[Node, Digest], ...],
    snapshot: Digest | None,
    log_length: int,
    sure_enough: float,
    policy: Policy,
) -> Now:
    """All that the desk shows; the panel asks for it with every click, so the last is kept.

    Everything is named by its digest, but the log, which only grows. After an edit only the episodes that it concerns
    are looked at anew.
    """
    store = Store(root)
    records: dict[Node, Any] = {node: _record(root, node[0], digest) for node, digest in digests}
    bible: Bible = records["step2-bible", SHOW]
    decisions = store.get(snapshot, ReviewSnapshot).decisions if snapshot else ()
    paths = sorted((root / "edits").glob("*"))[:log_length]
    log = tuple(store.get(Digest(path.read_text()), BatchEdit) for path in paths)
    episodes = [unit for step, unit in records if step == _STEPS[0]]
    machines = {
        episode: Machine(*(records[step, episode] for step in _STEPS))
        for episode in episodes
        if all((step, episode) in records for step in _STEPS)
    }
    of_episode: dict[str, list[ReviewDecision]] = defaultdict(list)
    for decision in decisions:
        of_episode[decision.episode].append(decision)
    inputs = {
        episode: (machine, bible, of_episode[episode], sure_enough, policy, _about(episode, log))
        for episode, machine in machines.items()
    }
    standing = {episode: _stood(root, episode, each) for episode, each in inputs.items()}
    laid = [each for its in standing.values() for each in its.laid] + edits.elsewhere(log, machines)
    names = {character.id: character.short for character in bible.characters}
    transcripts = {episode: machine.transcript for episode, machine in machines.items()}
    voices = fixes.voices_of(records.get(("step2-voices", SHOW)))
    groups = fixes.suggestions(transcripts, decisions, log, voices, names)
    return Now(machines, bible, decisions, log, standing, edits.accounts(log, laid), tuple(groups))


@lru_cache(maxsize=4096)
def _record(root: Path, step: str, digest: Digest) -> Any:
    kinds = {each.name: each.output for each in dag.STEPS}
    return Store(root).get(digest, kinds[step])


_Inputs = tuple[Machine, Bible, list[ReviewDecision], float, Policy, list[BatchEdit]]
_STOOD: dict[tuple[Path, str], tuple[_Inputs, Standing]] = {}


def _stood(root: Path, episode: str, inputs: _Inputs) -> Standing:
    """How an episode stands; the last answer holds as long as all that it was made of is the same."""
    last = _STOOD.get((root, episode))
    if last is None or last[0] != inputs:
        last = _STOOD[root, episode] = (inputs, stand(*inputs))
    return last[1]


def _about(episode: str, log: Sequence[BatchEdit]) -> list[BatchEdit]:
    """The entries that say something of an episode, and those that take one of them back."""
    ids: set[str] = set()
    found = []
    for entry in log:
        if entry.undoes in ids or any(place.episode == episode for place in entry.places):
            ids.add(entry.id)
            found.append(entry)
    return found


def edit_of(now: Now, entry: BatchEdit, gone: dict[str, BatchEdit], accounts: dict[str, EditAccount]) -> Edit:
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


def _title(now: Now, entry: BatchEdit) -> str:
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


def id_of(place: EditPlace) -> str:
    return fingerprint.of_value("place", place.model_dump(mode="json"))[:12]
