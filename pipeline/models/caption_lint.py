"""What is wrong with captions, as far as a program can tell: it marks them and lowers their score, and deletes nothing.

Some faults show in one caption (a name from nowhere, a quote nobody said, the length), others only in all of them
together: what most captions of a character repeat is learnt in place of the name, and what all captions begin with is
learnt for nothing.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz

from pipeline.models.lexicon import TITLES, normal
from pipeline.schemas.captions import Caption
from pipeline.schemas.story import Bible

SAID_ENOUGH = 85.0
"""How alike, of 100, a quote and what was heard must be; a caption may leave out a filler or spell a number out."""
LEAKS_FROM, FEW = 0.8, 5
"""The share of a character's captions repeating a trait, from which it leaks; fewer captions than FEW tell nothing."""
OPENING_WORDS, OPENING_SHARE, OPENING_FEW = 4, 0.25, 8
"""The share of all captions that begin with the same words, from which the opening is boilerplate."""

_BOILERPLATE = re.compile(
    r"(?:in )?(?:the|this|a|an) (?:(?:short|brief) )?(?:video|clip|footage|image|scene|frame|sequence)s?"
    r"(?: clip)?,? "
    r"(?:shows?|depicts?|features?|opens?|begins?|starts?|captures?|displays?|presents?|we see|(?:is )?of)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile('"([^"]*)"|“([^”]*)”|«([^»]*)»')
_CAPITALISED = re.compile(r"(?<![.!?…:\"”»]\s)(?<!^)\b[A-ZÀ-ÖØ-Þ][\w’'-]+", re.MULTILINE)
_MONTHS = "january february march april may june july august september october november december"
_DAYS = "monday tuesday wednesday thursday friday saturday sunday christmas easter"
_ORIGINS = (
    "african american arabic asian british chinese dutch egyptian english european french german greek indian irish"
    " italian japanese mediterranean mexican moroccan persian roman russian scandinavian scottish spanish swiss turkish"
    " venetian viennese western art deco nouveau baroque edwardian georgian gothic victorian"
)
_ALWAYS_CAPITAL = frozenset(f"{_MONTHS} {_DAYS} {_ORIGINS} i i'm i've i'll i'd".split())
_LETTERS = re.compile(r"[A-Z]{2,4}s?|[A-Z]-[a-z]+")
"""No names: TV, CCTV, T-shirt."""
_READ = re.compile(r"\b(?:reads?|reading|labell?ed|lettered|marked|titled|spells?|spelling|written|words?),? *$")
"""Before a quotation: it is seen as letters, and not said."""


PENALTY = {
    "unknown name": 0.5,
    "unheard quote": 0.5,
    "absent character": 0.7,
    "identity leakage": 0.9,
    "boilerplate opening": 0.9,
    "shared opening": 0.95,
    "length": 0.9,
}
"""What is left of a caption's score for each kind of fault that it has."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault of one caption: its kind (a key of PENALTY), and in words what and where.

    `where` are the words of the caption that it is about, as they stand there; "" where it is about all of it.
    """

    kind: str
    what: str
    where: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.what}"


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a clip: the words `heard` in it, and ids of those `present`, who are heard or may be seen.

    `measured` says in words what was measured of its picture, and where it plays.
    """

    heard: str
    present: frozenset[str]
    measured: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """Words that a caption may have; `min_words` and `max_words` include the dialogue."""

    min_words: int = 8
    max_words: int = 220


def lint(
    captions: Sequence[Caption], about: Mapping[str, About], bible: Bible, rules: Rules
) -> dict[str, tuple[Finding, ...]]:
    """The faults of each caption, by clip; only clips that have some. `about` is by clip too."""
    found: dict[str, list[Finding]] = {}
    for caption in captions:
        found.setdefault(caption.clip, []).extend(_of_one(caption, about[caption.clip], bible, rules))
    for clip, finding in (*_leaks(captions, bible), *_openings(captions, about)):
        found[clip].append(finding)
    return {clip: tuple(findings) for clip, findings in found.items() if findings}


def marked(caption: Caption, findings: Sequence[Finding]) -> Caption:
    """The caption with its faults among its notes and a score lowered once for each kind."""
    score = caption.score
    for kind in sorted({finding.kind for finding in findings}):
        score *= PENALTY[kind]
    notes = (*caption.notes, *(str(finding) for finding in findings))
    return caption.model_copy(update={"score": round(score, 4), "notes": notes}) if findings else caption


def _of_one(caption: Caption, about: About, bible: Bible, rules: Rules) -> Iterator[Finding]:
    told = _told(caption.text)
    for name in dict.fromkeys(_strangers(told, bible)):
        yield Finding("unknown name", f"“{name}” is neither in the cast nor a place or term of the bible", name)
    for quote in _quotes(caption.text):
        if fuzz.partial_ratio(normal(quote), normal(about.heard)) < SAID_ENOUGH:
            yield Finding("unheard quote", f"nobody says “{quote}” in this clip", quote)
    people = _without_titles(told, bible)
    for character in bible.characters:
        if character.id in about.present:
            continue
        names = sorted({character.short, character.name, *character.aliases}, key=lambda name: (-len(name), name))
        standing = next((name for name in names if _stands(name, people)), "")
        if standing or character.id in caption.characters:
            yield Finding("absent character", f"{character.short} is neither heard nor known to be there", standing)
    if opening := _BOILERPLATE.match(caption.text.strip()):
        yield Finding("boilerplate opening", f"“{opening.group()}” says nothing of the clip", opening.group())
    words = len(caption.text.split())
    if not rules.min_words <= words <= rules.max_words:
        yield Finding("length", f"{words} words; {rules.min_words} to {rules.max_words} are wanted")


def _told(text: str) -> str:
    """A caption without what is quoted; a sentence that ended with the quote still ends."""
    return _QUOTED.sub(lambda quote: "." if quote.group()[-2:-1] in tuple(".!?…") else " ", text)


def _quotes(text: str) -> Iterator[str]:
    """What somebody says in a caption; the letters of a sign are not said."""
    for match in _QUOTED.finditer(text):
        quote = next(group for group in match.groups() if group is not None).strip()
        if normal(quote) and not _READ.search(text[: match.start()]):
            yield quote


def _without_titles(told: str, bible: Bible) -> str:
    """A caption without places and terms of several words: nobody called Moon is in the Blue Moon Diner."""
    titles = [place.name for place in bible.places] + [term.term for term in bible.terms]
    for title in sorted((title for title in titles if " " in title), key=len, reverse=True):
        told = told.replace(title, " ")
    return told


def _strangers(told: str, bible: Bible) -> Iterator[str]:
    """Capitalised words inside sentences that the bible does not know."""
    known = {part for form in _forms(bible) for part in normal(form).split()} | _ALWAYS_CAPITAL | TITLES
    for match in _CAPITALISED.finditer(told):
        word = re.sub(r"['’]s$", "", match.group())
        if not _LETTERS.fullmatch(word) and not set(normal(word).split()) <= known:
            yield word


def _forms(bible: Bible) -> Iterator[str]:
    for character in bible.characters:
        yield from (character.name, character.short, *character.aliases, character.looks, character.role)
    for place in bible.places:
        yield from (place.name, place.looks)
    for term in bible.terms:
        yield term.term
    yield from (bible.title, bible.style)


def _stands(name: str, told: str) -> bool:
    """Whether a name stands in the text as it is written: "price" is no Pryce, and "the doctor" may be any."""
    return name[:1].isupper() and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", told) is not None


def _leaks(captions: Sequence[Caption], bible: Bible) -> Iterator[tuple[str, Finding]]:
    for character in bible.characters:
        theirs = [caption for caption in captions if character.id in caption.characters]
        if len(theirs) < FEW:
            continue
        for trait in (part.strip() for part in re.split(r"[,;.]", character.looks)):
            leaking = [caption for caption in theirs if _repeats(trait, caption.text)]
            if len(leaking) < LEAKS_FROM * len(theirs):
                continue
            often = f"{len(leaking)} of {len(theirs)} captions of {character.short}"
            what = f"{often} say “{trait}”, which the name stands for"
            for caption in leaking:
                yield caption.clip, Finding("identity leakage", what, trait if trait in caption.text else "")


def _repeats(trait: str, text: str) -> bool:
    """Whether all words of a trait that mean something stand in a caption."""
    return (words := _meaning(trait)) != set() and words <= _meaning(_told(text))


def _openings(captions: Sequence[Caption], about: Mapping[str, About]) -> Iterator[tuple[str, Finding]]:
    """Openings that many clips share. One that tells what was measured of its clip is shared for a reason."""
    if len(captions) < OPENING_FEW:
        return
    openings = {caption.clip: " ".join(normal(caption.text).split()[:OPENING_WORDS]) for caption in captions}
    empty = {clip: opening for clip, opening in openings.items() if not _tells(opening, about[clip].measured)}
    often = Counter(empty.values())
    for caption in captions:
        opening = empty.get(caption.clip, "")
        if opening and often[opening] > OPENING_SHARE * len(captions):
            what = f"{often[opening]} of {len(captions)} captions begin with “{opening}”"
            yield caption.clip, Finding("shared opening", what, " ".join(caption.text.split()[:OPENING_WORDS]))


def _tells(opening: str, measured: str) -> bool:
    """Whether all words of an opening that mean something are in what was measured."""
    return (words := _meaning(opening)) != set() and words <= _meaning(measured)


def _meaning(text: str) -> set[str]:
    return {word for word in normal(text).split() if len(word) > 3}
