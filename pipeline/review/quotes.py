"""What a reviewed clip's caption says in the end, and which lines it quotes. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pipeline.review.lines import Dialogue, plain
from pipeline.schemas.captions import Caption, CaptionAnswer, Quote, TranscriptAnswer
from pipeline.schemas.timeline import Clip, Segment, Span
from pipeline.schemas.wording import bare

Requote: TypeAlias = Callable[[Caption, Mapping[str, Quote | None]], Caption]
"""`pipeline.models.quoting.requote`: replaces the lines that a caption quotes; None takes one out."""

SAME_LINE = 0.6
"""A quotation is a line's if this much of their letters agrees, else it quotes something else (a sign, a letter)."""

UNSEEN = "an unseen voice"
"""How a caption names a speaker whom nobody knows."""

_QUOTED = re.compile('"([^"]+)"|“([^”]+)”|«([^»]+)»|„([^“”]+)[“”]')


def settled(
    clip: Clip,
    caption: Caption,
    answer: TranscriptAnswer | CaptionAnswer | None,
    dialogue: Dialogue,
    names: Mapping[str, str],
    requote: Requote,
) -> Caption:
    """What the clip's caption says in the end."""
    lines = dialogue.heard_in(clip.span)
    if isinstance(answer, CaptionAnswer):
        caption = caption.model_copy(update={"characters": answer.characters})
        if plain(answer.text) != plain(answer.seen):
            quotes = quotes_in(answer.text, lines, caption.quotes, names)
            return caption.model_copy(update={"text": answer.text.strip(), "quotes": quotes})
    heard = {line.id: line for line in lines}
    new: dict[str, Quote | None] = {}
    for quote in caption.quotes:
        if quote.segment in dialogue.touched:
            line = heard.get(quote.segment)
            speaker = "" if quote.segment in dialogue.renamed else quote.speaker
            new[quote.segment] = _quote(line, clip.span, speaker, names) if line else None
    caption = requote(caption, new) if new else caption
    for line in (heard[name] for name in dialogue.added if name in heard):
        added = _quote(line, clip.span, "", names)
        # Only a reviewer heard it, so nobody has described how it is said: it stands at the end, in plain words.
        said = f'{added.speaker[:1].upper()}{added.speaker[1:]} says, "{added.text}"'
        text = f"{caption.text} {said}" if added.text.endswith((".", "?", "!", "…")) else f"{caption.text} {said}."
        caption = caption.model_copy(update={"text": text, "quotes": (*caption.quotes, added)})
    return caption


def quotes_in(
    text: str, lines: Sequence[Segment], before: Iterable[Quote], names: Mapping[str, str]
) -> tuple[Quote, ...]:
    """Which of `lines` stand between quotation marks in `text`, which a person has worded; each once, in order.

    `before` are the quotes of the caption that was edited: a line keeps the way it named its speaker.
    """
    speakers = {quote.segment: quote.speaker for quote in before}
    free = list(lines)
    found = []
    for match in _QUOTED.finditer(text):
        words = next(group for group in match.groups() if group)
        best = max(free, key=lambda line: _agreement(line.text, words), default=None)
        if best is not None and _agreement(best.text, words) >= SAME_LINE:
            free.remove(best)
            speaker = speakers.get(best.id) or names.get(best.speaker or "", UNSEEN)
            found.append(Quote(segment=best.id, speaker=speaker, text=words))
    return tuple(found)


def _quote(line: Segment, clip: Span, speaker: str, names: Mapping[str, str]) -> Quote:
    """The words of `line` that are heard in the clip, as a caption quotes them; "" names the line's own speaker."""
    text = " ".join(word.text for word in line.words if clip.holds(word.span.middle))
    # Double marks would end the quotation.
    text = re.sub('["“”„]', "'", text)
    return Quote(segment=line.id, speaker=speaker or names.get(line.speaker or "", UNSEEN), text=text)


def _agreement(line: str, quoted: str) -> float:
    from rapidfuzz import fuzz

    return fuzz.ratio(bare(line), bare(quoted)) / 100
