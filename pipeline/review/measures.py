"""How often each version of the machine was right, and what it gets wrong, as reviewers' answers tell. Pure."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.review.corrections import wrong
from pipeline.review.estimate import Found
from pipeline.review.judged import Judged, Reading
from pipeline.review.pace import Share
from pipeline.schemas.captions import CaptionAnswer
from pipeline.schemas.story import UNKNOWN, Bible
from pipeline.schemas.wording import bare

MOST_CORRECTIONS = 30
_PLACES = 3

_NO_NAMES = frozenset(
    {"the", "of", "and", "a", "dr", "doctor", "mr", "mrs", "ms", "sir", "agent", "professor", "captain"}
)
"""Words of names that say nothing of whose name it is."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How right one version of the transcript was in the `clips` that people reviewed; case and punctuation aside.

    `unchanged`, `edited` and `taken_out` lines, of those that were shown; `added` are lines that only people heard.
    Lines that nobody can understand count nowhere. `errors` are runs of wrong words, `word_errors` the words that must
    be replaced, put in or taken out, of the words as people left them (so it may be more than all): the word error
    rate. `names`: the bible's names where people left one that stood there too, of those that people left; `invented`
    stood where there is none. `speakers`: right ones of those that the machine named and people know; `unnamed` lines
    had none, and `named_by_people` of them have one now.
    """

    version: str
    clips: int
    unchanged: Share
    edited: Share
    taken_out: Share
    added: int
    errors: int
    word_errors: Share
    names: Share
    invented: int
    speakers: Share
    unnamed: int
    named_by_people: int

    @property
    def word_error_rate(self) -> float | None:
        return self.word_errors.share


@dataclass(frozen=True, slots=True)
class Captioned:
    """What became of one version's captions: each is in just one of the four."""

    version: str
    unchanged: Share
    edited: Share
    dropped: Share
    second_look: Share


@dataclass(frozen=True, slots=True)
class Correction:
    """What people changed most: `count` times, of which `asked` times a question was put about it; `places` are a few
    tasks where it was. An empty `was` or `now`: words put in or taken out.
    """

    kind: Literal["words", "speaker"]
    was: str
    now: str
    count: int
    asked: int
    places: tuple[str, ...]


def heard(found: Iterable[Reading], names: Collection[str]) -> tuple[Heard, ...]:
    """How right each version of the transcript was; `names` are the words of the bible's names, as `name_words` has
    them.
    """
    by_version: dict[str, list[Reading]] = defaultdict(list)
    for reading in found:
        by_version[reading.judged.version].append(reading)
    return tuple(_heard(version, ours, names) for version, ours in sorted(by_version.items()))


def _heard(version: str, found: Sequence[Reading], names: Collection[str]) -> Heard:
    lines = [line for reading in found for line in reading.lines if line.judged]
    shown = [(line, line.seen) for line in lines if line.seen]
    unchanged = sum(line.untouched for line, _ in shown)
    taken_out = sum(not line.text for line, _ in shown)
    spoken = [(line, seen) for line, seen in shown if line.text]
    named = [(line, seen) for line, seen in spoken if seen.speaker and line.speaker]
    unnamed = [line for line, seen in spoken if not seen.speaker]
    right, of, invented = (sum(counts) for counts in zip(*(_names(reading, names) for reading in found), strict=True))
    return Heard(
        version=version,
        clips=len(found),
        unchanged=Share(unchanged, len(shown)),
        edited=Share(len(shown) - unchanged - taken_out, len(shown)),
        taken_out=Share(taken_out, len(shown)),
        added=len(lines) - len(shown),
        errors=sum(len(reading.changes) for reading in found),
        word_errors=Share(
            sum(wrong(run) for reading in found for run in reading.runs), sum(len(line.text.split()) for line in lines)
        ),
        names=Share(right, of),
        invented=invented,
        speakers=Share(sum(line.speaker == seen.speaker for line, seen in named), len(named)),
        unnamed=len(unnamed),
        named_by_people=sum(line.speaker is not None for line in unnamed),
    )


def name_words(bible: Bible) -> frozenset[str]:
    """The words that names are made of, in lower case; a plain thing ("cone") is no name, nor is a title or "the"."""
    spoken = [form for c in bible.characters for form in (c.short, c.name, *c.aliases)]
    spoken += [place.name for place in bible.places]
    spoken += [term.term for term in bible.terms if term.kind != "thing"]
    plain = {bare(word) for term in bible.terms if term.kind == "thing" for word in term.term.split()}
    words = {bare(word) for form in spoken for word in form.split() if word[:1].isupper()}
    return frozenset(words - plain - _NO_NAMES)


def _names(reading: Reading, names: Collection[str]) -> tuple[int, int, int]:
    """Names that the machine had right, of how many that people left, and how many it put where there is none.

    A name is a capital and the right letters: "may" in a sentence is not May.
    """

    def named(words: Iterable[str]) -> list[str]:
        return [bare(word) for word in words if word.strip("\"'“‘(")[:1].isupper() and bare(word) in names]

    if reading.wording is None:
        count = len(named(word for line in reading.lines if line.judged for word in line.text.split()))
        return count, count, 0
    words = reading.wording
    right = of = invented = 0
    for run in reading.runs:
        left_words = named(words.final[slice(*run.now)])
        of += len(left_words)
        if run.same:
            right += len(left_words)
        else:
            invented += len(named(words.original[slice(*run.was)]))
    return right, of, invented


def captioned(answers: Iterable[Judged]) -> tuple[Captioned, ...]:
    """What became of the captions of each version."""
    by_version: dict[str, Counter[str]] = defaultdict(Counter)
    for each in answers:
        if isinstance(each.decision.answer, CaptionAnswer):
            by_version[each.version][fate(each.decision.answer)] += 1

    def share(fates: Counter[str], fate: str) -> Share:
        return Share(fates[fate], fates.total())

    return tuple(
        Captioned(version, *(share(fates, fate) for fate in ("unchanged", "edited", "drop", "second look")))
        for version, fates in sorted(by_version.items())
    )


def fate(answer: CaptionAnswer) -> str:
    if answer.verdict != "keep":
        return answer.verdict
    return "unchanged" if answer.text.split() == answer.seen.split() else "edited"


def corrections(
    found: Iterable[Reading], people: Mapping[str, str], most: int = MOST_CORRECTIONS
) -> tuple[Correction, ...]:
    """What the machine gets wrong, the commonest first; `people` are characters' names by id."""
    places: dict[tuple[Literal["words", "speaker"], str, str], list[tuple[str, bool]]] = defaultdict(list)
    for reading in found:
        for change in reading.changes:
            places["words", change.was, change.now].append((reading.key, change.asked))
        questioned = {each.segment for each in reading.questions.values() if each.kind == "speaker"}
        for line in reading.lines:
            if line.judged and line.seen and line.text and line.seen.speaker and line.speaker != line.seen.speaker:
                was, now = (people.get(who or "", who or UNKNOWN) for who in (line.seen.speaker, line.speaker))
                places["speaker", was, now].append((reading.key, line.seen.id in questioned))
    ranked = sorted(places.items(), key=lambda each: (-len(each[1]), each[0]))
    return tuple(
        Correction(
            kind=kind,
            was=was,
            now=now,
            count=len(where),
            asked=sum(asked for _, asked in where),
            places=tuple(dict.fromkeys(key for key, _ in where))[:_PLACES],
        )
        for (kind, was, now), where in ranked[:most]
    )


def errors_found(found: Iterable[Reading], doubtful: Collection[str]) -> dict[str, Found]:
    """The errors in the words that were found in each reviewed clip, by key; `doubtful` are the keys with doubts."""
    return {
        reading.key: Found(
            asked=sum(change.asked for change in reading.changes),
            unasked=sum(not change.asked for change in reading.changes),
            doubtful=reading.key in doubtful,
        )
        for reading in found
    }
