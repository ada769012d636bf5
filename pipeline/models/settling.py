"""What all sources together say of a doubt: the words, the voices, a model. Pure; every part of a score is on record.

For each candidate c, with shares of 1 among the candidates:

    score(c)  ∝  dialogue(c) · model(c)

- `model(c)` is q for the model's choice and (1 - q) / (n - 1) for each other candidate, where q is the *measured*
  probability of its answer, never above TRUST. An answer that nobody measured is recorded and weighs nothing.
- `dialogue(c)` is the lexical share; for speakers it is put together with the share of the voice. Both rest on the same
  dialogue, so where they agree about c the stronger one counts alone, and where they differ both do: with the logarithm
  of a share against an equal one, it is the larger of the two on the same side of 0, their sum on different sides.
- What a model hears in one voice counts for all lines of the voice: its `model` share is the product of the lines'
  shares, each to the power 1 / √lines, since neighbouring answers of one model repeat each other.

A doubt is settled where the best candidate leads by `margin`, and only then. Besides:

- On a model's word, only what sounds like the words heard is taken (ALIKE_WITH_REASON; ALIKE_ENOUGH for words that
  it made up itself): it was told the same names as the second hearing, and both recite them over plain words.
- A speaker is settled only where two lines or more of a voice are heard, and the line itself is clearly of that voice;
  who says one line alone is settled only by introducing themselves.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipeline.models.lexical_settling import Rules, lead
from pipeline.models.lexicon import core
from pipeline.models.phonetics import alike
from pipeline.models.sightings import ALIKE_ENOUGH, ALIKE_WITH_REASON
from pipeline.schemas.story import UNKNOWN, Candidate, Consulted, Doubt, Weighed
from pipeline.schemas.voices import EpisodeVoices, Voice
from pipeline.schemas.wording import bare

TRUST = 0.97
"""The most that one model's answer is believed, however sure it is: token probabilities of tuned models crowd at 1."""
FLOOR = 0.01
"""The least share of a candidate: no source can rule one out for good."""
NEW_ALIKE, NEW_OTHERWISE = 0.3, 0.02
"""Lexical shares of words that a model added, if they sound like what was heard, and if not."""

Shares = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A doubt with all that was weighed, best candidate first, and whether that settles it."""

    doubt: Doubt
    settled: bool


def words(doubt: Doubt, consulted: Consulted | None, rules: Rules) -> Verdict:
    """What becomes of a doubt about words; what was heard stays among the candidates."""
    lexical = {candidate.value: candidate.score for candidate in doubt.candidates}
    if consulted is None:
        return Verdict(doubt, settled=False)
    if consulted.chosen is None:
        return Verdict(_told(doubt, consulted, doubt.evidence), settled=False)
    value = _as_candidate(doubt, consulted.chosen)
    is_new = value not in lexical
    if is_new:
        lexical[value] = NEW_ALIKE if alike(value, doubt.heard) >= ALIKE_ENOUGH else NEW_OTHERWISE
    consulted = consulted.model_copy(update={"chosen": value})
    weighed = combined(lexical, None, _of_model(value, consulted.confidence, lexical))
    kept = _kept(weighed, rules.limits.max_candidates, {doubt.heard})
    judged = _told(_scored(doubt, kept), consulted, doubt.evidence)
    best = kept[0].value
    enough = ALIKE_ENOUGH if is_new and best == value else ALIKE_WITH_REASON
    sounds = best == doubt.heard or alike(best, doubt.heard) >= enough
    return Verdict(judged, sounds and lead(judged) >= rules.margin)


def speaker(doubt: Doubt, lexical: Shares, voices: "Spoken", consulted: Consulted | None, rules: Rules) -> Verdict:
    """What becomes of the question who says a line; `lexical` are the shares of all people and UNKNOWN."""
    voice = voices.of(doubt.segment)
    model = voices.model(doubt.segment, list(lexical))
    if voice is None and consulted is None:
        return Verdict(doubt, settled=False)
    shares = {candidate.value: candidate.score for candidate in voice.candidates} if voice else None
    weighed = combined(lexical, shares or None, model)
    kept = _kept(weighed, rules.limits.max_candidates, {UNKNOWN})
    evidence = (*doubt.evidence, *(voice.why if voice else ()))
    judged = _told(_scored(doubt, kept), consulted, evidence)
    proved = voices.is_proof(doubt.segment) and kept[0].value != UNKNOWN
    return Verdict(judged, proved and lead(judged) >= rules.margin)


def combined(lexical: Shares, voices: Shares | None, model: Shares | None) -> tuple[Weighed, ...]:
    """The parts and the score of each candidate of `lexical`, best first; the scores sum to 1 at most."""
    values = list(lexical)
    words_, heard = _shares(lexical, values), _shares(voices, values) if voices else None
    asked = _shares(model, values) if model else None
    points = {}
    for value in values:
        parts = [math.log(words_[value] * len(values))]
        if heard:
            parts.append(math.log(heard[value] * len(values)))
        agree = min(parts) >= 0 or max(parts) <= 0
        points[value] = max(parts, key=abs) if agree else sum(parts)
        points[value] += math.log(asked[value]) if asked else 0.0
    scores = _softmax(points)
    weighed = [
        Weighed(
            value=value,
            lexical=_short(words_[value]),
            voices=_short(heard[value]) if heard else None,
            model=_short(asked[value]) if asked else None,
            score=_short(scores[value]),
        )
        for value in values
    ]
    return tuple(sorted(weighed, key=lambda each: (-each.score, each.value)))


@dataclass(frozen=True, slots=True)
class Spoken:
    """The voices of an episode's lines, and what a model answered for lines, by segment."""

    voices: EpisodeVoices | None
    answers: Mapping[str, Consulted]
    episode: str

    def of(self, segment: str) -> Voice | None:
        """The voice a line is clearly spoken in."""
        line, voice = self.voices.of(segment) if self.voices else (None, None)
        return voice if line and not line.overlap else None

    def model(self, segment: str, values: Sequence[str]) -> Shares | None:
        """The model's shares for a line: those of all lines of its voice, or its own where it has none."""
        lines = self._lines(segment) or [segment]
        heard = [
            shares
            for line in lines
            if (said := self.answers.get(line)) and (shares := _of_model(said.chosen, said.confidence, values))
        ]
        if not heard:
            return None
        points = {v: sum(math.log(shares[v]) for shares in heard) / math.sqrt(len(heard)) for v in values}
        return _softmax(points)

    def is_proof(self, segment: str) -> bool:
        """Whether the line helped to tell its voice from others, and the voice is heard in other lines too.

        A voice whose id names another episode is.
        """
        line, voice = self.voices.of(segment) if self.voices else (None, None)
        if line is None or voice is None or not line.founds or line.overlap:
            return False
        return len(self._lines(segment)) > 1 or not voice.id.startswith(f"voice-{self.episode}@")

    def _lines(self, segment: str) -> list[str]:
        voice = self.of(segment)
        if voice is None or self.voices is None:
            return []
        return [line.segment for line in self.voices.lines if line.voice == voice.id and not line.overlap]


def _of_model(chosen: str | None, confidence: float | None, values: Collection[str]) -> Shares | None:
    if chosen not in values or confidence is None or len(values) < 2:
        return None
    sure = min(max(confidence, FLOOR), TRUST)
    return {value: sure if value == chosen else (1 - sure) / (len(values) - 1) for value in values}


def _as_candidate(doubt: Doubt, text: str) -> str:
    """The candidate that has the same letters, or `text` with the punctuation that stands around the words."""
    for candidate in doubt.candidates:
        if candidate.value == text:
            return text
    for candidate in doubt.candidates:
        if bare(candidate.value) == bare(text):
            return candidate.value
    heard = doubt.heard.split()
    lead_, stop = core(heard[0])[0], core(heard[-1])[2]
    mine = text.split()
    if not core(mine[-1])[2]:
        text = f"{text}{stop}"
    return text if core(mine[0])[0] else f"{lead_}{text}"


def _shares(given: Shares, values: Sequence[str]) -> dict[str, float]:
    """`given` for just `values`, none below FLOOR, summing to 1; a value that it lacks has FLOOR."""
    floored = {value: max(given.get(value, FLOOR), FLOOR) for value in values}
    return {value: share / sum(floored.values()) for value, share in floored.items()}


def _softmax(points: Shares) -> dict[str, float]:
    top = max(points.values())
    odds = {value: math.exp(point - top) for value, point in points.items()}
    return {value: odd / sum(odds.values()) for value, odd in odds.items()}


def _short(share: float) -> float:
    return math.floor(min(max(share, 0.0), 1.0) * 1e4) / 1e4


def _kept(weighed: Sequence[Weighed], most: int, always: Collection[str]) -> list[Weighed]:
    """The best `most` in order; those that are `always` asked stand among them."""
    must = [each for each in weighed if each.value in always]
    rest = [each for each in weighed if each.value not in always][: most - len(must)]
    return [each for each in weighed if each in must or each in rest]


def _scored(doubt: Doubt, weighed: Sequence[Weighed]) -> Doubt:
    candidates = tuple(Candidate(value=each.value, score=each.score) for each in weighed)
    return doubt.model_copy(update={"candidates": candidates, "weighed": tuple(weighed)})


def _told(doubt: Doubt, consulted: Consulted | None, evidence: Sequence[str]) -> Doubt:
    """`doubt` with what a model said of it, in a sentence for the reviewer."""
    told = list(evidence)
    if consulted is not None:
        told.append(_sentence(consulted))
    return doubt.model_copy(update={"consulted": consulted, "evidence": tuple(dict.fromkeys(told))})


def _sentence(consulted: Consulted) -> str:
    if consulted.chosen is None:
        return f"{consulted.model} gave no answer: {consulted.problem}"
    sure = "not measured" if consulted.confidence is None else f"{consulted.confidence:.2f}"
    reason = f": {consulted.reason}" if consulted.reason else ""
    return f'{consulted.model} chose "{consulted.chosen}" ({sure}){reason}'
