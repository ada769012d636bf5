"""From a transcript to a settled one, in two moves with room for a model between them. Pure.

`draft` takes what the words alone settle, and names all doubts that are left; `finish` weighs them again with what
voices and a model say. Without either it comes to what the words alone say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.models import settling, speaking
from pipeline.models.lexical_settling import Rules, Texts, applied, decision, lead, moved, notes, texts
from pipeline.schemas.story import Consulted, Decision, Doubt, KnownNames, SettledTranscript
from pipeline.schemas.timeline import Segment, Transcript
from pipeline.schemas.voices import EpisodeVoices

UNSAID = frozenset({"hallucination", "loop", "no-speech"})
"""Marks of a line that was probably never said: no model is asked who says it."""

Answers = Mapping[str, Consulted]
"""What a model answered, by the doubt's id."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What the words alone settle. `segments` have it in place; `doubts` are all that is left, and count words so."""

    transcript: Transcript
    known: KnownNames
    rules: Rules
    texts: Texts
    segments: tuple[Segment, ...]
    doubts: tuple[Doubt, ...]

    @property
    def askable(self) -> tuple[Doubt, ...]:
        """The doubts that a model may be asked about."""
        unsaid = {segment.id for segment in self.segments if UNSAID & set(segment.marks)}
        return tuple(doubt for doubt in self.doubts if doubt.segment not in unsaid)


def draft(transcript: Transcript, known: KnownNames, rules: Rules) -> Draft:
    found = texts(transcript, known, rules)
    open_ = [moved(doubt, found.taken) for doubt in found.left]
    words = applied(transcript.segments, found.taken)
    segments, _, asked = _speakers(words, transcript.episode, known, rules, None, {})
    return Draft(transcript, known, rules, found, segments, (*open_, *asked))


def finish(draft: Draft, answers: Answers, voices: EpisodeVoices | None) -> SettledTranscript:
    """The transcript with every sure reading in place; all the rest as it was, with its questions."""
    rules, transcript = draft.rules, draft.transcript
    taken, left = list(draft.texts.taken), list[Doubt]()
    for doubt in draft.texts.left:
        verdict = settling.words(doubt, answers.get(doubt.id), rules)
        if verdict.settled:
            taken.append(decision(verdict.doubt, "multimodal"))
        else:
            left.append(verdict.doubt)
    segments, named, asked = _speakers(
        applied(transcript.segments, taken), transcript.episode, draft.known, rules, voices, answers
    )
    doubts = [*(moved(doubt, taken) for doubt in left), *asked]
    return SettledTranscript(
        episode=transcript.episode,
        language=transcript.language,
        segments=segments,
        decisions=(*taken, *named),
        doubts=tuple(sorted(doubts, key=lambda doubt: (doubt.span.start, doubt.id))),
        notes=(*transcript.notes, *notes(transcript)),
    )


def _speakers(
    lines: Sequence[Segment],
    episode: str,
    known: KnownNames,
    rules: Rules,
    voices: EpisodeVoices | None,
    answers: Answers,
) -> tuple[tuple[Segment, ...], list[Decision], list[Doubt]]:
    """The lines with the speakers that are sure, the decisions behind them, and the questions left."""
    segments = list(lines)
    said = speaking.mentions(segments, known.characters)
    ids = [character.id for character in known.characters]
    by_line = {doubt.removesuffix(":speaker"): each for doubt, each in answers.items() if doubt.endswith(":speaker")}
    spoken = settling.Spoken(voices, by_line, episode)
    taken, left = list[Decision](), list[Doubt]()
    for index, segment in enumerate(segments):
        if segment.speaker is not None or not ids:
            continue
        # A speaker who was just settled tells who goes on with the sentence.
        guess = speaking.guess(index, segments, said, ids)
        doubt = speaking.doubt(segment, guess, rules.limits.max_candidates)
        if guess.introduced and lead(doubt) >= rules.margin:
            taken.append(decision(doubt, "lexical"))
        else:
            asked = by_line.get(segment.id)
            verdict = settling.speaker(doubt, dict(guess.ranked), spoken, asked, rules)
            if not verdict.settled:
                left.append(verdict.doubt)
                continue
            taken.append(decision(verdict.doubt, "multimodal" if asked else "voices"))
        segments[index] = segment.model_copy(update={"speaker": taken[-1].chosen})
    return tuple(segments), taken, left
