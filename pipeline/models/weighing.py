"""What speaks for and against each reading of a few words: points, and the sentence that says why.

Points are natural logarithms of odds, set by hand and measured on the bundled show; they add up, and the scores are
their softmax. Every point comes with a sentence that a reviewer reads, so nothing is weighed that is not said.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.models.lexicon import ARTICLES, COPULAS, DEMONSTRATIVES, JOINTS, TITLES, Form, core, normal
from pipeline.models.phonetics import commonness
from pipeline.schemas.timeline import Word

LISTED = 1.5
ALIKE = 4.0  # From -1 at 0.5 to 1 at the same sound.
OWN_TITLE, OTHER_TITLE = 4.0, 2.0
ARTICLE = 4.0
DEMONSTRATIVE = 1.0
NO_ARTICLE = 1.0
SPOKEN_TO = 1.5
CAPITAL = 1.5
HEARD_TWICE = 1.0
COMPLETES = 2.0
WRITTEN = 3.0
UNSURE = 0.5

NOUN = 3
"""Words of one thing's name, the article among them: "an ice cream" cone."""
ORDINARY = 3.6
"""Zipf frequency from which a spelling is an ordinary word: cone 3.8, rays 4.0, price 5.2; Margot 3.3, Cohn 3.0."""


@dataclass(frozen=True, slots=True)
class Run:
    """Words `first` to `last` of a segment, with the word before and after, wherever those stand.

    `second` is what the other hearing has here (None: unknown), `agrees` that it has the same.
    """

    words: tuple[Word, ...]
    before: tuple[Word, ...]
    after: Word | None
    second: str | None
    agrees: bool
    written: bool
    language: str

    @property
    def heard(self) -> str:
        return " ".join(word.text for word in self.words)

    @property
    def previous(self) -> str:
        """The word before in the same clause, for comparison; empty at its start."""
        if not self.before:
            return ""
        bare = normal(self.before[-1].text)
        return bare if bare in TITLES or not core(self.before[-1].text)[2] else ""

    @property
    def opens(self) -> bool:
        """Whether a sentence begins here, so that a capital says nothing."""
        return not self.before or (core(self.before[-1].text)[2][:1] in tuple(".!?…:") and self.previous not in TITLES)

    @property
    def is_ordinary(self) -> bool:
        """Whether every word is one that people use without meaning a name."""
        return all(commonness(core(word.text)[1], self.language) >= ORDINARY for word in self.words)

    @property
    def has_capital_inside(self) -> bool:
        return not self.opens and core(self.words[0].text)[1][:1].isupper()

    @property
    def is_spoken_to(self) -> bool:
        """Whether it is set off as an address: `Price, any sign?`, `Not now, cone.`"""
        stop = core(self.words[-1].text)[2][:1]
        comma = bool(self.before) and core(self.before[-1].text)[2][:1] == ","
        return (self.opens and stop in tuple(",?!")) or (comma and stop in tuple(",.?!…"))

    def has_article(self, within: int = 1) -> bool:
        """Whether an article stands before it, with at most `within - 1` words of the same noun between."""
        for word in reversed(self.before[-within:]):
            if core(word.text)[2] or normal(word.text) in JOINTS:
                return False
            if normal(word.text) in ARTICLES:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Option:
    """One reading of a few words; `form` is the spelling of the bible that it rests on, if it rests on one.

    `likeness` is how alike it sounds; `listed` the mishearing that the bible has; `whole` the longer name it makes
    with the words beside it.
    """

    value: str
    form: Form | None
    likeness: float = 1.0
    listed: str = ""
    whole: str = ""

    @property
    def kind(self) -> str:
        return self.form.kind if self.form else "heard"


Say = tuple[str, dict[str, float]]
"""A sentence of evidence, and the points it gives to readings by their value."""


def weigh(run: Run, options: Sequence[Option]) -> Iterator[Say]:
    """All evidence about `options`, the first of which is the words as heard."""
    heard, *others = options
    for option in others:
        if option.form:
            yield from _of_sound(run, option, option.form.text)
    yield from _of_spelling(run, heard, others)
    if run.language == "en":
        yield from _of_grammar(run, heard, others)
    yield from _of_the_other_hearing(run, options)


def scores(evidence: Sequence[Say], options: Sequence[Option]) -> Mapping[str, float]:
    """The softmax of each value's points; they sum to 1."""
    points = {option.value: sum(given.get(option.value, 0.0) for _, given in evidence) for option in options}
    top = max(points.values())
    odds = {value: math.exp(point - top) for value, point in points.items()}
    return {value: odd / sum(odds.values()) for value, odd in odds.items()}


def _of_sound(run: Run, option: Option, name: str) -> Iterator[Say]:
    points = ALIKE * (option.likeness - 0.75)
    yield f'"{run.heard}" sounds like "{name}" ({option.likeness:.2f} of 1)', {option.value: max(-1.0, points)}
    if option.listed:
        yield f'the bible lists "{option.listed}" as a mishearing of "{name}"', {option.value: LISTED}
    if option.whole:
        yield f'with the words beside it, it makes "{option.whole}"', {option.value: COMPLETES}


def _of_spelling(run: Run, heard: Option, others: Sequence[Option]) -> Iterator[Say]:
    if any(option.form for option in others):
        common = min(commonness(core(word.text)[1], run.language) for word in run.words)
        what = "ordinary" if run.is_ordinary else "rare" if common else "not known as a word"
        yield f'"{run.heard}" is {what}', {heard.value: min(3.0, max(-1.5, common - 3.0))}
    if run.has_capital_inside:
        yield (
            "it has a capital inside a sentence",
            {
                **{option.value: -CAPITAL if option.kind == "thing" else CAPITAL for option in others},
                heard.value: -CAPITAL if run.is_ordinary else 0.0,
            },
        )
    doubtful = min(word.probability for word in run.words)
    if doubtful < 0.5:
        yield f"the recogniser was not sure of it ({doubtful:.2f})", {heard.value: -UNSURE}
    if run.written:
        yield "it stands so in the subtitle file", {heard.value: WRITTEN}


def _of_grammar(run: Run, heard: Option, others: Sequence[Option]) -> Iterator[Say]:
    people = [option for option in others if option.kind == "person"]
    things = [option for option in others if option.kind == "thing"]
    before = run.before[-1].text if run.before else ""
    if run.has_article():
        against = {option.value: -ARTICLE for option in people}
        yield f'"{before}" stands before it, as before a thing', {
            **against, **{option.value: ARTICLE / 2 for option in things}, heard.value: 0.0 if things else ARTICLE / 4
        }  # fmt: skip
    elif run.previous in TITLES:
        for option in people:
            own = option.form is not None and run.previous in option.form.titles
            whose = "as before that name" if own else "as before a name"
            yield f'"{before}" stands before it, {whose}', {option.value: OWN_TITLE if own else OTHER_TITLE}
    elif run.previous in DEMONSTRATIVES:
        yield f'"{before}" may belong to it, or stand alone', {option.value: -DEMONSTRATIVE for option in people}
    elif people and (run.is_ordinary or things) and not run.has_article(within=NOUN):
        yield "no article stands before it, as a thing would need", {
            **{option.value: NO_ARTICLE for option in people}, **{option.value: -NO_ARTICLE for option in things}
        }  # fmt: skip
    if people and run.is_spoken_to:
        yield "it is set off by commas or stops, like somebody spoken to", {o.value: SPOKEN_TO for o in people}


def _of_the_other_hearing(run: Run, options: Sequence[Option]) -> Iterator[Say]:
    if run.agrees:
        yield "told the show's names, the recogniser still heard the same", {options[0].value: HEARD_TWICE}
    elif run.second:
        agreeing = {option.value: HEARD_TWICE for option in options[1:] if says(run, option)}
        if not any(option.form for option in options):
            # Measured: told the names, Whisper base gets three times as many plain words wrong.
            agreeing[options[0].value] = 2 * HEARD_TWICE
        yield f'told the show\'s names, the recogniser heard "{run.second}"', agreeing


def says(run: Run, option: Option) -> bool:
    """Whether the other hearing has this reading."""
    wanted = normal(option.form.text if option.form else option.value)
    return run.second is not None and f" {wanted} " in f" {normal(run.second)} "


def may_stand_alone(run: Run) -> bool:
    """Whether "that price is" may be "that, Pryce, is"."""
    return run.previous in DEMONSTRATIVES and run.after is not None and normal(run.after.text) in COPULAS
