"""From what a model wrote to an object that fits a JSON schema, or the reason in words why there is none.

Models think aloud first, fence their answer, talk around it, answer twice, stop in the middle, and write almost-JSON.
Nothing here raises on any text. What is mended is mended without guessing: a value that was cut off, or that no plain
change of type makes fit, is a problem and never a value.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

MAX_STARTS = 32
"""So many braces are tried as the start of the answer, which bounds the work on text that is nothing but braces."""

_OPENING = re.compile(r"\s*(<think(?:ing)?>|\[THINK\])", re.IGNORECASE)
_CLOSING = re.compile(r"</think(?:ing)?>|\[/THINK\]", re.IGNORECASE)
# A code point of these is no text: C0 and C1 controls except tab and newline, and halves of surrogate pairs.
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMBER = re.compile(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")


@dataclass(frozen=True, slots=True)
class Parsed:
    """`data` fits the schema; where it is None, `problem` says why, in words that the model can be shown."""

    data: dict[str, Any] | None
    problem: str = ""


def parse(text: str, schema: Mapping[str, Any]) -> Parsed:
    """The first object in `text` that fits `schema` (an object's); drafts in a think block are no answers."""
    validator = _validator(json.dumps(schema, sort_keys=True))
    problems: list[str] = []
    for region in _regions(text):
        for candidate in _objects(region):
            if isinstance(candidate, str):
                problems.append(candidate)
                continue
            data = _eased(candidate, schema, schema)
            if not (problem := _misfit(validator, data)):
                return Parsed(data)
            problems.append(problem)
    return Parsed(None, problems[0] if problems else _nothing(text))


def again(problem: str, schema: Mapping[str, Any]) -> str:
    """What to tell a model whose answer could not be read. It holds the schema, which not every server enforces."""
    wanted = json.dumps(schema, ensure_ascii=False, separators=(",", ":"))
    return f"That answer cannot be used: {problem}. Answer with one JSON object and nothing else. Its schema: {wanted}"


def _nothing(text: str) -> str:
    if not text.strip():
        return "the answer is empty"
    if _OPENING.match(text) and not _CLOSING.search(text):
        return "the answer ends while still thinking"
    return "there is no JSON object in the answer"


def _regions(text: str) -> Iterator[str]:
    """Where an answer may stand: behind the thoughts; everywhere, if there are none but the word stands in a value."""
    opening, closing = _OPENING.match(text), _CLOSING.search(text)
    if closing:
        yield text[closing.end() :]
    if not opening and (not closing or text.lstrip().startswith(("{", "[", "`"))):
        yield text


def _objects(text: str) -> Iterator[dict[str, Any] | str]:
    """The objects in `text`, outermost only, in order; a string says what is wrong with one that cannot be read."""
    position = 0
    for _ in range(MAX_STARTS):
        start = text.find("{", position)
        if start < 0:
            return
        try:
            value, position = _DECODER.raw_decode(text, start)
            yield _cleaned(value)
            continue
        except (ValueError, RecursionError):
            pass
        end = _end_of(text, start)
        yield _repaired(text[start:end])
        # What lies inside a broken object is a part of it, not an answer of its own.
        position = end


def _constant(_: str) -> None:
    """NaN and infinities are JavaScript, not JSON; null is what they mean here."""


_DECODER = json.JSONDecoder(strict=False, parse_constant=_constant)


def _end_of(text: str, start: int) -> int:
    """Behind the brace that closes the one at `start`, quotes aside because broken JSON breaks them; or the end."""
    depth = 0
    for index in range(start, len(text)):
        depth += (text[index] == "{") - (text[index] == "}")
        if depth == 0:
            return index + 1
    return len(text)


def _repaired(text: str) -> dict[str, Any] | str:
    import json_repair

    text = text.rstrip().removesuffix("```").rstrip()
    try:
        value = json_repair.loads(text, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, TypeError, AttributeError) as error:
        # The library promises no particular errors on text that is nothing like JSON.
        return f"the answer is not JSON ({type(error).__name__})"
    if isinstance(value, list):
        value = next((each for each in value if isinstance(each, dict)), None)
    if not isinstance(value, dict) or not value:
        return "the answer is not JSON"
    value = {str(name): _cleaned(each) for name, each in value.items()}
    if text.endswith("}") and _end_of(text, 0) == len(text) and text.count("{") == text.count("}"):
        return value
    last = next(reversed(value))
    if not _ends_a_value(text):
        # Nobody knows how the last value would have gone on.
        value = {name: each for name, each in value.items() if name != last}
        if not value:
            return f"the answer is cut off in {last!r}"
    return value


def _ends_a_value(text: str) -> bool:
    """Whether `text`, an object that may lack its closing brace, ends where one of its own values does."""
    depth, quoted, escaped = 0, False, False
    for letter in text:
        if quoted:
            quoted = escaped or letter != '"'
            escaped = not escaped and letter == "\\"
        elif letter == '"':
            quoted = True
        else:
            depth += (letter in "{[") - (letter in "}]")
    # A number may have had more digits, a string after a colon or comma may just have begun.
    whole = depth == 1 and bool(re.search(r'(?:[^:,{\s]\s*"|[\]}]|true|false|null)$', text))
    return not quoted and (depth <= 0 or whole)


def _cleaned(value: Any) -> Any:
    """Without what neither JSON nor a subtitle can hold: numbers that are none, control characters in texts."""
    if isinstance(value, dict):
        return {_UNPRINTABLE.sub(" ", str(name)): _cleaned(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, str):
        return _UNPRINTABLE.sub(" ", value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _eased(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """`value` with what can be put right without loss: a number in quotes, 3.0 for 3, a choice in other capitals,
    keys that nobody asked for.
    """
    schema = _resolved(schema, root)
    if isinstance(value, dict) and "properties" in schema:
        known = schema["properties"]
        return {
            name: _eased(each, known[name], root) if name in known else each
            for name, each in value.items()
            if name in known or schema.get("additionalProperties") is not False
        }
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return [_eased(each, schema["items"], root) for each in value]
    kind, choices = schema.get("type"), schema.get("enum", ())
    if isinstance(value, str) and value not in choices:
        same = [each for each in choices if isinstance(each, str) and each.casefold() == value.strip().casefold()]
        numbers = kind in ("number", "integer") or any(isinstance(each, int | float) for each in choices)
        if len(same) == 1:
            return same[0]
        if numbers and len(value) < 64 and _NUMBER.fullmatch(value) and math.isfinite(float(value)):
            value = float(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a `$ref` of pydantic's points to (`#/$defs/Name`); `schema` itself where there is none."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    found: Mapping[str, Any] = root.get("$defs", {}).get(name, schema)
    return found


@lru_cache(maxsize=64)
def _validator(schema: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema))


def _misfit(validator: "Draft202012Validator", data: Any) -> str:
    from jsonschema.exceptions import best_match

    error = best_match(validator.iter_errors(data))
    if error is None:
        return ""
    where = ".".join(str(each) for each in error.absolute_path)
    return f"{where}: {error.message}"[:300] if where else error.message[:300]
