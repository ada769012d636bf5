"""Which frames of a clip are trained on, what is said in them, and which clips are held out. Pure.

Trainers read whole clips and know only their frame counts. So a clip is cut to a window of exactly a count that
its model takes, and its caption quotes what is said in that window, not what comes after it.
"""

from dataclasses import dataclass

from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import Digest
from pipeline.schemas.captions import Quote
from pipeline.schemas.timeline import Segment, Span
from pipeline.schemas.wording import retimed

ROUNDING_SECONDS = 0.001
"""Clips' times are written to the millisecond; a window may lie that much beside them."""

MIN_WORDS = 2
MIN_SHARE = 1 / 3
"""A line that a window cuts is quoted only if this many of its words, and this share, are left."""


@dataclass(frozen=True, slots=True)
class Frames:
    """The frame counts that a model takes: `step` * k + 1, from `smallest` to `largest`, at `fps`."""

    fps: int
    step: int
    smallest: int
    largest: int

    def seconds(self, num_frames: int) -> float:
        return num_frames / self.fps

    def fitting(self, seconds: float) -> int | None:
        """The largest count that `seconds` hold; None where not even the smallest fits."""
        held = int((seconds + ROUNDING_SECONDS) * self.fps)
        count = min((held - 1) // self.step * self.step + 1, self.largest)
        return count if count >= self.smallest else None


@dataclass(frozen=True, slots=True)
class Window:
    """`num_frames` frames from `span.start`; the last one is shown until `span.end`."""

    span: Span
    num_frames: int


def windows(clip: Span, frames: Frames, most: int) -> list[Window]:
    """Up to `most` windows of `clip`, one after another from its start, each as long as it can be."""
    found: list[Window] = []
    start = clip.start
    while len(found) < most and (count := frames.fitting(clip.end - start)) is not None:
        end = start + frames.seconds(count)
        found.append(Window(Span(start=start, end=end), count))
        start = end
    return found


def quoted(quote: Quote, line: Segment, window: Span) -> Quote | None:
    """`quote` as far as `window` holds it: whole, cut after the last whole word (marked by …), or None.

    The quote's words need not be the line's: a person may have worded it anew.
    """
    words = retimed(quote.text, line.words, line.span)
    inside = [index for index, word in enumerate(words) if window.holds(word.span.middle)]
    if len(inside) == len(words):
        return quote
    if len(inside) < max(MIN_WORDS, MIN_SHARE * len(words)):
        return None
    text = " ".join(words[index].text for index in inside)
    if inside[-1] < len(words) - 1:
        text = text.rstrip(",;:-–—.…") + "…"
    if inside[0] > 0:
        text = "…" + text
    return quote.model_copy(update={"text": text})


def held_out(episode: Digest, clip: Span, share: float) -> bool:
    """Whether this clip is held out: told by its content alone, so that other clips do not change it.

    `episode` is the digest of the episode's video.
    """
    key = fingerprint.of_value("holdout", [episode, round(clip.start * 1000), round(clip.end * 1000)])
    return int(key[:16], 16) < share * 2**64
