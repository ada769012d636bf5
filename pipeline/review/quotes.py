"""What a reviewed clip's caption says in the end, and which lines it quotes. Pure."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeAlias

from pipeline.review.carry import agreement
from pipeline.review.lines import Dialogue, plain
from pipeline.schemas.captions import Caption, CaptionAnswer, Quote, TranscriptAnswer
from pipeline.schemas.timeline import Clip, Segment, Span
from pipeline.schemas.wording import SOMEONE, quotable

Requote: TypeAlias = Callable[[Caption, Mapping[str, Quote | None]], Caption]
"""`pipeline.models.quoting.requote`: replaces the lines that a caption quotes; None takes one out."""

SAME_LINE = 0.6
"""A quotation is a line's if this much of their letters agrees, else it quotes something else (a sign, a letter)."""

SILENCE = re.compile(
    r"\s*(?:No one speaks|Nobody speaks|There is no dialogue|Not a word is spoken|There is no sound)\.(?=\s|$)"
)
"""Sentences of machine captions that a line heard by a reviewer proves wrong."""

_QUOTED = re.compile('"([^"]+)"|“([^”]+)”|«([^»]+)»|„([^“”]+)[“”]')


def settled(
    clip: Clip,
    caption: Caption,
    answer: TranscriptAnswer | CaptionAnswer | None,
    dialogue: Dialogue,
    names: Mapping[str, str],
    requote: Requote,
) -> Caption:
    """What the clip's caption says in the end: a person's words as they are, but for what they left as the machine
    wrote it. A quote that nobody edited follows its line, so that it cannot keep a name that was corrected there.
    """
    lines = dialogue.heard_in(clip.span)
    heard = {line.id: line for line in lines}
    shown = caption.quotes
    edited = isinstance(answer, CaptionAnswer) and plain(answer.text) != plain(answer.seen)
    if isinstance(answer, CaptionAnswer):
        caption = caption.model_copy(update={"characters": answer.characters})
        if edited:
            quotes = quotes_in(answer.text, lines, shown, names)
            # What a person wrote is the caption; a shorter one by a model would say something else.
            caption = caption.model_copy(update={"text": answer.text.strip(), "quotes": quotes, "short": ""})
    new: dict[str, Quote | None] = {}
    for quote in caption.quotes:
        if quote in shown and quote.segment in dialogue.touched:
            line = heard.get(quote.segment)
            speaker = "" if quote.segment in dialogue.renamed else quote.speaker
            new[quote.segment] = _quote(line, clip.span, speaker, names) if line else None
    caption = requote(caption, new) if new else caption
    for line in () if edited else (heard[name] for name in dialogue.added if name in heard):
        added = _quote(line, clip.span, "", names)
        # Only a reviewer heard it, so nobody has described how it is said: it stands at the end, in plain words.
        said = f'{added.speaker[:1].upper()}{added.speaker[1:]} says, "{added.text}"'
        stop = "" if added.text.endswith((".", "?", "!", "…")) else "."
        text = f"{SILENCE.sub('', caption.text)} {said}{stop}".strip()
        caption = caption.model_copy(update={"text": text, "quotes": (*caption.quotes, added)})
    return caption


def quotes_in(
    text: str, lines: Sequence[Segment], before: Iterable[Quote], names: Mapping[str, str]
) -> tuple[Quote, ...]:
    """What stands between quotation marks in `text`, which a person has worded, as quotes of lines; each line once.

    `before` are the quotes of the caption that was edited: one that still stands there is the same quote, and a line
    keeps the way its speaker was named. Else it is the line of `lines` that is most like it, if one is.
    """
    unused = {quote.segment: quote for quote in before}
    free = {line.id: line for line in lines}
    found = []
    for words in quoted(text):
        same = next((quote for quote in unused.values() if quote.text == words), None)
        if same is None:
            best = max(free.values(), key=lambda line: agreement(line.text, words), default=None)
            if best is None or agreement(best.text, words) < SAME_LINE:
                continue
            known = unused.get(best.id)
            speaker = known.speaker if known else names.get(best.speaker or "", SOMEONE)
            same = Quote(segment=best.id, speaker=speaker, text=words)
        unused.pop(same.segment, None)
        free.pop(same.segment, None)
        found.append(same)
    return tuple(found)


def quoted(text: str) -> list[str]:
    """What stands between quotation marks of any shape."""
    return [next(group for group in match.groups() if group) for match in _QUOTED.finditer(text)]


def _quote(line: Segment, clip: Span, speaker: str, names: Mapping[str, str]) -> Quote:
    """The words of `line` that are heard in the clip, as a caption quotes them; "" names the line's own speaker."""
    text = " ".join(word.text for word in line.words if clip.holds(word.span.middle))
    return Quote(segment=line.id, speaker=speaker or names.get(line.speaker or "", SOMEONE), text=quotable(text))
