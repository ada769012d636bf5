"""Spoken lines inside a caption: found, replaced, taken out, with all other words left byte for byte.

A caption is also what a person edited, so a quote is looked for by its text between quotation marks of any
shape, first where the order of the quotes says, then anywhere.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from pipeline.schemas.captions import Caption, Quote

Place = tuple[int, int]
"""From and up to which character."""

_OPEN, _CLOSE = "[\"'“„«‘]", "[\"'”“»’]"
_QUOTED = re.compile('"[^"]*"|“[^”]*”|«[^»]*»|„[^“”]*[“”]')
_END = re.compile(rf"[.!?…]+{_CLOSE}{{0,2}}\s+")
_ABBREVIATION = re.compile(r"\b(?:Mr|Mrs|Ms|Mme|Dr|Prof|St|Sgt|Lt|Capt|Col|Gen|Rev|Jr|Sr|vs|[A-Z])$")
_JOINT = re.compile(r"\s*[,;]?\s*(?:(?:and|but|then|while|to which)\s+)*")


def requote(caption: Caption, lines: Mapping[str, Quote | None]) -> Caption:
    """Put `lines` (by segment id) in place of the quotes; None takes out the sentence that carries one.

    A new speaker is named where the sentence named the old one. A quote that cannot be found stays as it was:
    `unmatched` tells it, before and after.
    """
    places = _places(caption)
    text = caption.text
    kept: list[Quote] = []
    gone = [
        place
        for quote, place in zip(caption.quotes, places, strict=True)
        if place and lines.get(quote.segment, quote) is None
    ]
    edits: list[tuple[Place, str]] = []
    for quote, place in zip(caption.quotes, places, strict=True):
        line = lines.get(quote.segment, quote)
        if place is None or line == quote:
            kept.append(quote)
        elif line is not None:
            kept.append(line)
            edits.append((place, line.text))
            if line.speaker != quote.speaker:
                edits += _named(text, places, place, quote.speaker, line.speaker)
    edits += _cuts(text, places, gone)
    for (start, end), new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return caption.model_copy(update={"text": text.rstrip() if gone else text, "quotes": tuple(kept)})


def unmatched(caption: Caption) -> tuple[Quote, ...]:
    """The quotes whose text does not stand between quotation marks in the caption."""
    return tuple(q for q, place in zip(caption.quotes, _places(caption), strict=True) if place is None)


def _places(caption: Caption) -> list[Place | None]:
    """Where each quote's text stands, without its marks."""
    places: list[Place | None] = []
    for quote in caption.quotes:
        hits = re.finditer(f"(?<={_OPEN}){re.escape(quote.text)}(?={_CLOSE})", caption.text)
        free = [hit.span() for hit in hits if hit.span() not in places]
        reached = max((place[1] for place in places if place), default=0)
        places.append(next((place for place in free if place[0] >= reached), free[0] if free else None))
    return places


def _sentences(text: str, quoted: Sequence[Place | None]) -> Iterator[Place]:
    """Sentences, each with the space after it. A full stop within a quote ends none, one at its end may."""
    hidden = [(match.start() + 1, match.end() - 1) for match in _QUOTED.finditer(text)]
    plain = text
    for start, end in [*hidden, *(place for place in quoted if place)]:
        inner = len(plain[start:end].rstrip(".!?…'’"))  # After `"Where is he?"` a sentence may begin.
        plain = plain[:start] + "x" * inner + plain[start + inner :]
    begin = 0
    for stop in _END.finditer(plain):
        goes_on = plain[stop.end() : stop.end() + 1].islower() or _ABBREVIATION.search(plain[begin : stop.start()])
        if goes_on or _is_only_a_quote(text[begin : stop.end()]):
            continue
        yield begin, stop.end()
        begin = stop.end()
    yield begin, len(text)


def _is_only_a_quote(sentence: str) -> bool:
    """Whether the words that say who speaks are still to come: `"Where is he?" Reyes asks.`"""
    return _QUOTED.fullmatch(sentence.strip()) is not None


def _around(text: str, places: Sequence[Place | None], place: Place) -> Place:
    return next((a, b) for a, b in _sentences(text, places) if a <= place[0] < b)


def _named(text: str, places: Sequence[Place | None], place: Place, old: str, new: str) -> Iterator[tuple[Place, str]]:
    """The edit that gives the sentence around `place` its new speaker, if it names the old one."""
    start, end = _around(text, places, place)
    names = [
        match
        for match in re.finditer(rf"(?<!\w){re.escape(old)}(?!\w)", text[start:end], re.IGNORECASE)
        if not any(p and p[0] <= start + match.start() < p[1] for p in places)
    ]
    if names:
        name = min(names, key=lambda match: abs(start + match.start() - place[0]))
        capital = name.group()[:1].isupper() and (not old[:1].isupper() or name.start() == 0)
        yield (start + name.start(), start + name.end()), new[:1].upper() + new[1:] if capital else new


def _cuts(text: str, places: Sequence[Place | None], gone: Sequence[Place]) -> Iterator[tuple[Place, str]]:
    """Edits that take out the sentences of `gone`; only the clause, where a sentence has another quote."""
    for sentence in dict.fromkeys(_around(text, places, place) for place in gone):
        start, end = sentence
        inside = sorted(place for place in places if place and start <= place[0] < end)
        if all(place in gone for place in inside):
            yield sentence, ""
            continue
        lead = next(index for index, place in enumerate(inside) if place not in gone)
        if lead:
            stop = _JOINT.match(text, inside[lead - 1][1] + 1).end()  # type: ignore[union-attr]  # May be empty.
            yield (start, stop + 1), text[stop].upper()
        for index, place in enumerate(inside[lead:], lead):
            if place in gone:
                yield (inside[index - 1][1] + 1, place[1] + 1), ""
