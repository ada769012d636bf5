"""What a show's bible says about spellings, ready to compare heard words with."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from pipeline.models.phonetics import alike
from pipeline.schemas.story import Character, KnownNames

Kind = Literal["person", "name", "thing"]

_RANKS = "agent inspector detective captain professor sergeant officer lieutenant colonel major judge mayor president"
_STYLES = "dr doctor mr mrs ms miss madame madam sir lady lord prince princess king queen nurse uncle aunt father"
TITLES = frozenset(f"{_RANKS} {_STYLES}".split())
ARTICLES = frozenset("a an the my your his her its our their some any no every each another".split())  # noqa: SIM905
DEMONSTRATIVES = frozenset("this that these those what which".split())  # noqa: SIM905
_VERBS = (
    "say says said ask asked tell told see saw bring brought get got know knew want wanted need needed like love call"
)
_JOINTS = "and or but if that than then as of in on at to for with from by about i you he she we they it who not do did"
JOINTS = frozenset(f"{_VERBS} {_JOINTS} is was are were be been am have has had will would can could".split())
"""Words that end a noun's own words: between "an" and "cone" in "an ice cream cone" stands none of them."""
COPULAS = frozenset("is was are were isn't wasn't 's".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Form:
    """One right spelling; `owner` is the character's id, `titles` what the bible puts before it."""

    text: str
    kind: Kind
    owner: str | None
    mishearings: frozenset[str]
    titles: frozenset[str]


@lru_cache(maxsize=65536)
def core(word: str) -> tuple[str, str, str]:
    """A word without the punctuation before and after it, and both of them: `"Cone?"` -> `"`, `Cone`, `?"`."""
    found = re.fullmatch(r"(\W*)(.*?)([^\w.]*|\.?[^\w.]*)", word, re.DOTALL)
    if found is None or not found[2]:
        return "", word, ""
    return found[1], found[2], found[3]


@lru_cache(maxsize=65536)
def normal(text: str) -> str:
    """A spelling for comparison: no case, no outer punctuation, one kind of apostrophe."""
    words = (core(word)[1] for word in text.casefold().replace("’", "'").split())
    return " ".join(word for word in words if word)


def forms(known: KnownNames) -> tuple[Form, ...]:
    """Every spelling of the bible, once; a title is not part of one, and "the doctor" is no name."""
    found: dict[str, Form] = {}
    for form in (*_of_characters(known), *_of_places_and_terms(known)):
        old = found.get(form.text)
        if old is None:
            found[form.text] = form
        else:  # Cohen may be listed as a character and as a term: one spelling, known by both.
            found[form.text] = Form(
                form.text, old.kind, old.owner, old.mishearings | form.mishearings, old.titles | form.titles
            )
    return tuple(found.values())


def untitled(name: str) -> str:
    """`Agent Ines Reyes` -> `Ines Reyes`."""
    words = name.split()
    while len(words) > 1 and normal(words[0]) in TITLES:
        words = words[1:]
    return " ".join(words)


def is_name(text: str) -> bool:
    """Whether a spelling is a name rather than a description ("the doctor", "her partner")."""
    return text[:1].isupper() or not text[:1].isalpha() or not text.isascii()


def spellings(character: Character) -> tuple[str, ...]:
    """The names a character goes by, without titles and descriptions, the shortest way of naming first."""
    return tuple(
        dict.fromkeys(untitled(name) for name in (character.short, *character.aliases, character.name) if is_name(name))
    )


def _of_characters(known: KnownNames) -> Iterator[Form]:
    for character in known.characters:
        texts = spellings(character)
        titles = frozenset(
            normal(name.split()[0])
            for name in (character.name, *character.aliases)
            if normal(name.split()[0]) in TITLES
        )
        heard = {text: set[str]() for text in texts}
        for mishearing in character.mishearings:
            heard[max(texts, key=lambda text: alike(text, mishearing))].add(normal(mishearing))
        for text in texts:
            yield Form(text, "person", character.id, frozenset(heard[text]), titles)


def _of_places_and_terms(known: KnownNames) -> Iterator[Form]:
    for place in known.places:
        yield Form(place.name, "name", None, frozenset(map(normal, place.mishearings)), frozenset())
    for term in known.terms:
        kind: Kind = "thing" if term.kind == "thing" else "person" if term.kind == "person" else "name"
        yield Form(term.term, kind, None, frozenset(map(normal, term.mishearings)), frozenset())
