"""The reviewed transcript as subtitles: two lines of 42 characters at most, the speaker as a VTT voice."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

from pipeline.schemas.timeline import Segment, Word

LINE_CHARACTERS = 42
LINES = 2
"""Netflix Timed Text Style Guide, General Requirements."""

_BRACES = str.maketrans("{}", "()")
_ANGLES = str.maketrans("<>", "()")
"""What would be taken for tags: braces by the library, angles by players of SRT, which knows no way to write them."""


def write(segments: Sequence[Segment], names: Mapping[str, str], srt: Path, vtt: Path) -> None:
    """Write both files; `names` are the characters' by id. Nobody's name stands at a line whose speaker is unknown."""
    import pysubs2

    plain, voiced = pysubs2.SSAFile(), pysubs2.SSAFile()
    for segment in segments:
        for words in cues(segment.words):
            start, end = round(words[0].span.start * 1000), round(max(word.span.end for word in words) * 1000)
            lines = [line.translate(_BRACES) for line in _lines(words)]
            plain.append(
                pysubs2.SSAEvent(start=start, end=end, text=r"\N".join(line.translate(_ANGLES) for line in lines))
            )
            name = names.get(segment.speaker or "", "")
            voice = f"<v {escape(name, quote=False)}>" if name else ""
            text = voice + r"\N".join(escape(line, quote=False) for line in lines)
            voiced.append(pysubs2.SSAEvent(start=start, end=end, text=text))
    plain.save(str(srt), format_="srt")
    voiced.save(str(vtt), format_="vtt")


def cues(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """`words` in runs that fit on the screen at once."""
    start = 0
    for index in range(1, len(words) + 1):
        if index == len(words) or len(_lines(words[start : index + 1])) > LINES:
            yield words[start:index]
            start = index


def _lines(words: Sequence[Word]) -> list[str]:
    return textwrap.wrap(
        " ".join(word.text for word in words), LINE_CHARACTERS, break_long_words=False, break_on_hyphens=False
    )
