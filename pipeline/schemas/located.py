"""TOML that people write, checked against a model, with every complaint on the line it is about.

`tomllib` gives the values, `tree-sitter-toml` the lines, pydantic the rules. A complaint reads
`bible.toml:12: character[1].aliases: should be a valid list, but is "Reyes"`.
"""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from tree_sitter import Node

KeyPath = tuple[str | int, ...]
"""Where a value stands: ("character", 1, "aliases", 0); indexes count from 0."""

M = TypeVar("M", bound=BaseModel)

_ALIKE = 60.0  # of 100, fuzz.ratio: "alias" and "aliases" are 83, "looks" and "voice" 20


def load(path: Path, model: type[M]) -> M:
    """Read and check a TOML file. Raises ValueError naming all that is wrong with it, one line each."""
    return parse(read(path, path.name), model, path.name)


def read(path: Path, name: str) -> str:
    """The text of `path`, which people call `name`. Raises ValueError where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: is not UTF-8 text (byte {error.start}): save it as UTF-8") from None


def parse(text: str, model: type[M], name: str) -> M:
    """Check TOML `text`; `name` is what people call the file. Raises ValueError as `load` does."""
    try:
        values = tomllib.loads(text.removeprefix("\ufeff"))  # Windows' Notepad puts it in front.
    except tomllib.TOMLDecodeError as error:
        raise ValueError(_not_toml(str(error), text, name)) from None
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [(_place(e["loc"], values), _complaint(e, model)) for e in error.errors(include_url=False)]
        found.sort(key=lambda item: line_of(text, item[0]))
        raise ValueError("\n".join(dict.fromkeys(at(name, text, *item) for item in found))) from None


def at(name: str, text: str, path: KeyPath, message: str) -> str:
    """One complaint about the value at `path`, with its line."""
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{_spelled(part)}" for part in path)
    return f"{name}:{line_of(text, path)}: {where.lstrip('.') + ': ' if where else ''}{message}"


def line_of(text: str, path: KeyPath) -> int:
    """The line, from 1, on which `path` stands; where it is not there, the line of what should hold it."""
    lines = _lines(text)
    while path not in lines:
        path = path[:-1]
    return lines[path]


@lru_cache(maxsize=8)
def _lines(text: str) -> Mapping[KeyPath, int]:
    """Each key, table and list element of valid TOML with its line."""
    import tree_sitter_toml
    from tree_sitter import Language, Parser

    lines: dict[KeyPath, int] = {(): 1}
    elements: dict[KeyPath, int] = {}  # How many [[name]] headers each list of tables has had.

    def under(prefix: KeyPath, keys: Iterable[str]) -> Iterator[KeyPath]:
        """The paths that dotted `keys` pass; a list of tables on the way means its newest element."""
        for key in keys:
            prefix = (*prefix, key)
            yield prefix
            if prefix in elements:
                prefix = (*prefix, elements[prefix] - 1)

    def visit(node: "Node", prefix: KeyPath) -> None:
        line = node.start_point[0] + 1
        if node.type in ("pair", "table", "table_array_element"):
            key = next(child for child in node.named_children if child.type.endswith("key"))
            for path in under(prefix, _keys(key)):
                lines.setdefault(path, line)
            prefix = path
            if node.type == "table_array_element":
                elements[prefix] = elements.get(prefix, 0) + 1
                prefix = (*prefix, elements[prefix] - 1)
                lines[prefix] = line
        values = [child for child in node.named_children if child.type not in ("comment", "bare_key")]
        for index, child in enumerate(values):
            if node.type == "array":
                lines[*prefix, index] = child.start_point[0] + 1
                visit(child, (*prefix, index))
            else:
                visit(child, prefix)

    visit(Parser(Language(tree_sitter_toml.language())).parse(text.encode()).root_node, ())
    return lines


def _keys(key: "Node") -> Iterator[str]:
    """The parts of a key as TOML reads them, whatever quotes they are in: `a."b c"` -> a, b c."""
    value: Any = tomllib.loads(f"{(key.text or b'').decode()} = 0")
    while isinstance(value, dict):
        ((part, value),) = value.items()
        yield part


def _place(loc: KeyPath, values: object) -> KeyPath:
    """`loc` without what pydantic adds (a union's branch, a mapping's "[key]"); a missing last key stays."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        inside: Any = dict(enumerate(values)) if isinstance(values, list) else values
        if isinstance(inside, dict) and part in inside:
            values = inside[part]
        elif index < len(loc) - 1 or not isinstance(values, dict):
            continue
        path.append(part)
    return tuple(path)


def _complaint(error: "ErrorDetails", model: type[BaseModel]) -> str:
    kind, message = error["type"], error["msg"]
    if kind == "extra_forbidden":
        return unknown(str(error["loc"][-1]), _known(model, error["loc"][:-1]))
    if kind == "missing":
        return f"is missing: add `{error['loc'][-1]} = ...`"
    if kind in ("value_error", "assertion_error"):
        return str(message).partition(", ")[2]
    if kind in ("model_type", "dict_type"):
        message = "should be a table"
    return f"{str(message).removeprefix('Input ')}, but is {_shown(error['input'])}"


def unknown(key: str, known: list[str], kind: str = "key") -> str:
    """What to say of a `key` that is none of the `known` ones."""
    from rapidfuzz import fuzz, process, utils

    near = process.extractOne(key, known, scorer=fuzz.ratio, processor=utils.default_process, score_cutoff=_ALIKE)
    if near:
        return f"there is no such {kind}: did you mean `{near[0]}`?"
    return (
        f"there is no such {kind}: known here are {', '.join(known)}"
        if known
        else f"there is no such {kind}: remove it"
    )


def _known(model: type[BaseModel], loc: KeyPath) -> list[str]:
    """The keys that may stand in the table at `loc`."""
    models = [model]
    for part in loc:
        inner = [
            found
            for m in models
            for name, field in m.model_fields.items()
            if part in (name, field.alias)
            for found in _models_in(field.annotation)
        ]
        models = inner or models  # An index, or the branch of a union: the same tables.
    return [field.alias or name for m in models for name, field in m.model_fields.items()]


def _models_in(hint: object) -> Iterator[type[BaseModel]]:
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield hint
    for argument in get_args(hint):
        yield from _models_in(argument)


def _not_toml(message: str, text: str, name: str) -> str:
    found = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if found is None:
        return f"{name}: is not TOML: {message}"
    what, line, column = found.groups()
    line = line or str(len(text.splitlines()))
    if what.startswith(("Cannot overwrite", "Cannot declare")):
        what += ": it stands there twice"
    return f"{name}:{line}: is not TOML: {what}" + (f" (column {column})" if column else "")


def _spelled(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _shown(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
