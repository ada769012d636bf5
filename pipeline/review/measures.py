"""How often the machine was right, by model version, as far as reviewers' answers tell. Pure.

Only the newest answer to each task of each version counts, so that a clip that two people reviewed is one clip.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pipeline.review.corrections import Change, Left, Run, Wording, aligned, changes, left, questions, wording, wrong
from pipeline.review.estimate import Found
from pipeline.review.pace import Share, newest
from pipeline.schemas.captions import Asked, CaptionAnswer, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Bible, Doubt
from pipeline.schemas.wording import bare

MOST_CORRECTIONS = 30
_PLACES = 3
_BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer, and what is known of the machine that made what its reviewer saw: the `version` in words, its doubts
    by id, and the score of the caption.
    """

    decision: ReviewDecision
    version: str
    doubts: Mapping[str, Doubt] = field(default_factory=dict)
    score: float | None = None


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
class Doubted:
    """Whether the machine's doubts of one kind were the right ones.

    `answered` of the questions asked. `real`, of the answered, are those where the machine's own best reading was
    wrong (for words: what stands; for speakers: the likeliest candidate): the precision. `caught`: errors that a
    question was put about, of all errors: the recall; the rest are `missed`.
    """

    kind: Literal["words", "speakers"]
    answered: Share
    real: Share
    caught: Share

    @property
    def missed(self) -> int:
        return self.caught.of - self.caught.count


@dataclass(frozen=True, slots=True)
class Bin:
    """The scores from `low` to `high`, their mean, and how many of them were right."""

    low: float
    high: float
    mean: float
    right: Share


@dataclass(frozen=True, slots=True)
class Calibration:
    """Whether scores mean what they say. `error` is the expected calibration error: by how much mean score and share
    of right ones differ, weighted by the scores in each bin (0 is perfect).
    """

    of: Literal["words", "speakers", "captions"]
    scores: int
    error: float | None
    bins: tuple[Bin, ...]


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


@dataclass(frozen=True, slots=True)
class Reading:
    """One transcript answer taken apart: its lines, and the words that differ (None where none do)."""

    judged: Judged
    lines: list[Left]
    questions: Mapping[str, Asked]
    wording: Wording | None
    runs: Sequence[Run]
    changes: Sequence[Change]

    @property
    def key(self) -> str:
        return self.judged.decision.key


def latest(answers: Iterable[Judged]) -> list[Judged]:
    """The newest answer to each task of each version."""
    by_version: dict[str, list[Judged]] = defaultdict(list)
    for each in answers:
        by_version[each.version].append(each)
    found = []
    for ours in by_version.values():
        kept = {id(decision) for decision in newest(each.decision for each in ours).values()}
        found += [each for each in ours if id(each.decision) in kept and each.decision.answer is not None]
    return found


def readings(answers: Iterable[Judged]) -> list[Reading]:
    """The transcript answers among `answers`; words are compared only where they differ."""
    ours = [(each, a) for each in answers if isinstance(a := each.decision.answer, TranscriptAnswer)]
    lines = [left(answer) for _, answer in ours]
    words = [wording(each) for each in lines]
    runs = iter(aligned([each for each in words if each]))
    made = []
    for (each, answer), its_lines, its_words in zip(ours, lines, words, strict=True):
        asked = questions(each.decision)
        its_runs = next(runs) if its_words else []
        found = list(changes(its_words, its_runs, asked.values(), answer.seen)) if its_words else []
        made.append(Reading(each, its_lines, asked, its_words, its_runs, found))
    return made


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
    unchanged = sum(bare(line.text) == bare(seen.text) for line, seen in shown)
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


_NO_NAMES = frozenset(
    {"the", "of", "and", "a", "dr", "doctor", "mr", "mrs", "ms", "sir", "agent", "professor", "captain"}
)


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
            by_version[each.version][_fate(each.decision.answer)] += 1

    def share(fates: Counter[str], fate: str) -> Share:
        return Share(fates[fate], fates.total())

    return tuple(
        Captioned(version, *(share(fates, fate) for fate in ("unchanged", "edited", "drop", "second look")))
        for version, fates in sorted(by_version.items())
    )


def _fate(answer: CaptionAnswer) -> str:
    if answer.verdict != "keep":
        return answer.verdict
    return "unchanged" if answer.text.split() == answer.seen.split() else "edited"


def doubted(found: Sequence[Reading]) -> tuple[Doubted, ...]:
    """Precision and recall of the questions about words and about speakers."""
    return _doubted_words(found), _doubted_speakers(found)


def _doubted_words(found: Sequence[Reading]) -> Doubted:
    asked = answered = real = 0
    for reading, each in _asked(found, "text"):
        asked += 1
        value = settled(reading, each)
        if value is not None:
            answered += 1
            real += bare(value) != bare(each.heard)
    errors = [change for reading in found for change in reading.changes]
    caught = sum(change.asked for change in errors)
    return Doubted("words", Share(answered, asked), Share(real, answered), Share(caught, len(errors)))


def _doubted_speakers(found: Sequence[Reading]) -> Doubted:
    asked = answered = real = caught = errors = 0
    for reading, each in _asked(found, "speaker"):
        asked += 1
        value = settled(reading, each)
        doubt = reading.judged.doubts.get(each.doubt)
        if value is not None and doubt is not None:
            answered += 1
            best = max(doubt.candidates, key=lambda candidate: candidate.score).value
            real += value != best
    for reading in found:
        questioned = {each.segment for each in reading.questions.values() if each.kind == "speaker"}
        for line in reading.lines:
            if line.judged and line.seen and line.text and line.speaker and line.speaker != line.seen.speaker:
                errors += 1
                caught += line.seen.id in questioned
    return Doubted("speakers", Share(answered, asked), Share(real, answered), Share(caught, errors))


def _asked(found: Iterable[Reading], kind: str) -> Iterator[tuple[Reading, Asked]]:
    for reading in found:
        yield from ((reading, each) for each in reading.questions.values() if each.kind == kind)


def settled(reading: Reading, asked: Asked) -> str | None:
    """What stands where a question was put, by the answer or by an edit; None where nobody said."""
    line = next((line for line in reading.lines if line.seen and line.seen.id == asked.segment), None)
    answer = reading.judged.decision.answer
    assert isinstance(answer, TranscriptAnswer)
    if line is None or line.seen is None or not line.judged or not line.text:
        return None
    if asked.kind == "speaker":
        if line.speaker != line.seen.speaker:
            return line.speaker or UNKNOWN
        return answer.answers.get(asked.doubt)
    return _reworded(reading, asked) or answer.answers.get(asked.doubt)


def _reworded(reading: Reading, asked: Asked) -> str | None:
    """The words that were put where a question was asked; None where the words asked about stand."""
    words = reading.wording
    if words is None:
        return None
    own = [index for index, (segment, _) in enumerate(words.places) if segment == asked.segment]
    spelt = bare(asked.heard).split()
    at = next((i for i in own if list(words.was[i : i + len(spelt)]) == spelt), None)
    if at is None:
        return None
    for run in reading.runs:
        if not run.same and run.was[0] < at + len(spelt) and at < run.was[1]:
            return " ".join(words.final[slice(*run.now)]) or " "
    return None


def calibration(found: Sequence[Reading], answers: Iterable[Judged]) -> tuple[Calibration, ...]:
    """How well the scores of the doubts' candidates and of the captions say how often they are right."""
    words: list[tuple[float, bool]] = []
    speakers: list[tuple[float, bool]] = []
    for kind, scored in (("text", words), ("speaker", speakers)):
        for reading, each in _asked(found, kind):
            doubt, value = reading.judged.doubts.get(each.doubt), settled(reading, each)
            if doubt is not None and value is not None:
                scored += [(c.score, bare(c.value) == bare(value)) for c in doubt.candidates]
    captions = [
        (each.score, _fate(each.decision.answer) == "unchanged")
        for each in answers
        if each.score is not None and isinstance(each.decision.answer, CaptionAnswer)
    ]
    return (
        calibrated("words", words),
        calibrated("speakers", speakers),
        calibrated("captions", captions),
    )


def calibrated(of: Literal["words", "speakers", "captions"], scored: Sequence[tuple[float, bool]]) -> Calibration:
    """Scores (0 to 1) and whether each was right, in ten bins of equal width; empty ones are left out."""
    filled: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for score, right in scored:
        filled[min(_BINS - 1, int(score * _BINS))].append((score, right))
    bins = tuple(
        Bin(
            low=number / _BINS,
            high=(number + 1) / _BINS,
            mean=round(sum(score for score, _ in held) / len(held), 4),
            right=Share(sum(right for _, right in held), len(held)),
        )
        for number, held in sorted(filled.items())
    )
    gaps = [abs(each.mean - each.right.count / each.right.of) * each.right.of for each in bins]
    return Calibration(of, len(scored), round(sum(gaps) / len(scored), 4) if scored else None, bins)


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
