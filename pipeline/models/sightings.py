"""Where in a transcript a name may have been misheard, and what it may be: by sound, and by a second hearing.

Ordinary words are passed over unless the bible lists them as a mishearing or the second hearing has a name there.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from pipeline.models import weighing
from pipeline.models.hearings import Difference, compare
from pipeline.models.lexicon import TITLES, Form, core, forms, is_name, normal
from pipeline.models.phonetics import alike, commonness
from pipeline.models.weighing import Option, Run
from pipeline.schemas.story import KnownNames
from pipeline.schemas.timeline import Transcript, Word

LONGEST_RUN = 3
"""Words that one name may have been split into: "Hal Seon", "Halsey on", "Kate Lynn Smith"."""
NEAR_SECONDS = 1.0
"""A word further away than this says nothing about its neighbour."""
ALIKE_IN_PIECES = 0.8
ALIKE_WITH_REASON = 0.5
"""How alike must be what is asked about: words that one name fell into; a word after a title ("Mr. Cook" for Cooper is
0.53) or where the second hearing has the name."""
ALIKE_ENOUGH = 0.85
"""A spelling that is not listed must be this alike to be sure: Lanton/Lantern is 0.9, Donnie/Johnny 0.73."""
ALIKE_IF_UNKNOWN = 0.55
"""How alike a word must be that the language does not have ("margauks" is 0.7, "koopa" for Cooper 0.68)."""
UNSURE = 0.5
WELL_KNOWN = 4.5
"""Zipf frequency below which a doubted word that sounds just like a name is worth a question: coin 4.2, cane 3.8."""
MEANT = 5.6
"""Zipf frequency above which a word ("an", "up", "I'll") is worth nobody's time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is worth a question: how alike a word must sound, how unsure it must be; and how many answers it offers."""

    min_alike: float = 0.7
    low_probability: float = 0.25
    max_candidates: int = 5


@dataclass(frozen=True, slots=True)
class Sighting:
    """Words `first` to `last` of a segment may be one of `options`; `by_sound` if they sound like it."""

    segment: int
    first: int
    last: int
    options: tuple[Option, ...]
    by_sound: bool = True

    def meets(self, segment: int, first: int, last: int) -> bool:
        return self.segment == segment and self.first <= last and first <= self.last


class Text:
    """A transcript with what is known about it, and the runs of its words with their surroundings."""

    def __init__(self, transcript: Transcript, known: KnownNames) -> None:
        self.segments = transcript.segments
        self.written = transcript.source == "subtitles"
        self.language = transcript.language
        self.forms = forms(known)
        self.names = {normal(form.text) for form in self.forms if form.kind != "thing"}
        self.spellings = {normal(form.text) for form in self.forms}
        self.hearings = compare(self.segments, transcript.biased)
        self._places = [(s, w) for s, segment in enumerate(self.segments) for w in range(len(segment.words))]
        self._index = {place: index for index, place in enumerate(self._places)}

    def run(self, segment: int, first: int, last: int) -> Run:
        words = self.segments[segment].words[first : last + 1]
        at = self._index[segment, first]
        before: list[Word] = []
        for s, w in reversed(self._places[max(0, at - 4) : at]):
            word = self.segments[s].words[w]
            if (before[0] if before else words[0]).span.start - word.span.end > NEAR_SECONDS:
                break
            before.insert(0, word)
        following = self._places[at + len(words) : at + len(words) + 1]
        second = self.hearings.second(segment, first, last)
        return Run(
            words=tuple(words),
            before=tuple(before),
            after=next((self.segments[s].words[w] for s, w in following), None),
            second=" ".join(word.text for word in second) if second else None,
            agrees=self.hearings.agree(segment, first, last),
            written=self.written,
            language=self.language,
        )

    def commonest(self, words: Sequence[Word]) -> float:
        """The Zipf frequency of the rarest of `words`."""
        return min(commonness(core(word.text)[1], self.language) for word in words)


def by_sound(text: Text, index: int, limits: Limits) -> list[Sighting]:
    """Runs of a segment's words that sound like the bible's or are listed as a mishearing; none overlap."""
    words = text.segments[index].words
    found = []
    for first in range(len(words)):
        for last in range(first, min(first + LONGEST_RUN, len(words))):
            if any(core(word.text)[2] for word in words[first:last]):
                break
            run = text.run(index, first, last)
            for form in text.forms:
                if option := _option(text, run, form, limits):
                    found.append(_trimmed(Sighting(index, first, last, (option,)), words))
    return _apart(found)


def by_difference(text: Text) -> Iterator[Sighting]:
    """Places where the second hearing has a name, or the first was unsure, and that sound like nothing known."""
    every = () if text.written else text.hearings.differences
    for difference in (part for whole in every for part in _apart_by_names(whole, text.names)):
        words = text.segments[difference.segment].words[difference.first : difference.last + 1]
        second = f" {_stems(difference.words)} "
        unsure = any(word.probability < UNSURE for word in words) and text.commonest(words) < MEANT
        if unsure or any(f" {name} " in second for name in text.names):
            options = tuple(_heard_twice(text, difference, words))
            yield Sighting(difference.segment, difference.first, difference.last, options, by_sound=False)


def by_doubt(text: Text, limits: Limits) -> Iterator[Sighting]:
    """Words that carry meaning, that the recogniser doubts and that no second hearing confirms."""
    for index, segment in enumerate(() if text.written else text.segments):
        for at, word in enumerate(segment.words):
            meant = text.commonest([word]) < MEANT
            if at and meant and word.probability < limits.low_probability and not text.hearings.agree(index, at, at):
                yield Sighting(index, at, at, (), by_sound=False)


def _option(text: Text, run: Run, form: Form, limits: Limits) -> Option | None:
    """`form` as a reading of `run`, if that is worth a question."""
    heard, right = normal(run.heard), normal(form.text)
    stem = heard.removesuffix("'s")
    listed = heard in form.mishearings or stem in form.mishearings
    if not listed and right in (heard, stem):
        return None
    bare = core(run.words[0].text)[1] if len(run.words) == 1 else run.heard.rstrip(".,?!…;:")
    if bare == form.text or (heard in text.names and bare[:1].isupper() and not _is_thing_here(run, form)):
        return None  # It is a name of the bible already.
    possessive = "'s" if stem != heard and heard not in form.mishearings else ""
    likeness = alike(stem if possessive else heard, form.text)
    if listed or _is_worth_asking(text, run, form, likeness, limits):
        return Option(form.text + possessive, form, likeness, bare if listed else "")
    return None


def _is_thing_here(run: Run, form: Form) -> bool:
    """Only an article makes a name doubtful, as a thing's word: "in the Cohen"."""
    return form.kind == "thing" and run.has_article()


def _is_worth_asking(text: Text, run: Run, form: Form, likeness: float, limits: Limits) -> bool:
    """Whether a spelling that the bible does not list may be asked about."""
    if likeness < ALIKE_WITH_REASON or len(form.text.split()) > len(run.words):
        return False
    common = text.commonest(run.words)
    if _is_half_right(run, form):
        return True
    if len(run.words) > 1:
        words = [normal(word.text) for word in run.words]
        shorter = max(alike(" ".join(part), form.text) for part in (words[1:], words[:-1]))
        rare = common < weighing.ORDINARY and all(w.isalpha() and w not in text.spellings for w in words)
        return rare and likeness >= ALIKE_IN_PIECES and likeness > shorter
    if run.previous in TITLES and form.kind == "person" and run.heard[:1].isupper():
        return run.previous in form.titles or likeness >= limits.min_alike
    if common == 0 and form.kind != "thing":  # Nobody uses the word, so it is somebody's or something's name.
        return likeness >= ALIKE_IF_UNKNOWN
    doubted = min(word.probability for word in run.words) < UNSURE and common < WELL_KNOWN and likeness >= ALIKE_ENOUGH
    odd = common < weighing.ORDINARY or run.has_capital_inside or doubted
    if form.kind == "thing":
        odd = odd and run.has_article() and not run.is_ordinary
    # Whisper gives what it takes for a name a capital; a small letter heard twice is hardly one.
    small = run.agrees and run.heard[:1].islower()
    return (odd and likeness >= (ALIKE_ENOUGH if small else limits.min_alike)) or weighing.says(
        run, Option(form.text, form)
    )


def _apart_by_names(difference: Difference, names: Collection[str]) -> Iterator[Difference]:
    """Word by word where both hearings have as many and the second has two names: "Bring Cohen, Pryce."."""
    both = len(difference.words) == difference.last - difference.first + 1
    if both and sum(_stems([word]) in names for word in difference.words) > 1:
        for at, word in enumerate(difference.words, difference.first):
            yield replace(difference, first=at, last=at, words=(word,))
    else:
        yield difference


def _stems(words: Sequence[Word]) -> str:
    """`words` for comparison with names: "Harry's" is Harry."""
    return " ".join(normal(word.text).removesuffix("'s") for word in words)


def _is_half_right(run: Run, form: Form) -> bool:
    """Whether it is a name of several words with a part misheard: "Helix Cooper", "Lantern Split"."""
    right, heard = normal(form.text).split(), [normal(word.text) for word in run.words]
    if len(right) < 2 or len(right) != len(heard) or not any(map(str.__eq__, right, heard)):
        return False
    return all(one == other or alike(one, other) >= ALIKE_WITH_REASON for one, other in zip(right, heard, strict=True))


def _heard_twice(text: Text, difference: Difference, words: Sequence[Word]) -> Iterator[Option]:
    """The other hearing's words; where they begin with an unsure name, also the names that it is somewhat like."""
    lead, rest = difference.words[0], " ".join(word.text for word in difference.words[1:])
    other = f"{lead.text} {rest}".strip()
    yield Option(core(other.split()[0])[0] + other[: len(other) - len(core(other.split()[-1])[2])], None)
    is_known = any(f" {name} " in f" {_stems(difference.words)} " for name in text.names)
    if is_known or not is_name(core(lead.text)[1]) or lead.probability >= UNSURE or len(words) > LONGEST_RUN:
        return
    heard = [" ".join(word.text for word in words[: end + 1]) for end in range(len(words))]
    people = {form: max(alike(part, form.text) for part in [*heard, lead.text]) for form in text.forms if form.owner}
    for form in sorted(people, key=lambda form: -people[form])[:2]:
        if people[form] >= ALIKE_WITH_REASON:
            yield Option(f"{form.text} {rest}".strip().rstrip(".,?!…"), form, people[form])


def _trimmed(sighting: Sighting, words: Sequence[Word]) -> Sighting:
    """Without the words that were heard right: `Operation Halsian` -> `Halsian`."""
    (option,) = sighting.options
    heard, right = [normal(w.text) for w in words[sighting.first : sighting.last + 1]], option.value.split()
    start, end = 0, 0
    while min(len(heard), len(right)) - start - end > 1 and heard[start] == normal(right[start]):
        start += 1
    while min(len(heard), len(right)) - start - end > 1 and heard[-1 - end] == normal(right[-1 - end]):
        end += 1
    if not start and not end:
        return sighting
    value = " ".join(right[start : len(right) - end])
    option = replace(option, value=value, whole=option.value)
    return replace(sighting, first=sighting.first + start, last=sighting.last - end, options=(option,))


def _apart(found: Sequence[Sighting]) -> list[Sighting]:
    """Sightings of the same words put together; of those that overlap, the better one stays."""
    merged: dict[tuple[int, int], dict[str, Option]] = {}
    for sighting in sorted(found, key=_strength):  # The best reading of a value is put in last.
        merged.setdefault((sighting.first, sighting.last), {})[sighting.options[0].value] = sighting.options[0]
    together = [Sighting(found[0].segment, *place, tuple(options.values())[::-1]) for place, options in merged.items()]
    kept: list[Sighting] = []
    for sighting in sorted(together, key=_strength, reverse=True):
        if not any(other.meets(sighting.segment, sighting.first, sighting.last) for other in kept):
            kept.append(sighting)
    return sorted(kept, key=lambda sighting: sighting.first)


def _strength(sighting: Sighting) -> tuple[bool, bool, float, int]:
    best = max(sighting.options, key=lambda option: (bool(option.whole), bool(option.listed), option.likeness))
    return bool(best.whole), bool(best.listed), best.likeness, sighting.first - sighting.last
