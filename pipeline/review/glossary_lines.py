"""Mishearings that people corrected more than once, as lines for bible.toml. All of the file else stays as it is."""

import os
import tempfile
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, unified_diff
from pathlib import Path
from typing import Any, Literal

from pipeline.engine import fingerprint
from pipeline.review import corrections, desk
from pipeline.review.accounts import age
from pipeline.review.lines import MARKS
from pipeline.review.verdicts import skipped
from pipeline.schemas import located
from pipeline.schemas.bible_toml import BibleFile, risks
from pipeline.schemas.captions import ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.wording import bare

CONFIRMED = 2
"""So many places must have been corrected in the same way: one may be a slip of the speaker's tongue."""

MOST_WORDS = 4
"""Names and titles are at most this long; more words that change at once are a line worded anew."""

Kind = Literal["character", "place", "term"]


@dataclass(frozen=True, slots=True)
class Offer:
    """`heard` may be listed as a mishearing of `right`, which is `kind` number `index` (from 0) of bible.toml.

    `places` are the tasks where people corrected it, or episode and line where a batch edit did. `diff` is what writing
    it would change, `warnings` what the bible check says of the line.
    """

    id: str
    kind: Kind
    index: int
    heard: str
    right: str
    places: tuple[str, ...]
    diff: str
    warnings: tuple[str, ...]


def offers(text: str, decisions: Sequence[ReviewDecision], log: Sequence[BatchEdit], name: str) -> list[Offer]:
    """What the bible `text` (called `name`) may list; the most often corrected first. Raises ValueError where it is
    not a valid bible.
    """
    bible = located.parse(text, BibleFile, name)
    forms = _forms(bible)
    found: dict[tuple[Kind, int, str], list[tuple[str, str, str, str]]] = {}
    for before, after, where, key in _corrected(decisions, log):
        for at, old, new in _misheard(before.split(), after.split(), forms):
            kind, index, listed = forms[bare(new)]
            if old.casefold() not in listed:
                found.setdefault((kind, index, old.casefold()), []).append((old, new, f"{where} {at}", key))
    made = []
    for (kind, index, _), its in found.items():
        if len({where for *_, where, _ in its}) < CONFIRMED:
            continue
        heard, right = its[-1][0], its[-1][1]
        new_text = with_line(text, kind, index, heard)
        warnings = sorted(_risks(new_text, name) - _risks(text, name))
        diff = "".join(unified_diff(text.splitlines(True), new_text.splitlines(True), name, name, n=2))
        id_ = fingerprint.of_value("glossary", [kind, index, heard.casefold()])[:12]
        keys = tuple(sorted({key for *_, key in its}))
        made.append(Offer(id_, kind, index, heard, right, keys, diff, tuple(warnings)))
    return sorted(made, key=lambda offer: (-len(offer.places), offer.right, offer.heard))


def with_line(text: str, kind: Kind, index: int, heard: str) -> str:
    """The bible with one more mishearing; comments and layout are kept."""
    import tomlkit

    document: Any = tomlkit.parse(text)
    table = document[kind][index]
    if "mishearings" in table:
        table["mishearings"].append(heard)
    else:
        table.append("mishearings", [heard])
    return tomlkit.dumps(document)


def write(path: Path, offer: Offer) -> None:
    """Put an offered line into the file at `path`, whole or not at all. Raises ValueError if it would be no bible."""
    # Not read as text: a file keeps its line ends.
    text = path.read_bytes().decode("utf-8")
    new = with_line(text, offer.kind, offer.index, offer.heard)
    located.parse(new, BibleFile, path.name)
    rewrite(path, new)


def rewrite(path: Path, new: str) -> None:
    """Give a file that people write a new text, whole or not at all; its mode stays, and a link stays one."""
    target = path.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(new.encode())
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).chmod(target.stat().st_mode)
        Path(temporary).replace(target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _risks(text: str, name: str) -> set[str]:
    return {problem for _, problem in risks(located.parse(text, BibleFile, name))}


def _forms(bible: BibleFile) -> dict[str, tuple[Kind, int, frozenset[str]]]:
    """Every right spelling, bare -> whose it is and what is listed for it; a person's goes before a term's."""
    found: dict[str, tuple[Kind, int, frozenset[str]]] = {}
    for index, term in enumerate(bible.terms):
        found[bare(term.term)] = ("term", index, _folded(term.mishearings))
    for index, place in enumerate(bible.places):
        found[bare(place.name)] = ("place", index, _folded(place.mishearings))
    for index, character in enumerate(bible.characters):
        for form in (character.name, character.short or character.name, *character.aliases):
            found[bare(form)] = ("character", index, _folded(character.mishearings))
    return found


def _folded(words: Sequence[str]) -> frozenset[str]:
    return frozenset(word.casefold() for word in words)


def _corrected(decisions: Sequence[ReviewDecision], log: Sequence[BatchEdit]) -> Iterator[tuple[str, str, str, str]]:
    """The words before and after, where they are (two are the same place or not), and the task's key."""
    newest: dict[tuple[str, str], ReviewDecision] = {}
    for decision in sorted(decisions, key=age):
        if not skipped(decision):
            newest[decision.key, decision.by] = decision
    for decision in newest.values():
        if isinstance(decision.answer, TranscriptAnswer):
            for line in corrections.left(decision.answer):
                if line.seen and line.judged and line.text:
                    where = f"{decision.episode} {line.seen.span.start:.1f}"
                    yield line.seen.text, line.text, where, decision.key
    for entry in desk.standing(log):
        if entry.what in ("answer", "replace"):
            for place in entry.places:
                if place.about == "text" and place.after:
                    where = f"{place.episode} {place.span.start:.1f}"
                    yield place.before, place.after, where, f"{place.episode} {place.segment}"


def _misheard(old: Sequence[str], new: Sequence[str], forms: Container[str]) -> Iterator[tuple[int, str, str]]:
    """The names of `forms` that were put where something else was heard: at which word, what was heard, the name.

    A name may be longer than the words that had to be changed: "Operation Hal Seon" is heard for "Operation Halcyon".
    """
    before, after = [bare(word) for word in old], [bare(word) for word in new]
    for tag, i, i_end, j, j_end in SequenceMatcher(a=before, b=after, autojunk=False).get_opcodes():
        if tag != "replace":
            continue
        pairs = _widened(before, after, (i, i_end, j, j_end))
        if i_end - i == j_end - j:  # Word by word: each may be a name of its own, the longest first.
            sizes = range(min(MOST_WORDS, i_end - i), 0, -1)
            pairs += [(i + n, i + n + size, j + n, j + n + size) for size in sizes for n in range(i_end - i - size + 1)]
        taken: set[int] = set()
        for first, last, start, end in pairs:
            words = set(range(start, end))
            if words.isdisjoint(taken) and " ".join(after[start:end]) in forms:
                taken |= words
                if before[first:last] != after[start:end]:
                    yield first, _core(" ".join(old[first:last])), _core(" ".join(new[start:end]))


def _widened(
    before: Sequence[str], after: Sequence[str], block: tuple[int, int, int, int]
) -> list[tuple[int, int, int, int]]:
    """A changed stretch, alone and with its unchanged neighbours, the longest first, as far as a name may reach."""
    i, i_end, j, j_end = block
    found = []
    for left in range(min(i, j, MOST_WORDS) + 1):
        if left and before[i - left] != after[j - left]:
            break
        for right in range(min(len(before) - i_end, len(after) - j_end, MOST_WORDS) + 1):
            if right and before[i_end + right - 1] != after[j_end + right - 1]:
                break
            if max(i_end - i, j_end - j) + left + right <= MOST_WORDS:
                found.append((i - left, i_end + right, j - left, j_end + right))
    return sorted(found, key=lambda each: each[0] - each[1])


def _core(words: str) -> str:
    return words.strip(MARKS) or words
