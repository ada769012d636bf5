"""Differences as Markdown and HTML that say themselves in signs as well as in colours. Pure."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from html import escape

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|~$:<>&^=])")
_PIECES = re.compile(r"\s+|\w+|[^\w\s]")


def plain(text: str) -> str:
    """`text` as Markdown that shows just these letters: what people and machines wrote is never read as markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def told(text: str) -> str:
    """Our own words with what others said in them: only what stands between backticks is marked, as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    return "".join(f"`{part}`" if number % 2 else plain_piece(part) for number, part in enumerate(parts))


def plain_piece(text: str) -> str:
    """As `plain`, with the blanks at both ends."""
    return _spaced(text, plain(text)) if text.strip() else text


def changed(before: str, after: str) -> str:
    """A line before and after in one, as Markdown: what goes is struck out, what comes is bold."""
    return "".join(_marked(*each) for each in pieces(before, after)).strip()


def flagged(text: str, words: Sequence[str]) -> str:
    """`text` as Markdown, with each of `words` that stands in it bold and on a coloured ground."""
    wanted = sorted({each for each in words if each.strip()}, key=len, reverse=True)
    if not wanted:
        return plain(text)
    parts = re.split("(" + "|".join(rf"(?<!\w){re.escape(each)}(?!\w)" for each in wanted) + ")", text)
    return "".join(
        f":orange-background[**{plain(part)}**]" if number % 2 else plain_piece(part)
        for number, part in enumerate(parts)
    ).strip()


def _marked(kind: str, was: str, now: str) -> str:
    if kind == "equal":
        return _spaced(was, plain(was))
    parts = [f":red[~~{plain(was)}~~]"] if was.strip() else []
    parts += [f":green[**{plain(now)}**]"] if now.strip() else []
    return _spaced(was or now, " ".join(parts))


def _spaced(original: str, marked: str) -> str:
    """`marked` with a blank wherever `original` had one at its ends: signs of Markdown cling to letters."""
    before = " " if original[:1].isspace() else ""
    after = " " if original[-1:].isspace() and original.strip() else ""
    return f"{before}{marked}{after}"


def pieces(before: str, after: str) -> Iterator[tuple[str, str, str]]:
    """(`equal` or what else, was, now): whole words, in order. Differences with only blanks between them are one."""
    was, now = _PIECES.findall(before), _PIECES.findall(after)
    found: list[tuple[str, str, str]] = []
    for tag, a, b, c, d in SequenceMatcher(None, was, now, autojunk=False).get_opcodes():
        old, new = "".join(was[a:b]), "".join(now[c:d])
        after_change = bool(found) and found[-1][0] == "changed"
        same = tag == "equal" and not (after_change and not old.strip())
        if after_change and not same:
            found[-1] = ("changed", found[-1][1] + old, found[-1][2] + new)
        else:
            found.append(("equal" if same else "changed", old, new))
    return iter(found)


def unified(diff: str) -> str:
    """A unified diff as HTML: signs in front, lines gone and come in their colours."""
    rows = []
    for line in diff.splitlines():
        if line.startswith(("---", "+++")):
            continue
        kind = {"+": "come", "-": "gone", "@": "where"}.get(line[:1], "")
        rows.append(f'<div class="{kind}">{escape(line) or "&nbsp;"}</div>')
    return f'<div class="diff">{"".join(rows)}</div>'


def clock(seconds: float) -> str:
    """A moment of an episode: `0:07`, `12:40`, `1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(number: int, one: str, many: str = "") -> str:
    """`1 place`, `3 places`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
