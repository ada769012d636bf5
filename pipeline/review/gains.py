"""How much a reviewer's answer is worth, so that Label Studio serves the most valuable first. Pure.

The gain of an answer is the chance that what stands is wrong, times the places that the answer may settle. Label Studio
serves the lowest score of a prediction first, so the score is 1 where nothing is to be gained, and less the more is.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pipeline.engine import fingerprint
from pipeline.review.settlements import Class, class_of
from pipeline.review.verdicts import kind_of, skipped
from pipeline.schemas.captions import ReviewDecision
from pipeline.schemas.story import UNKNOWN, Doubt, SettledTranscript
from pipeline.schemas.timeline import Segment, Span


class Unreviewed:
    """What nobody has answered yet, and how often each doubt occurs in it.

    `voices` names the voice of a line, by its id, where it is known.
    """

    def __init__(
        self,
        transcripts: Iterable[SettledTranscript],
        decisions: Sequence[ReviewDecision],
        voices: Mapping[str, str] | None = None,
    ) -> None:
        self._voices = voices or {}
        spans: dict[str, list[Span]] = {}
        for decision in decisions:
            if kind_of(decision) == "transcript" and not skipped(decision):
                spans.setdefault(decision.episode, []).append(decision.span)
        self._answered = {episode: _united(each) for episode, each in spans.items()}
        self._often = Counter(
            self._class(doubt)
            for transcript in transcripts
            for doubt in transcript.doubts
            if not self.has_answer(transcript.episode, doubt.span.middle)
        )

    def has_answer(self, episode: str, moment: float) -> bool:
        """Whether somebody answered a task that showed this second of the episode."""
        spans = self._answered.get(episode, ())
        place = bisect_right(spans, moment, key=lambda span: span.start) - 1
        return place >= 0 and spans[place].holds(moment)

    def places(self, doubt: Doubt, key: str) -> int:
        """About how many unreviewed places an answer may settle, this one among them; a power of two.

        A push writes whatever changes, and each answer takes one from the count. So counts are coarse, and each task
        (`key`) rounds by a number of its own: of a name that occurs 1,000 times, ten answers move about 14 tasks.
        """
        count = max(1, self._often[self._class(doubt)])
        dice = int(fingerprint.of_value("rounding", [key, doubt.id])[:8], 16) / 16**8
        return int(2 ** math.floor(math.log2(count) + dice))

    def _class(self, doubt: Doubt) -> Class:
        return class_of(doubt.kind, doubt.heard, doubt.context, doubt.segment, self._voices)


def of_doubt(doubt: Doubt, places: int) -> float:
    return wrong(doubt) * places


def wrong(doubt: Doubt) -> float:
    """The chance that what stands as long as nobody answers is wrong."""
    return 1 - max((each.score for each in doubt.candidates if each.value == standing(doubt)), default=0.0)


def standing(doubt: Doubt) -> str:
    """What holds as long as nobody answers."""
    return UNKNOWN if doubt.kind == "speaker" else doubt.heard


def of_lines(segments: Sequence[Segment]) -> float:
    """The chance that a word of these lines is wrong that nobody asks about; it settles no other place."""
    words = [word.probability for segment in segments for word in segment.words]
    return 1 - sum(words) / len(words) if words else 0.0


def score(gain: float) -> float:
    return 1 / (1 + gain)


def _united(spans: Sequence[Span]) -> list[Span]:
    """What the spans cover, in order of time, without overlaps."""
    made: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if made and span.start <= made[-1].end:
            made[-1] = Span(start=made[-1].start, end=max(made[-1].end, span.end))
        else:
            made.append(span)
    return made
