"""What a speech recogniser reports, before it is cut into lines; times are seconds from the first sample it got."""

from pipeline.engine.records import Record
from pipeline.schemas.timeline import Probability, Span, Word


class Passage(Record):
    """What was decoded in one go, and what the recogniser thinks of it.

    `log_probability` is the mean over its tokens (0 is certainty), `no_speech` the probability that nobody speaks.
    """

    words: tuple[Word, ...]
    log_probability: float
    no_speech: Probability


class Hearing(Record):
    """One decoding of one stretch of sound, in order of time."""

    language: str
    passages: tuple[Passage, ...]


class Speech(Record):
    """Where a voice activity detector hears somebody speak, in order of time.

    `spans` go on over short pauses and begin a little early, so that no sound of speech is outside; `voiced` are
    what is heard between pauses, to the detector's grain.
    """

    spans: tuple[Span, ...]
    voiced: tuple[Span, ...]
