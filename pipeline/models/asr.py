"""Whisper, by faster-whisper: from samples to words with their times and probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from pipeline.engine.records import Record
from pipeline.models import weights
from pipeline.schemas.hearing import Hearing, Passage, Speech
from pipeline.schemas.timeline import Span, Word

if TYPE_CHECKING:
    import faster_whisper.transcribe as fw  # type: ignore[import-untyped]
    import numpy as np

    Samples: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]
    Recognise: TypeAlias = Callable[[Samples, "Decoding"], Hearing]

SAMPLE_RATE_HZ = 16_000
"""What Whisper and the voice activity detector hear."""

WINDOW_SECONDS = 30.0
TOKEN_SECONDS = 0.02
"""What Whisper hears at once, and the grain of its times, the shortest word (Radford et al. 2022, section 2.3)."""

PASSED_OVER_SECONDS = 1.0
"""Speech without words that is worth a second decoding: two words or three."""

PAUSE_MS = 100
"""Long for a consonant, short for a breath: a pause this long parts what is voiced."""

SILENCE_SECONDS = 0.5
EDGE_SECONDS = 0.2
"""A silence this long parts phrases, and so much of it on either side is kept with them."""

NO_SPEECH = 0.6
"""Whisper's own threshold of the probability that nobody speaks (transcribe.py)."""

STRETCHED_SECONDS = 2.0
"""A longer word was drawn out over speech that Whisper left out; its own transcribe.py doubts such words too."""

HOTWORD_CHARACTERS = 600
"""faster-whisper cuts the names to listen for at 223 tokens without a word; names take about three letters a token."""

ComputeType: TypeAlias = Literal[
    "auto", "float32", "float16", "bfloat16", "int8", "int8_float16", "int8_bfloat16", "int8_float32"
]
"""CTranslate2's names of number formats, and "auto"."""

_SPACELESS = frozenset({"zh", "ja", "th", "lo", "my", "yue", "jw"})
"""Languages that faster-whisper splits into characters instead of words (its tokenizer.py)."""


class Decoding(Record):
    """All that decides what is heard in given samples, apart from the model.

    `language` None lets the model tell. `hotwords` are names to listen for; the model spells them better and also
    invents them. `vad` decodes only where the detector hears a voice; a batch needs it to find its windows, of which
    it decodes `batch_size` together.
    """

    language: str | None
    hotwords: tuple[str, ...] = ()
    beam_size: int = Field(default=5, ge=1)
    method: Literal["sequential", "batched"] = "sequential"
    vad: bool = True
    batch_size: int = Field(default=8, ge=1)


def compute_type(wanted: ComputeType) -> str:
    """`wanted`, or for "auto" float16 on a GPU and int8 on a CPU."""
    return wanted if wanted != "auto" else "float16" if device() == "cuda" else "int8"


def device() -> str:
    import ctranslate2  # type: ignore[import-untyped]

    return "cuda" if ctranslate2.get_cuda_device_count() else "cpu"


@contextmanager
def whisper(model: str, revision: str | None, compute: str, cache: Path) -> Iterator[Recognise]:
    """Load a Whisper model and yield a function from samples (mono, SAMPLE_RATE_HZ) to what is said in them.

    `model` and `revision` as `weights.locate` takes them, `compute` is CTranslate2's name of a number format.
    Raises ValueError where the weights cannot be had or the device lacks the format.
    """
    folder = weights.locate(model, revision, cache)
    import faster_whisper

    try:
        loaded = faster_whisper.WhisperModel(
            str(folder), device=device(), compute_type=compute, cpu_threads=len(os.sched_getaffinity(0))
        )
    except ValueError as error:
        raise ValueError(f"the recogniser {model!r} cannot be loaded as {compute} on {device()}: {error}") from error

    def recognise(samples: Samples, decoding: Decoding) -> Hearing:
        return _hear(loaded, samples, decoding)

    yield recognise
    loaded.model.unload_model()


def speech(samples: Samples) -> Speech:
    """Where somebody speaks, by the Silero detector that faster-whisper carries; two minutes a second on a CPU."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps  # type: ignore[import-untyped]

    if not len(samples):
        return Speech(spans=(), voiced=())
    found = get_speech_timestamps(samples, VadOptions(min_silence_duration_ms=PAUSE_MS, speech_pad_ms=0))
    voiced = [
        Span(start=s["start"] / SAMPLE_RATE_HZ, end=s["end"] / SAMPLE_RATE_HZ) for s in found if s["end"] > s["start"]
    ]
    return Speech(spans=tuple(phrases(voiced, len(samples) / SAMPLE_RATE_HZ)), voiced=tuple(voiced))


def phrases(voiced: Sequence[Span], seconds: float) -> list[Span]:
    """What a voice says without a pause of SILENCE_SECONDS, with a little of the sound around it; `seconds` is all."""
    found: list[Span] = []
    for span in voiced:
        start, end = round(max(span.start - EDGE_SECONDS, 0.0), 3), round(min(span.end + EDGE_SECONDS, seconds), 3)
        if found and start - found[-1].end < SILENCE_SECONDS - 2 * EDGE_SECONDS:
            start = found.pop().start
        found.append(Span(start=start, end=end))
    return found


def words_of(tokens: Iterable[tuple[str, float, float, float]], language: str) -> tuple[Word, ...]:
    """Words from (text with its leading space, start, end, probability), times in seconds.

    The recogniser cuts "well-known" and "50%" apart: what has no space before it goes with the word before it.
    Times are rounded to milliseconds and never run backwards.
    """
    words: list[Word] = []
    for text, start, end, probability in tokens:
        if not text.strip():
            continue
        earliest = words[-1].span.start if words else 0.0
        begin = round(max(start, earliest, 0.0), 3)
        span = Span(start=begin, end=round(max(end, begin + TOKEN_SECONDS), 3))
        word = Word(text=text.strip(), span=span, probability=round(min(max(probability, 0.0), 1.0), 4))
        if words and not text[0].isspace() and language not in _SPACELESS:
            word = _joined(words.pop(), word)
        words.append(word)
    return tuple(words)


def fitting(names: Sequence[str]) -> tuple[str, ...]:
    """As many of `names`, in their order, as a decoder can be told."""
    used, fit = 0, []
    for name in names:
        used += len(name) + 2
        if used > HOTWORD_CHARACTERS:
            break
        fit.append(name)
    return tuple(fit)


def passed_over(voices: Sequence[Span], words: Sequence[Word]) -> list[Span]:
    """Where somebody is heard to speak but no word is; both in order of time, pieces with no word between are one."""
    plausible = [word for word in words if word.span.seconds <= STRETCHED_SECONDS]
    found: list[Span] = []
    for voice in voices:
        free = voice.start
        inside = [w.span for w in plausible if w.span.end > voice.start and w.span.start < voice.end]
        for start, end in (*((span.start, span.end) for span in inside), (voice.end, voice.end)):
            if start - free >= PASSED_OVER_SECONDS:
                if found and not any(found[-1].end <= w.span.middle < free for w in plausible):
                    found[-1] = Span(start=found[-1].start, end=start)
                else:
                    found.append(Span(start=free, end=start))
            free = max(free, end)
    return found


def _hear(model: fw.WhisperModel, samples: Samples, decoding: Decoding) -> Hearing:
    """Decode, and decode once more by itself each piece of speech that was passed over.

    On a window with several sentences Whisper sometimes starts in its middle, above all when it listens for names.
    """
    hearing = _decode(model, samples, decoding, vad=decoding.vad)
    words = [word for passage in hearing.passages for word in passage.words]
    passages = list(hearing.passages)
    for gap in passed_over(speech(samples).spans, words):
        again = decoding.model_copy(update={"language": hearing.language, "method": "sequential"})
        # The window's edge swallows a sound that begins right on it.
        begin = max(gap.start - EDGE_SECONDS, 0.0)
        piece = samples[round(begin * SAMPLE_RATE_HZ) : round((gap.end + EDGE_SECONDS) * SAMPLE_RATE_HZ)]
        for passage in _decode(model, piece, again, vad=False).passages:
            later = (word.model_copy(update={"span": _later(word.span, begin)}) for word in passage.words)
            kept = tuple(word for word in later if gap.holds(word.span.middle))
            if kept and passage.no_speech <= NO_SPEECH:
                passages.append(passage.model_copy(update={"words": kept}))
    passages = [passage for passage in passages if passage.words]
    return Hearing(language=hearing.language, passages=tuple(sorted(passages, key=lambda p: p.words[0].span.start)))


def _decode(model: fw.WhisperModel, samples: Samples, decoding: Decoding, *, vad: bool) -> Hearing:
    from faster_whisper import BatchedInferencePipeline

    settings: dict[str, Any] = {
        "language": decoding.language,
        "beam_size": decoding.beam_size,
        "word_timestamps": True,
        "vad_filter": vad,
        "hotwords": ", ".join(decoding.hotwords) or None,
        "condition_on_previous_text": False,
        # Fallback to higher temperatures samples at random, so that two runs differ; loops are marked instead.
        "temperature": 0.0,
        # In the text, what seems to be silence is marked and not skipped. Evidence is better without it: over silence
        # Whisper recites the names that it was told to listen for.
        "no_speech_threshold": NO_SPEECH if decoding.hotwords else None,
        # Without timestamp tokens the batched decoder sometimes stops early and loses half a window.
        "without_timestamps": False,
    }
    if decoding.method == "batched":
        # A pipeline remembers where the last word ended, which must not reach the next stretch.
        found, info = BatchedInferencePipeline(model).transcribe(samples, batch_size=decoding.batch_size, **settings)
    else:
        found, info = model.transcribe(samples, **settings)
    return Hearing(language=info.language, passages=tuple(_passages(found, info.language)))


def _passages(found: Iterable[fw.Segment], language: str) -> Iterator[Passage]:
    for segment in found:
        tokens = [(w.word, float(w.start), float(w.end), float(w.probability)) for w in segment.words or ()]
        yield Passage(
            words=words_of(tokens, language),
            log_probability=round(float(segment.avg_logprob), 4),
            no_speech=round(float(segment.no_speech_prob), 4),
        )


def _later(span: Span, seconds: float) -> Span:
    return Span(start=round(span.start + seconds, 3), end=round(span.end + seconds, 3))


def _joined(first: Word, second: Word) -> Word:
    span = Span(start=first.span.start, end=max(first.span.end, second.span.end))
    return Word(text=first.text + second.text, span=span, probability=min(first.probability, second.probability))
