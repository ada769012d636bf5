"""Questions about the words of a transcript: what was heard, what it may be, and what speaks for each reading.

It settles nothing. A question says whether its best reading may be taken unasked, if the score allows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.models import weighing
from pipeline.models.lexicon import TITLES, core, normal
from pipeline.models.phonetics import can_compare
from pipeline.models.sightings import ALIKE_ENOUGH, Limits, Sighting, Text, by_difference, by_doubt, by_sound
from pipeline.models.weighing import Option, Run
from pipeline.schemas.story import Candidate, Doubt, KnownNames
from pipeline.schemas.timeline import Span, Transcript


@dataclass(frozen=True, slots=True)
class Question:
    """A doubt; whether its best reading may be taken unasked; whether the second hearing has another name there."""

    doubt: Doubt
    may_decide: bool
    contradicted: bool


def questions(transcript: Transcript, known: KnownNames, limits: Limits) -> list[Question]:
    """Every question about the words of `transcript`, in order of time; no two are about the same word.

    None in a language whose words nobody here can compare.
    """
    if not can_compare(transcript.language):
        return []
    text = Text(transcript, known)
    odd = [i for i, segment in enumerate(text.segments) if set(segment.marks) & {"hallucination", "loop", "no-speech"}]
    sightings = [s for index in range(len(text.segments)) if index not in odd for s in by_sound(text, index, limits)]
    sightings = [_addressed(s, text, sightings) for s in sightings if not _is_plainly_a_thing(s, text)]
    taken = list(sightings)
    for sighting in (*by_difference(text), *by_doubt(text, limits)):
        if sighting.segment not in odd and not any(
            t.meets(sighting.segment, sighting.first, sighting.last) for t in taken
        ):
            taken.append(sighting)
    found = [_ask(sighting, text, limits) for sighting in taken]
    return sorted(found, key=lambda q: (q.doubt.span.start, q.doubt.first_word))


def _is_plainly_a_thing(sighting: Sighting, text: Text) -> bool:
    """ "a cone", "an ice cream cone": an ordinary word after an article, where the second hearing has no name."""
    run = text.run(sighting.segment, sighting.first, sighting.last)
    only_people = all(option.kind == "person" for option in sighting.options)
    plain = run.has_article() or (run.has_article(weighing.NOUN) and not run.has_capital_inside)
    return only_people and run.is_ordinary and plain and not _hears_a_name(run, text)


def _hears_a_name(run: Run, text: Text) -> bool:
    return run.second is not None and any(f" {name} " in f" {normal(run.second)} " for name in text.names)


def _addressed(sighting: Sighting, text: Text, others: Sequence[Sighting]) -> Sighting:
    """`Bring Cone Price` -> `Cohen,`: two people's names side by side are two people."""
    run = text.run(sighting.segment, sighting.first, sighting.last)
    after = [
        o
        for other in others
        if other.meets(sighting.segment, sighting.last + 1, sighting.last + 1)
        for o in other.options
    ]
    owners = {option.form.owner for option in after if option.form and option.form.owner}
    if core(run.words[-1].text)[2] or not owners:
        return sighting
    return replace(
        sighting,
        options=tuple(
            replace(o, value=f"{o.value},") if o.form and o.form.owner and owners - {o.form.owner} else o
            for o in sighting.options
        ),
    )


def _ask(sighting: Sighting, text: Text, limits: Limits) -> Question:
    run = text.run(sighting.segment, sighting.first, sighting.last)
    first, options = _worded(sighting, run)
    segment = text.segments[sighting.segment]
    words = segment.words[first : sighting.last + 1]
    heard = Option(" ".join(word.text for word in words), None)
    readings = [heard, *{option.value: option for option in options if option.value != heard.value}.values()]
    evidence = list(weighing.weigh(run, readings))
    score = weighing.scores(evidence, readings)
    ranked = sorted(readings, key=lambda option: -score[option.value])[: limits.max_candidates]
    doubt = Doubt(
        id=f"{segment.id}:{first}-{sighting.last}",
        kind="text",
        segment=segment.id,
        span=Span(start=words[0].span.start, end=max(word.span.end for word in words)),
        first_word=first,
        last_word=sighting.last,
        heard=heard.value,
        context=f"{normal(heard.value)} ({_neighbours(run)})",
        candidates=tuple(
            Candidate(value=option.value, score=math.floor(score[option.value] * 1e4) / 1e4) for option in ranked
        ),
        evidence=tuple(dict.fromkeys(sentence for sentence, _ in evidence)),
    )
    return Question(
        doubt, sighting.by_sound and _may_decide(run, ranked[0]), not run.agrees and _hears_a_name(run, text)
    )


def _worded(sighting: Sighting, run: Run) -> tuple[int, list[Option]]:
    """The first word asked about, and the readings with the punctuation that stands around the words."""
    lead, stop = core(run.words[0].text)[0], core(run.words[-1].text)[2]
    options = [
        replace(o, value=lead + o.value + (stop.lstrip(",") if o.value[-1:] == "," else stop)) for o in sighting.options
    ]
    if not (weighing.may_stand_alone(run) and sighting.first and any(o.kind == "person" for o in options)):
        return sighting.first, options
    that = run.before[-1].text  # "that price is" may be "that, Pryce, is".
    return sighting.first - 1, [
        replace(o, value=f"{that}, {o.value}," if o.kind == "person" else f"{that} {o.value}") for o in options
    ]


def _may_decide(run: Run, best: Option) -> bool:
    """An ordinary word gives way only to a title, a capital inside a sentence, or the second hearing."""
    if best.form is None or run.language != "en":
        return False
    titled = run.previous in TITLES and best.kind == "person"
    seen = titled or run.has_capital_inside or weighing.says(run, best) or not run.is_ordinary
    return seen and (bool(best.listed) or best.likeness >= ALIKE_ENOUGH)


def _neighbours(run: Run) -> str:
    if run.has_article():
        return "after an article"
    if run.previous in TITLES:
        return "after a title"
    if run.is_spoken_to:
        return "spoken to"
    return "at the start" if run.opens else "in a sentence"
