"""Hearing a whole episode: where people speak, then what they say, each stretch kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.engine import fingerprint
from pipeline.engine.work import Workspace
from pipeline.models import asr
from pipeline.schemas.hearing import Hearing, Passage, Speech
from pipeline.schemas.timeline import Span, Word

if TYPE_CHECKING:
    from pipeline.models.asr import Samples

STRETCH_SECONDS = 120.0
"""A stretch is decoded on its own: it is what a killed run loses, and what a change of the sound decodes again."""

SILENCE_SECONDS = 1.0
"""A pause in which a stretch may end. Whisper hears 30 s at once, so a cut every few windows costs nothing."""


@dataclass(frozen=True, slots=True)
class Recogniser:
    """A Whisper model, as `asr.whisper` takes it; `compute` is CTranslate2's name of a number format, or "auto"."""

    model: str
    revision: str | None
    compute: asr.ComputeType


@dataclass(frozen=True, slots=True)
class Heard:
    """Both decodings, and where anybody speaks; times are seconds from the episode's first frame.

    `voices` and `voiced` are the `spans` and the `voiced` of Speech.
    """

    language: str
    voices: tuple[Span, ...]
    plain: tuple[Passage, ...]
    biased: tuple[Passage, ...] = ()
    voiced: tuple[Span, ...] = ()


def listen(
    work: Workspace, samples: Samples, recogniser: Recogniser, decoding: asr.Decoding, names: Sequence[str]
) -> Heard:
    """Decode `samples` (mono, asr.SAMPLE_RATE_HZ) as `decoding` says, and again with `names` if there are any.

    What the memo holds is not decoded, and the model is loaded only if something is missing. Where
    `decoding.language` is None, the first speech tells the language of the whole episode.
    """
    compute = asr.compute_type(recogniser.compute)
    known = [recogniser.model, recogniser.revision, compute]

    def decode(clips: Sequence[Samples], how: asr.Decoding) -> list[Hearing]:
        def make(missing: Sequence[int]) -> Iterator[Hearing]:
            place = work.services.place(recogniser.model)
            recognise = work.model(asr.whisper, place, recogniser.revision, compute, work.cache)
            yield from (recognise(clips[index], how) for index in missing)

        items = [[known, _digest(clip), how.model_dump(mode="json")] for clip in clips]
        return work.memo(Hearing).fill(items, make)

    [speech] = work.memo(Speech).fill([_digest(samples)], lambda _: [asr.speech(samples)])
    if not speech.spans:
        return Heard(decoding.language or "und", (), ())
    if decoding.language is None:
        begin = speech.spans[0].start
        [first] = decode([_cut(samples, Span(start=begin, end=begin + asr.WINDOW_SECONDS))], decoding)
        decoding = decoding.model_copy(update={"language": first.language})
    found = stretches(speech.spans, len(samples) / asr.SAMPLE_RATE_HZ)
    clips = [_cut(samples, stretch) for stretch in found]
    plain = joined(decode(clips, decoding), found)
    biased: tuple[Passage, ...] = ()
    if names:
        biased = joined(decode(clips, decoding.model_copy(update={"hotwords": asr.fitting(names)})), found)
    return Heard(decoding.language or "und", speech.spans, plain, biased, speech.voiced)


def stretches(voices: Sequence[Span], seconds: float) -> list[Span]:
    """Cut `seconds` of sound in the middle of silences into stretches of STRETCH_SECONDS or more.

    Where no long silence comes for twice that, any pause will do.
    """
    cuts = [0.0]
    for before, after in pairwise(voices):
        pause, middle = after.start - before.end, (before.end + after.start) / 2
        length = middle - cuts[-1]
        if (length >= STRETCH_SECONDS and pause >= SILENCE_SECONDS) or length >= 2 * STRETCH_SECONDS:
            cuts.append(middle)
    return [Span(start=start, end=end) for start, end in zip(cuts, [*cuts[1:], seconds], strict=True)]


def joined(hearings: Sequence[Hearing], spans: Sequence[Span]) -> tuple[Passage, ...]:
    """What was said in stretches that were heard one by one, timed from the first sample of all."""
    return tuple(
        passage.model_copy(update={"words": tuple(_later(word, span.start) for word in passage.words)})
        for hearing, span in zip(hearings, spans, strict=True)
        for passage in hearing.passages
    )


def _later(word: Word, seconds: float) -> Word:
    span = Span(start=round(word.span.start + seconds, 3), end=round(word.span.end + seconds, 3))
    return word.model_copy(update={"span": span})


def _cut(samples: Samples, span: Span) -> Samples:
    return samples[round(span.start * asr.SAMPLE_RATE_HZ) : round(span.end * asr.SAMPLE_RATE_HZ)]


def _digest(samples: Samples) -> str:
    return fingerprint.of_bytes(samples.tobytes())
