"""bible.toml as people write it, and what can be wrong with it.

A problem is the key path it is about and what to do; `located.at` puts the line to it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipeline.schemas.located import KeyPath

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=40)]
Problem = tuple[KeyPath, str]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ShowTable(_Table):
    title: Text
    season: int | None = None
    language: Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")] = "en"
    licence: str = ""
    style: str = ""


class CharacterTable(_Table):
    id: Id
    name: Text
    short: Text | None = None
    aliases: tuple[Text, ...] = ()
    role: str = ""
    voice: str = ""
    looks: str = ""
    mishearings: tuple[Text, ...] = ()
    refs: tuple[Text, ...] = ()


class PlaceTable(_Table):
    id: Id
    name: Text
    looks: str = ""
    mishearings: tuple[Text, ...] = ()


class TermTable(_Table):
    term: Text
    kind: str = ""
    mishearings: tuple[Text, ...] = ()
    note: str = ""


class EpisodeTable(_Table):
    id: Text
    title: str = ""
    video: str = ""


class BibleFile(_Table):
    show: ShowTable
    characters: tuple[CharacterTable, ...] = Field(default=(), alias="character")
    places: tuple[PlaceTable, ...] = Field(default=(), alias="place")
    terms: tuple[TermTable, ...] = Field(default=(), alias="term")
    episodes: tuple[EpisodeTable, ...] = Field(default=(), alias="episode")


def picture(path: str) -> str:
    """A picture's path in one spelling: `./refs//a.png` -> `refs/a.png`."""
    return str(PurePosixPath(path))


def errors(file: BibleFile, pictures: Collection[str]) -> Iterator[Problem]:
    """What must be mended: two of one id, two people of one name, a picture that is not there."""
    for kind, ids in (
        ("character", [c.id for c in file.characters]),
        ("place", [p.id for p in file.places]),
        ("episode", [e.id for e in file.episodes]),
    ):
        for index, id_ in enumerate(ids):
            if id_ in ids[:index]:
                yield (kind, index, "id"), f'"{id_}" is {kind}[{ids.index(id_)}]\'s id already: give it another'
    first: dict[str, int] = {}
    for index, character in enumerate(file.characters):
        for path, name in _names(index, character):
            other = first.setdefault(name.casefold(), index)
            if other != index:
                whose = file.characters[other].name
                yield path, f'"{name}" is also a name of {whose}: leave it to one of them, or write it in full'
        for at, ref in enumerate(character.refs):
            if picture(ref) not in pictures:
                yield (
                    ("character", index, "refs", at),
                    f'there is no picture "{ref}": put a .png, .jpg or .webp there (from bible.toml) or remove it',
                )


def risks(file: BibleFile) -> Iterator[Problem]:
    """What may make results worse: mishearings that two names share or that are a name, and gaps."""
    owners: dict[str, set[str]] = defaultdict(set)
    spelled = _spellings(file)
    listed = list(_mishearings(file))
    for _, right, heard in listed:
        owners[heard.casefold()].add(right)
    for path, right, heard in listed:
        others = sorted(
            other for other in owners[heard.casefold()] - {right} if not _are_told_apart(file, right, other)
        )
        if others:
            yield path, f'"{heard}" is listed for {" and ".join(others)} too: it will be asked about every time'
        name = spelled.get(heard)
        if name == right:
            yield path, f'"{heard}" is the right spelling itself: remove it'
        elif name and not _are_told_apart(file, right, heard):
            yield path, f'"{heard}" is the name of another: it stays as it is heard'
    if not file.characters:
        yield (), "there is no [[character]]: nobody will be named in captions"
    for index, character in enumerate(file.characters):
        for field in ("looks", "voice"):
            if not getattr(character, field).strip():
                yield ("character", index, field), f"says nothing of the {field} of {character.name}: models go by it"
        if not character.refs:
            yield ("character", index, "refs"), f"has no picture of {character.name}: nobody can tell them on screen"


def _names(index: int, character: CharacterTable) -> Iterator[tuple[KeyPath, str]]:
    yield ("character", index, "name"), character.name
    if character.short:
        yield ("character", index, "short"), character.short
    for at, alias in enumerate(character.aliases):
        yield ("character", index, "aliases", at), alias


def _spellings(file: BibleFile) -> dict[str, str]:
    """Every right spelling -> whose it is, as `_mishearings` calls them."""
    found = {term.term: term.term for term in file.terms} | {place.name: place.name for place in file.places}
    for index, character in enumerate(file.characters):
        found |= {name: character.short or character.name for _, name in _names(index, character)}
    return found


def _mishearings(file: BibleFile) -> Iterator[tuple[KeyPath, str, str]]:
    """Where it stands, the right spelling, the mishearing."""
    tables: tuple[tuple[str, list[tuple[str, tuple[str, ...]]]], ...] = (
        ("character", [(c.short or c.name, c.mishearings) for c in file.characters]),
        ("place", [(p.name, p.mishearings) for p in file.places]),
        ("term", [(t.term, t.mishearings) for t in file.terms]),
    )
    for kind, entries in tables:
        for index, (right, mishearings) in enumerate(entries):
            for at, heard in enumerate(mishearings):
                yield (kind, index, "mishearings", at), right, heard


def _are_told_apart(file: BibleFile, one: str, other: str) -> bool:
    """Whether one of them is a plain thing, listed so that it is not taken for the name: cone and Cohen."""
    things = {term.term.casefold() for term in file.terms if term.kind == "thing"}
    return (one.casefold() in things) != (other.casefold() in things)
