"""Hidden known answers: a name that the machine is certain of is shown misheard, to see whether reviewers notice. Pure.

How many of them are found tells how many real errors are overlooked. An answer is read as if its task had none: what
was hidden is taken out again before anything else sees it, so it cannot reach a dataset.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from pipeline.engine import fingerprint
from pipeline.review.lines import INAUDIBLE, NOT_SPEECH, plain
from pipeline.review.shown import Check
from pipeline.schemas.captions import CheckResult, Line
from pipeline.schemas.story import Decision, Doubt, SettledTranscript
from pipeline.schemas.timeline import Segment
from pipeline.schemas.wording import bare, retimed

CERTAIN = 0.98
"""A decision of the machine that scores less is no known answer: where it is wrong, who leaves the misheard words is
right, and their answer is lost. All 18 decisions about words on the bundled show are right; 11 score at least this."""

_AROUND = " \"'“”‘’([{.,;:!?…-–—)]}"


def choose(
    episode: str,
    spoken: Mapping[str, Sequence[Segment]],
    transcript: SettledTranscript,
    share: float,
    never: Collection[str] = (),
) -> dict[str, Check]:
    """The clips whose task hides a known answer, at most one each: `share` of the episode's transcript tasks.

    `spoken` are the segments of each clip by its id; tasks whose key is in `never` have none. A digest of the key
    chooses, so that other clips do not matter: where few fit, each of them is likelier to be taken.
    """
    if not share:
        return {}
    found: dict[str, list[Check]] = {}
    owner = {segment.id: clip for clip, segments in spoken.items() for segment in segments}
    doubts: dict[str, list[Doubt]] = {}
    for doubt in transcript.doubts:
        if doubt.kind == "text" and doubt.segment in owner:
            doubts.setdefault(owner[doubt.segment], []).append(doubt)
    for decision in transcript.decisions:
        clip = owner.get(decision.doubt.segment)
        if clip is not None and f"{episode}/{clip}" not in never:
            found.setdefault(clip, []).extend(_checks(decision, spoken[clip], doubts.get(clip, ())))
    able = {clip: checks for clip, checks in found.items() if checks}
    tasks = sum(bool(segments) for segments in spoken.values())
    chance = share * tasks / max(1, len(able))
    return {
        clip: min(checks, key=lambda check: _drawn(f"{clip} {check.segment} {check.misheard}"))
        for clip, checks in able.items()
        if _drawn(f"{episode}/{clip}") < chance
    }


def misheard(segments: Sequence[Segment], check: Check | None) -> list[Segment]:
    """The segments as the reviewer shall see them."""
    return [_misheard(segment, check) if check and segment.id == check.segment else segment for segment in segments]


def taken_out(
    check: Check, seen: Sequence[Line], lines: Sequence[Line]
) -> tuple[tuple[Line, ...], tuple[Line, ...], CheckResult]:
    """What was shown (`seen`) and what was left, as they would be without the check, and what became of it.

    The misheard words are looked for in their own line, then in lines that the reviewer made or changed: a line may
    have been split there, or joined with its neighbour.
    """
    shown = {line.id: plain(line.text) for line in seen}
    own = [line for line in lines if line.id == check.segment]
    others = [line for line in lines if line.id != check.segment and plain(line.text) != shown.get(line.id)]
    holders, outcome = _holders(check, own, others)
    flags = {flag for line in holders for flag in line.flags}
    result = CheckResult(
        segment=check.segment,
        shown=check.misheard,
        known=check.known,
        outcome="changed" if flags & {NOT_SPEECH, INAUDIBLE} else outcome,
    )
    ids = {line.id for line in holders}
    return (
        tuple(line.model_copy(update={"text": check.text}) if line.id == check.segment else line for line in seen),
        tuple(_mended(line, check) if line.id in ids else line for line in lines),
        result,
    )


def _holders(check: Check, *groups: Sequence[Line]) -> tuple[list[Line], str]:
    """The lines that hold the words in question, and what that says of the reviewer."""
    for lines in groups:
        for words, outcome in ((check.misheard, "missed"), (check.known, "found")):
            holding = [line for line in lines if _pattern(words).search(line.text)]
            if holding:
                return holding, outcome
    return [], "changed"


def _mended(line: Line, check: Check) -> Line:
    text = _put(check.known, check.misheard, line.text)
    # Who found it typed the name; how the machine writes it is what they would have seen.
    return line.model_copy(update={"text": _put(check.known, check.known, text)})


def _checks(decision: Decision, segments: Sequence[Segment], doubts: Sequence[Doubt]) -> Iterator[Check]:
    """The check that a decision makes in a clip, if it is a fair one, and can be undone without a doubt."""
    heard, known = decision.original.strip(_AROUND), decision.chosen.strip(_AROUND)
    if decision.doubt.kind != "text" or decision.score < CERTAIN or bare(heard) == bare(known):
        return
    if not (heard and known) or decision.chosen.replace(known, heard, 1) != decision.original:
        return
    (segment,) = (each for each in segments if each.id == decision.doubt.segment)
    texts = " ".join(each.text for each in segments)
    # Nowhere else on the screen, so that it neither gives itself away nor is mistaken for another word.
    if len(_pattern(known).findall(texts)) != 1 or _pattern(heard).search(texts) or segment.marks:
        return
    wrong = _put(heard, known, segment.text)
    if segment.text == wrong or _put(known, heard, wrong) != segment.text:
        return
    if not any(_asks(doubt, decision.doubt, (heard, known)) for doubt in doubts):
        yield Check(segment=segment.id, misheard=heard, known=known, text=segment.text)


def _asks(doubt: Doubt, about: Doubt, forms: Sequence[str]) -> bool:
    """Whether a question of the same clip would give the answer away, or be one about it."""
    said = " | ".join((doubt.heard, *(candidate.value for candidate in doubt.candidates)))
    overlaps = doubt.segment == about.segment and doubt.span.overlap(about.span) > 0
    return overlaps or doubt.context == about.context or any(_pattern(form).search(said) for form in forms)


def _misheard(segment: Segment, check: Check) -> Segment:
    """As sure as it was: no figure on the screen may tell."""
    sure = min(word.probability for word in segment.words if _pattern(word.text.strip(_AROUND)).search(check.known))
    known = {word.text for word in segment.words}
    words = retimed(_put(check.misheard, check.known, segment.text), segment.words, segment.span)
    unsure = tuple(word if word.text in known else word.model_copy(update={"probability": sure}) for word in words)
    return segment.model_copy(update={"words": unsure})


def _pattern(words: str) -> re.Pattern[str]:
    """These words, however they are spaced and in either case, but not as a part of others."""
    return re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, words.split())) + r"(?!\w)", re.IGNORECASE)


def _put(new: str, old: str, text: str) -> str:
    return _pattern(old).sub(lambda _: new, text)


def _drawn(name: str) -> float:
    """A number from 0 up to 1 that is always the same for a name."""
    return int(fingerprint.of_value("check", name)[:12], 16) / 16**12
