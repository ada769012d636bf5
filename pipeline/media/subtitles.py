"""Subtitles that people made: what is said when, by whom if they say so, without styling and sound descriptions."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.media.video import extract_subtitles, subtitle_tracks
from pipeline.schemas.timeline import Span

if TYPE_CHECKING:
    from pysubs2 import SSAFile

FORMATS = {".srt": "srt", ".vtt": "vtt", ".ass": "ass", ".ssa": "ssa"}
"""Subtitle files that hold text. DVD (.idx, .sub) and Blu-ray (.sup) subtitles are pictures of it."""

_FORCED = frozenset({"forced", "signs", "songs", "foreign"})
_VOICE = re.compile(r"<v(?:\.[^\s>]*)?[ \t]+([^>]*)>")
_TAG = re.compile(r"<[^>]*>")
_PLACED = re.compile(r"\\(?:pos|move|org|i?clip|k|K|kf|ko|p[1-9])")
_DESCRIPTION = re.compile(r"\[[^\]]*\]|\([^)]*\)|（[^）]*）|【[^】]*】|(?<!\S)\*[^*\s][^*]*\*(?!\S)")
_SONG = re.compile(r"[♪♫][^♪♫]*(?:[♪♫]+|$)|^#\s.*#$")
_SAID_BY = re.compile(r"^([^:]{1,40}?)\s*:\s+(?=\S)")
_DASH = re.compile(r"^[-–—‐]\s*(?=\S)")


@dataclass(frozen=True, slots=True)
class Cue:
    """What is said in one go. `voice` is the name that the file gives, None where it gives none."""

    span: Span
    text: str
    voice: str | None = None


@dataclass(frozen=True, slots=True)
class Subtitles:
    """What people wrote: `cues` in order of time, and how many were dropped as no speech, by reason.

    `name` is the file's, or says which track of the video it was; `encoding` is what the file was taken to be in.
    """

    name: str
    cues: tuple[Cue, ...]
    dropped: dict[str, int]
    encoding: str = "utf-8"

    def notes(self, agreement: float, shift: float, speakers: Collection[str]) -> list[str]:
        """What people should know before they trust this text; `speakers` are the show's own names, in lower case."""
        notes = [f"{self.name}: the recogniser heard {agreement:.0%} of its words, {shift:+.1f} s beside its times"]
        if self.dropped:
            left_out = ", ".join(f"{count} x {why}" for why, count in self.dropped.items())
            notes.append(f"{self.name}: left out as no speech: {left_out}")
        if strangers := sorted({cue.voice for cue in self.cues if cue.voice and cue.voice.lower() not in speakers}):
            notes.append(f"{self.name}: names speakers who are not in the bible: {', '.join(strangers)}")
        if self.encoding != "utf-8":
            notes.append(f"{self.name}: is not UTF-8 and was read as {self.encoding}")
        return notes


def find(
    beside: Mapping[str, Path], video: Path, name: str, language: str, scratch: Path, names: Collection[str] = ()
) -> Subtitles | None:
    """The complete subtitles in `language` among the files `beside` the video (name -> path), else inside it.

    `name` is what people call the video. None where there are none; those that are pictures do not count.
    Raises ValueError where the file that fits cannot be read.
    """
    if chosen := best_file(list(beside), Path(name).stem, language):
        return read(beside[chosen], chosen, names)
    for track in subtitle_tracks(video):
        if same_language(track.language, language):
            out = scratch / f"track{track.index}.{'ass' if track.codec in {'ass', 'ssa'} else 'srt'}"
            extract_subtitles(video, track.index, out)
            found = read(out, out.name, names)
            return replace(found, name=f"{name}, subtitle track {track.index}")
    return None


def best_file(names: Sequence[str], stem: str, language: str) -> str | None:
    """Of the subtitle files beside `stem`, the one in `language` that is complete; None where there is none.

    `s01e01.en.vtt` says its language, `s01e01.srt` does not and comes second. A file of another language or with
    forced lines only is never taken. Of equals the first in the alphabet is.
    """
    ranked = [(rank, name) for name in names if (rank := _rank(name, stem, language)) is not None]
    return min(ranked)[1] if ranked else None


def read(path: Path, name: str, names: Collection[str] = ()) -> Subtitles:
    """Read a subtitle file; `names` are people whose name before a colon says who speaks ("Reyes: Here.").

    Raises ValueError where it is no subtitle text, with the remedy.
    """
    ending = Path(name).suffix.lower()
    if ending not in FORMATS:
        raise ValueError(
            f"{name}: subtitles that are pictures (DVD, Blu-ray) or of an unknown format cannot be read; "
            f"convert them to text, one of {' '.join(FORMATS)}"
        )
    text, encoding = _decoded(path.read_bytes(), name)
    known = {each.casefold() for each in names}
    dropped: Counter[str] = Counter()
    cues = _cues(_parsed(text, FORMATS[ending], name), known, dropped)
    in_order = tuple(sorted(cues, key=lambda cue: (cue.span.start, cue.span.end)))
    return Subtitles(name, in_order, dict(sorted(dropped.items())), encoding)


def _rank(name: str, stem: str, language: str) -> int | None:
    path = Path(name)
    if path.suffix.lower() not in FORMATS or not path.stem.startswith(stem):
        return None
    tags = {tag for tag in re.split(r"[^a-z0-9]+", path.stem[len(stem) :].lower()) if tag}
    if tags & _FORCED:
        return None
    if not tags - {"sdh", "cc", "hi", "full"}:
        return 1
    return 0 if tags & {language, *_ALSO.get(language, ())} else None


def same_language(tag: str, language: str) -> bool:
    """Whether a track's language tag ("eng", "en-GB") means `language` ("en"); an unnamed track may."""
    first = re.split(r"[-_]", tag.lower())[0]
    return first in {"", "und", language, *_ALSO.get(language, ())}


# ISO 639-2 codes, both kinds, and the English names that subtitle sites put into file names.
_ALSO = {
    "ar": {"ara", "arabic"}, "cs": {"cze", "ces", "czech"}, "da": {"dan", "danish"}, "de": {"ger", "deu", "german"},
    "el": {"gre", "ell", "greek"}, "en": {"eng", "english"}, "es": {"spa", "spanish"}, "fa": {"per", "fas", "persian"},
    "fi": {"fin", "finnish"}, "fr": {"fre", "fra", "french"}, "he": {"heb", "hebrew"}, "hi": {"hin", "hindi"},
    "hu": {"hun", "hungarian"}, "it": {"ita", "italian"}, "ja": {"jpn", "japanese"}, "ko": {"kor", "korean"},
    "nl": {"dut", "nld", "dutch"}, "no": {"nor", "norwegian"}, "pl": {"pol", "polish"}, "pt": {"por", "portuguese"},
    "ro": {"rum", "ron", "romanian"}, "ru": {"rus", "russian"}, "sv": {"swe", "swedish"}, "tr": {"tur", "turkish"},
    "uk": {"ukr", "ukrainian"}, "vi": {"vie", "vietnamese"}, "zh": {"chi", "zho", "chinese"},
}  # fmt: skip


def _decoded(content: bytes, name: str) -> tuple[str, str]:
    try:
        return content.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        guess = from_bytes(content).best()
        if guess is None:
            raise ValueError(f"{name}: is no text in any known encoding: save it as UTF-8") from None
        return str(guess).removeprefix("\ufeff"), guess.encoding


def _parsed(text: str, format_: str, name: str) -> SSAFile:
    from pysubs2 import SSAFile
    from pysubs2.exceptions import Pysubs2Error

    text = text.replace("\r\n", "\n").replace("\r", "\n")
    try:
        if format_ == "vtt" or text.lstrip().startswith("WEBVTT"):
            subtitles = SSAFile.from_string(_cue_blocks(text), "vtt", keep_html_tags=True)
        else:
            subtitles = SSAFile.from_string(text, format_)
    except (Pysubs2Error, ValueError) as error:
        raise ValueError(
            f"{name}: is no {format_} that can be read ({error}): save it from a subtitle editor"
        ) from error
    if not subtitles.events:
        raise ValueError(f"{name}: there is no subtitle in it: give a complete file, or take it away")
    return subtitles


def _cue_blocks(text: str) -> str:
    """WebVTT without cue identifiers, notes and styles, which pysubs2 takes for text of the cue before them."""
    blocks = (block.split("\n") for block in re.split(r"\n{2,}", text))
    timed = ((lines, next((i for i, line in enumerate(lines) if "-->" in line), None)) for lines in blocks)
    return "WEBVTT\n\n" + "\n\n".join("\n".join(lines[at:]) for lines, at in timed if at is not None)


def _cues(subtitles: SSAFile, known: set[str], dropped: Counter[str]) -> Iterator[Cue]:
    for event in subtitles:
        if event.is_comment or event.is_drawing or _PLACED.search(event.text):
            dropped["sign, drawing or comment"] += 1
        elif event.end <= event.start or event.start < 0:
            dropped["no time"] += 1
        else:
            span = Span(start=event.start / 1000, end=event.end / 1000)
            for voice, text in _utterances(event.plaintext, event.name.strip() or None, known, dropped):
                yield Cue(span, text, voice)


def _utterances(
    raw: str, actor: str | None, known: set[str], dropped: Counter[str]
) -> Iterator[tuple[str | None, str]]:
    """Who says what within one cue: voice spans, and lines that begin with a dash, are one utterance each."""
    pieces = _VOICE.split(raw)
    voices = [actor, *(html.unescape(name).strip() or None for name in pieces[1::2])]
    for voice, piece in zip(voices, pieces[0::2], strict=True):
        plain = html.unescape(_TAG.sub("", piece)).replace("\N{NO-BREAK SPACE}", " ")
        for line in _dashed(plain):
            text, why_not = _speech(line)
            said_by = _SAID_BY.match(text)
            if said_by and (said_by[1].isupper() or said_by[1].casefold() in known):
                yield said_by[1], text[said_by.end() :]
            elif text:
                yield voice, text
            elif why_not:
                dropped[why_not] += 1


def _dashed(text: str) -> Iterator[str]:
    """The utterances of a cue: "- No.\\n- Yes." are two, lines without dashes one."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not any(_DASH.match(line) for line in lines):
        yield " ".join(lines)
        return
    utterance: list[str] = []
    for line in lines:
        if _DASH.match(line) and utterance:
            yield " ".join(utterance)
            utterance = []
        utterance.append(_DASH.sub("", line))
    yield " ".join(utterance)


def _speech(line: str) -> tuple[str, str]:
    """What of a line is spoken, and if nothing is, why not."""
    spoken = _DESCRIPTION.sub(" ", line)
    unsung = _SONG.sub(" ", spoken)
    text = " ".join(unsung.split()).strip()
    if any(letter.isalnum() for letter in text):
        return text, ""
    return "", ("song" if unsung != spoken else "sound description" if spoken != line else "empty" if line else "")
