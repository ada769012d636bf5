"""What a reviewer changed in one clip's lines, word by word. Pure.

Words are compared without case and punctuation. All lines of the clip are compared at once, in order of time, so that
a line that was split, or joined with its neighbour, is not a line of wrong words.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pipeline.review.lines import INAUDIBLE, NOT_SPEECH, plain, punctuated
from pipeline.schemas.captions import Asked, Line, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN, Doubt
from pipeline.schemas.wording import bare


@dataclass(frozen=True, slots=True)
class Left:
    """A line as it stands after an answer; `seen` is what the machine had (None: only the reviewer heard it).

    `text` is "" where nothing is spoken. A line that nobody can understand says nothing of the machine: `judged` is
    false.
    """

    seen: Line | None
    text: str
    speaker: str | None
    start: float
    judged: bool = True

    @property
    def untouched(self) -> bool:
        """Whether it has the machine's words, case and punctuation aside."""
        if self.seen is None:
            return False
        return self.text == self.seen.text or bare(self.text) == bare(self.seen.text)


@dataclass(frozen=True, slots=True)
class Change:
    """Neighbouring words that the reviewer made others of; either may be empty. `asked`: a question was about them."""

    was: str
    now: str
    asked: bool


@dataclass(frozen=True, slots=True)
class Wording:
    """The words of a clip as the machine had them and as they were left, bare; `places` tells whose line each was.

    `original` and `final` are the same words as they are written.
    """

    was: tuple[str, ...]
    now: tuple[str, ...]
    original: tuple[str, ...]
    final: tuple[str, ...]
    places: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of both wordings, half-open; `same` where the words are the same."""

    same: bool
    was: tuple[int, int]
    now: tuple[int, int]


def questions(decision: ReviewDecision, doubts: Mapping[str, Doubt]) -> dict[str, Asked]:
    """The questions that the reviewer was shown, answered or not, by doubt.

    Older snapshots do not tell what was asked; of those that were answered, `doubts` do.
    """
    answer = decision.answer
    assert isinstance(answer, TranscriptAnswer)
    found = {asked.doubt: asked for asked in answer.asked}
    for name in answer.answers.keys() & doubts.keys() - found.keys():
        doubt = doubts[name]
        found[name] = Asked(doubt=name, kind=doubt.kind, segment=doubt.segment, span=doubt.span, heard=doubt.heard)
    shown = decision.raw.shown.get("questions", {}) if decision.raw else {}
    for question in shown.values():
        if question.get("asked") and question["doubt"] not in found:
            found[question["doubt"]] = Asked.model_validate(question["asked"])
    return found


def left(answer: TranscriptAnswer, asked: Iterable[Asked] | None = None) -> list[Left]:
    """Every line that was shown or added, with the chosen answers put in where nobody typed others."""
    given = {line.id: line for line in answer.lines}
    about: dict[str, list[Asked]] = {}
    for each in answer.asked if asked is None else asked:
        about.setdefault(each.segment, []).append(each)
    found = [_left(seen, given.get(seen.id), about.get(seen.id, ()), answer.answers) for seen in answer.seen]
    shown = {line.id for line in answer.seen}
    found += [
        Left(None, plain(line.text), line.speaker, line.span.start, judged=INAUDIBLE not in line.flags)
        for line in answer.lines
        if line.id not in shown and NOT_SPEECH not in line.flags and line.text.strip()
    ]
    return sorted(found, key=lambda line: line.start)


def _left(seen: Line, line: Line | None, asked: Iterable[Asked], answers: Mapping[str, str]) -> Left:
    if line is None or not line.text.strip() or NOT_SPEECH in line.flags:
        return Left(seen, "", seen.speaker, seen.span.start)
    text, speaker = plain(line.text), line.speaker
    for each in asked:
        value = answers.get(each.doubt)
        if value is None:
            continue
        if each.kind == "speaker" and line.speaker == seen.speaker:
            speaker = None if value == UNKNOWN else value
        elif each.kind == "text" and text == plain(seen.text):
            text = _answered(text, each.heard, value)
    return Left(seen, text, speaker, line.span.start, judged=INAUDIBLE not in line.flags)


def _answered(text: str, heard: str, value: str) -> str:
    words = text.split()
    place = find(heard, words)
    if place is None:
        return text
    return " ".join([*words[: place[0]], punctuated(value, " ".join(words[slice(*place)])), *words[place[1] :]])


@lru_cache(maxsize=1 << 16)
def _spelt(word: str) -> str:
    """A show says the same few thousand words over and over."""
    return bare(word)


def find(form: str, words: Sequence[str]) -> tuple[int, int] | None:
    """Where `form` first stands among `words`, case and punctuation aside; half-open."""
    wanted = bare(form).split()
    spelt = [_spelt(word) for word in words]
    for first in range(len(words) - len(wanted) + 1 if wanted else 0):
        if spelt[first : first + len(wanted)] == wanted:
            return first, first + len(wanted)
    return None


def wording(lines: Sequence[Left]) -> Wording | None:
    """The words of a clip before and after; None where not one is different."""
    judged = [line for line in lines if line.judged]
    if all(line.untouched for line in judged):  # As most clips are.
        return None
    before = sorted((line for line in judged if line.seen), key=lambda line: line.seen.span.start if line.seen else 0)
    original = [
        (word, (line.seen.id, number))
        for line in before
        if line.seen
        for number, word in enumerate(line.seen.text.split())
    ]
    final = [word for line in judged for word in line.text.split()]
    was, now = tuple(_spelt(word) for word, _ in original), tuple(map(_spelt, final))
    if was == now:
        return None
    return Wording(was, now, tuple(word for word, _ in original), tuple(final), tuple(place for _, place in original))


def aligned(wordings: Sequence[Wording]) -> list[list[Run]]:
    """The stretches that each before and after have in common, and those that differ, in order."""
    import jiwer

    # It counts from the reference, which is what people left; it refuses an empty one.
    full = [each for each in wordings if each.now and each.was]
    if not full:
        return [_one_sided(each) for each in wordings]
    found = jiwer.process_words([" ".join(each.now) for each in full], [" ".join(each.was) for each in full]).alignments
    chunks = iter(found)
    made = []
    for each in wordings:
        if not (each.now and each.was):
            made.append(_one_sided(each))
            continue
        runs: list[Run] = []
        for chunk in next(chunks):
            run = Run(
                chunk.type == "equal",
                (chunk.hyp_start_idx, chunk.hyp_end_idx),
                (chunk.ref_start_idx, chunk.ref_end_idx),
            )
            if runs and not run.same and not runs[-1].same:
                run = Run(False, (runs[-1].was[0], run.was[1]), (runs[-1].now[0], run.now[1]))
                runs.pop()
            runs.append(run)
        made.append(runs)
    return made


def _one_sided(words: Wording) -> list[Run]:
    return [Run(False, (0, len(words.was)), (0, len(words.now)))]


def wrong(run: Run) -> int:
    """How many words must be changed, taken out or put in: what the word error rate counts."""
    return 0 if run.same else max(run.was[1] - run.was[0], run.now[1] - run.now[0])


def changes(words: Wording, runs: Iterable[Run], asked: Iterable[Asked], seen: Iterable[Line]) -> Iterator[Change]:
    """What was changed, in the machine's words and the reviewer's."""
    texts = {line.id: line.text.split() for line in seen}
    questioned: set[tuple[str, int]] = set()
    for each in asked:
        if each.kind == "text" and (place := find(each.heard, texts.get(each.segment, ()))):
            questioned |= {(each.segment, number) for number in range(*place)}
    for run in runs:
        if not run.same:
            was, now = words.original[slice(*run.was)], words.final[slice(*run.now)]
            yield Change(_said(was), _said(now), any(words.places[i] in questioned for i in range(*run.was)))


def _said(words: Sequence[str]) -> str:
    return " ".join(words).strip(" \"“”‘'.,;:!?…")
