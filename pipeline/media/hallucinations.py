"""Lines that a recogniser may have made up: marked with what is odd about them, never taken away.

Whisper learnt from subtitles off the web. Where nobody speaks it writes what stood under silent pictures there
(thanks for watching, credits of subtitle groups), or falls into a loop. On a show somebody may really say such a
line, so a phrase that people do say counts only together with a sign that nobody spoke.
"""

import re
import zlib
from collections.abc import Iterator, Sequence

from pipeline.schemas.hearing import Passage
from pipeline.schemas.timeline import Mark, Segment, Span

COMPRESSION_RATIO = 2.4
LOG_PROBABILITY = -1.0
NO_SPEECH = 0.6
"""Whisper's own thresholds for a failed decoding (Radford et al. 2022, section 4.5; its transcribe.py)."""

UNHEARD = 0.2
"""A line of which the voice activity detector hears less than this share was probably not spoken."""

DOUBTFUL_PROBABILITY = 0.5
"""Mean word probability below which a line that people say on the web, but seldom in a story, is doubted."""

CHARACTERS_A_SECOND = 40.0
"""Twice the fastest speech (an auctioneer's 400 words a minute); words faster than this were not spoken."""

CRAMMED_CHARACTERS = 20
"""Word times are too coarse to tell the rate of shorter lines."""

OVERLAP_SECONDS = 0.1
"""Less is the grain of word times."""

LOOP_MAX_WORDS = 12

_CREDITS = re.compile(
    r"amara ?org|mooji org|copyright wdr|zdf für funk|subtitles? (made )?by|subtitled by|transcri(bed|ption) by"
    r"|captions? by|caption(ed|ing) (made possible|by)|sous titres? (réalisés|fait|par)|sous titrage"
    r"|untertitel(ung)? (im auftrag|von|der|aufgrund)|ondertitel(s|ing|d)? (ingediend|door)"
    r"|subtítulos (realizados|por|creados)|legendas? (pela|por)|sottotitoli (creati|e revisione|di)"
    r"|субтитры (сделал|создавал|подогнал)|редактор субтитров|字幕(志愿者|由|提供|by)"
)
"""Credits of subtitle groups, which nobody speaks: github.com/openai/whisper/discussions/928."""

_OUTROS = frozenset({
    "you", "thank you", "thanks", "thank you very much", "thank you so much", "bye", "bye bye", "okay", "so", "the end",
    "thanks for watching", "thank you for watching", "thank you so much for watching", "thanks for listening",
    "please subscribe", "please subscribe to my channel", "like and subscribe", "see you next time",
    "see you in the next video", "ill see you in the next video", "dont forget to subscribe", "to be continued",
    "merci davoir regardé", "merci", "gracias", "gracias por ver el video", "obrigado", "vielen dank",
    "vielen dank fürs zuschauen", "tchau", "продолжение следует", "спасибо за просмотр", "дякую за перегляд",
    "ご視聴ありがとうございました", "ありがとうございました", "おやすみなさい", "谢谢观看", "謝謝觀看",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", "시청해주셔서 감사합니다", "תודה רבה", "תודה על הצפייה",
    "شكرا على المشاهدة",
})  # fmt: skip
"""What Whisper writes over silence and music, and people may say: the same thread; github.com/Vexa-ai/vexa/issues/617;
github.com/woheller69/whisperIME/issues/57 ("you").
"""


def marked(segments: Sequence[Segment], passages: Sequence[Passage], voices: Sequence[Span]) -> tuple[Segment, ...]:
    """The same segments with their marks; `passages` are the decodings they were cut from, `voices` where somebody
    is heard to speak. Without passages (the text is people's own) only overlaps are marked.
    """
    looping = loops([word.text for segment in segments for word in segment.words]) if passages else set()
    place = 0
    result = []
    for index, segment in enumerate(segments):
        own = set(range(place, place + len(segment.words)))
        place += len(segment.words)
        marks: list[Mark] = []
        if passages:
            passage = _passage_of(segment, passages)
            silent = _is_silent(segment, passage, voices)
            if _is_made_up(segment, silent=silent):
                marks.append("hallucination")
            if own & looping or compression_ratio(segment.text) > COMPRESSION_RATIO:
                marks.append("loop")
            if silent:
                marks.append("no-speech")
        neighbours = (*segments[max(index - 2, 0) : index], *segments[index + 1 : index + 3])
        if any(segment.span.overlap(other.span) >= OVERLAP_SECONDS for other in neighbours):
            marks.append("overlap")
        result.append(segment.model_copy(update={"marks": (*segment.marks, *marks)}) if marks else segment)
    return tuple(result)


def loops(texts: Sequence[str]) -> set[int]:
    """The indexes of words that repeat the words before them more often than people do.

    One word eight times, two words five times, a phrase of three to twelve words three times: "no, no, no, no"
    is speech, a sentence said three times on end is not.
    """
    words = [bare(text) for text in texts]
    found: set[int] = set()
    for period in range(1, LOOP_MAX_WORDS + 1):
        least = {1: 8, 2: 5}.get(period, 3)
        for start, end in _runs(words, period):
            if end - start >= least * period:
                found.update(range(start, end))
    return found


def compression_ratio(text: str) -> float:
    """How much shorter zlib makes a text, as Whisper measures it; above COMPRESSION_RATIO it repeats itself."""
    content = text.encode()
    return len(content) / len(zlib.compress(content)) if content else 0.0


def bare(text: str) -> str:
    """Letters and digits in lower case, single spaces between words."""
    spaced = re.sub(r"[-.\s]+", " ", text.lower())
    return "".join(letter for letter in spaced if letter.isalnum() or letter == " ").strip()


def _runs(words: Sequence[str], period: int) -> Iterator[tuple[int, int]]:
    """Maximal stretches in which each word equals the one `period` words before it, the first round counted in."""
    start = 0
    for index in range(period, len(words) + 1):
        if index == len(words) or words[index] != words[index - period]:
            yield start, index
            start = index + 1 - period


def _passage_of(segment: Segment, passages: Sequence[Passage]) -> Passage:
    """The passage that holds the segment's first word, or the nearest one."""
    at = segment.words[0].span.middle

    def distance(passage: Passage) -> float:
        if not passage.words:
            return float("inf")
        return max(passage.words[0].span.start - at, at - passage.words[-1].span.end, 0.0)

    return min(passages, key=distance)


def _is_silent(segment: Segment, passage: Passage, voices: Sequence[Span]) -> bool:
    if passage.no_speech > NO_SPEECH and passage.log_probability < LOG_PROBABILITY:
        return True
    return sum(segment.span.overlap(voice) for voice in voices) < UNHEARD * segment.span.seconds


def _is_made_up(segment: Segment, *, silent: bool) -> bool:
    text = bare(segment.text)
    if _CREDITS.search(text):
        return True
    if len(text) >= CRAMMED_CHARACTERS and len(text) > CHARACTERS_A_SECOND * segment.span.seconds:
        return True
    sure = sum(word.probability for word in segment.words) / len(segment.words)
    return text in _OUTROS and (silent or sure < DOUBTFUL_PROBABILITY)
