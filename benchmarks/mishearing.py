"""Transcripts with names misheard the way Whisper mishears them, made from the truth by a seed.

The confusion model is small and knows nothing of how the pipeline compares sounds. A name that is misheard becomes

- with `LISTED`, a mishearing that somebody wrote down (the bible's, the truth's: what Whisper really heard);
- else a spelling of a neighbouring sound: one or two of `SHIFTS` (voicing, place of the nasals, liquids, vowels, a
  dropped h, an unstressed ending) are applied to its letters; then, as a language model prefers words, with `AS_WORD`
  it becomes the nearest word that people use, or, with `SPLIT`, falls into two.

Rates are those measured with Whisper base on the bundled show (14 of 18 names wrong in the plain hearing, 4 of 18 where
it was told the names; told them, it wrote a name for 2 of 100 plain words): see shares below.
"""

import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.models.lexicon import core, forms, normal
from pipeline.schemas.story import KnownNames
from pipeline.schemas.timeline import Segment, Span, Transcript, Word

MISHEARD, STILL_WRONG, INVENTED = 0.78, 0.29, 0.02
"""Of names, those misheard at first; of these, those that the second hearing has wrong too; and of plain words, those
for which it invents a name."""
LISTED, AS_WORD, SPLIT = 0.5, 0.5, 0.15
COMMA_LOST = 0.5
"""A comma beside a misheard name goes with it: "Bring Cohen, Pryce" was heard as "Bring cone price"."""
UNSURE_OF_NAMES, SURE_OF_WORDS = (2.0, 2.5), (12.0, 1.2)
"""Beta distributions of a word's probability: misheard names 0.03 to 0.9 with mean 0.45, others mostly above 0.8."""
UNSURE_OF_PLAIN = 0.03
"""Share of plain words, heard right, of which the recogniser is no more sure than of a misheard name."""

SHIFTS: tuple[tuple[str, str], ...] = (
    *(("b", "p"), ("p", "b"), ("d", "t"), ("t", "d"), ("g", "k"), ("k", "g"), ("v", "f"), ("f", "v"), ("z", "s")),
    *(("s", "z"), ("m", "n"), ("n", "m"), ("l", "r"), ("r", "l"), ("j", "d"), ("th", "d"), ("sh", "s"), ("ch", "sh")),
    *(("a", "e"), ("e", "i"), ("i", "e"), ("o", "au"), ("u", "o"), ("y", "i"), ("ai", "ay"), ("ou", "ow")),
    *(("h", ""), ("c", "k"), ("x", "ks"), ("aux", "o"), ("ey", "ay"), ("er$", "a"), ("on$", "an"), ("es$", "s")),
    *(("ll", "l"), ("nn", "n"), ("rr", "r"), ("ph", "f"), ("q", "k"), ("w", "v"), ("^h", "")),
)


@dataclass(frozen=True, slots=True)
class Said:
    """One line of the truth."""

    speaker: str
    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Place:
    """Words `first` to `last` of a segment of the misheard transcript, and what was really said there.

    `listed` is whether the bible lists this mishearing.
    """

    segment: int
    first: int
    last: int
    right: str
    listed: bool


@dataclass(frozen=True, slots=True)
class Misheard:
    """A transcript, what is wrong in it, and for each segment each word's true text (None: it belongs to a place)."""

    transcript: Transcript
    places: tuple[Place, ...]
    said: tuple[Said, ...]


def misheard(episode: str, lines: Sequence[Said], known: KnownNames, seed: int, listed: float = LISTED) -> Misheard:
    """`lines` as a recogniser might have heard them. The same seed gives the same transcript."""
    chance = random.Random(f"{episode}/{seed}")
    names = _names(known)
    people = [form.text for form in forms(known) if form.kind != "thing"]
    segments, places, biased = [], list[Place](), list[Word]()
    for index, line in enumerate(lines):
        heard, wrong, second = list[str](), list[tuple[int, int, str, bool]](), list[str]()
        tokens = line.text.split()
        at = 0
        while at < len(tokens):
            length = _name_at(tokens, at, names)
            right = tokens[at : at + max(1, length)]
            new, is_listed = right, False
            if length and chance.random() < MISHEARD:
                new, is_listed = _heard(right, names, chance, listed)
            if normal(" ".join(new)) != normal(" ".join(right)):
                wrong.append((len(heard), len(heard) + len(new) - 1, " ".join(right), is_listed))
                second += new if chance.random() < STILL_WRONG else right
            else:
                new = right
                invents = not length and people and chance.random() < INVENTED
                second += [_around(right[0], chance.choice(people))] if invents else right
            heard += new
            at += len(right)
        span = Span(start=line.start, end=line.end)
        unsure = {at for first, last, *_ in wrong for at in range(first, last + 1)}
        segments.append(
            Segment(
                id=f"{episode}@{round(line.start * 1000):07d}", shot=0, words=tuple(_timed(heard, span, unsure, chance))
            )
        )
        biased += _timed(second, span, set(), chance)
        places += [Place(index, *each) for each in wrong]
    made = Transcript(
        episode=episode, language=known.language, source="asr", segments=tuple(segments), biased=tuple(biased)
    )
    return Misheard(made, tuple(places), tuple(lines))


def _names(known: KnownNames) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Every spelling of the bible, in words for comparison, and the mishearings that are listed for it."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for form in forms(known):
        found[tuple(normal(form.text).split())] = tuple(sorted(form.mishearings))
    return found


def _name_at(tokens: Sequence[str], at: int, names: Mapping[tuple[str, ...], object]) -> int:
    """How many words of a name begin at `at`; the possessive counts."""
    for length in (3, 2, 1):
        words = tuple(normal(token).removesuffix("'s") for token in tokens[at : at + length])
        if len(words) == length and words in names:
            return length
    return 0


def _heard(
    right: Sequence[str], names: Mapping[tuple[str, ...], tuple[str, ...]], chance: random.Random, listed: float
) -> tuple[list[str], bool]:
    """What is heard in place of a name, with the punctuation around it; and whether the bible lists it."""
    words = [normal(token) for token in right]
    possessive = "'s" if words[-1].endswith("'s") else ""
    plain = [word.removesuffix("'s") for word in words]
    known = names[tuple(plain)]
    if known and chance.random() < listed:
        new = chance.choice(known)
        # The recogniser gives what it takes for a name a capital, mostly.
        new = " ".join(w.capitalize() for w in new.split()) if chance.random() < 0.6 else new
    else:
        one = chance.randrange(len(plain))  # Of a name of several words, mostly one is misheard.
        parts = [*right[:one], _shifted(plain[one], chance), *right[one + 1 :]]
        new = " ".join(core(part)[1] for part in parts).removesuffix("'s")
    lead, stop = core(right[0])[0], core(right[-1])[2]
    if stop == "," and chance.random() < COMMA_LOST:
        stop = ""
    return f"{lead}{new}{possessive}{stop}".split(), normal(new) in known


def _shifted(word: str, chance: random.Random) -> str:
    """`word` with one or two neighbouring sounds, as a name or as the word that people use which it resembles."""
    new = word
    for _ in range(chance.choice((1, 1, 2))):
        possible = [(old, to) for old, to in SHIFTS if re.search(old, new)]
        if possible:
            old, to = chance.choice(possible)
            spots = list(re.finditer(old, new))
            spot = chance.choice(spots)
            new = new[: spot.start()] + to + new[spot.end() :]
    lot = chance.random()
    if lot < AS_WORD:
        new = _nearest(new, word)
    elif lot < AS_WORD + SPLIT and len(new) >= 6:
        middle = len(new) // 2
        return f"{new[:middle].capitalize()} {new[middle:].capitalize()}"
    return new.capitalize() if chance.random() < 0.7 else new


@lru_cache(maxsize=4096)
def _nearest(new: str, right: str) -> str:
    """The word that people use with the letters nearest to `new`, other than the right one."""
    from rapidfuzz import process
    from rapidfuzz.distance import Levenshtein

    found = process.extractOne(new, [w for w in _words() if w != right], scorer=Levenshtein.normalized_similarity)
    return str(found[0])


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    import wordfreq

    return tuple(word for word in wordfreq.top_n_list("en", 30_000) if word.isalpha() and len(word) > 2)


def _around(token: str, name: str) -> str:
    lead, _, stop = core(token)
    return f"{lead}{name}{stop}"


def _timed(texts: Sequence[str], span: Span, unsure: set[int], chance: random.Random) -> Iterator[Word]:
    """Words that share `span` by their letters."""
    total, at = sum(len(text) + 1 for text in texts), span.start
    for index, text in enumerate(texts):
        end = at + span.seconds * (len(text) + 1) / total
        shy = index in unsure or chance.random() < UNSURE_OF_PLAIN
        probability = round(chance.betavariate(*(UNSURE_OF_NAMES if shy else SURE_OF_WORDS)), 3)
        yield Word(text=text, span=Span(start=round(at, 3), end=round(end, 3)), probability=probability)
        at = end
