"""A step's settings as the fields of a form, made from its pydantic model, and what people typed read back. Pure.

Every value has one text or tick in the form that stands for it, so that what nobody touched comes back as it was.
"""

import json
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from pipeline.launching import UNSET, Path_

Kind = Literal["tick", "choice", "whole", "number", "text", "long", "lines"]

LONG = 60
"""Letters; a longer text gets a box of several lines."""

NONE = "–"
"""The choice that stands for no value."""

_LIMITS = {"gt": "more than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}"}


@dataclass(frozen=True, slots=True)
class Field:
    """One setting. `shown` is what its box holds at first, `default` the default in words; `limits` are its bounds.

    `group` is the setting that it is a part of (`speed`), "" for none.
    """

    path: Path_
    kind: Kind
    label: str
    group: str
    help: str
    limits: str
    options: tuple[str, ...]
    shown: Any
    default: str
    is_optional: bool

    @property
    def is_changed(self) -> bool:
        """Whether show.toml has another value than the default."""
        return said(self.shown) != self.default


@dataclass(frozen=True, slots=True)
class Read:
    """What was typed: the `edits` for show.toml, or what is wrong with it, by field (`()`: with all together)."""

    edits: dict[Path_, Any]
    errors: dict[Path_, str]


def fields(config: BaseModel) -> list[Field]:
    """The form of `config`, whose values are those of show.toml."""
    return list(_fields(type(config), config, ()))


def _fields(model: type[BaseModel], config: BaseModel, above: Path_) -> Iterator[Field]:
    default = _defaults(model)
    for name, info in model.model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel) and not isinstance(value, tuple):
            yield from _fields(type(value), value, (*above, name))
            continue
        kind, options, optional = _kind(info, value)
        yield Field(
            path=(*above, name),
            kind=kind,
            label=info.title or name.replace("_", " "),
            group=above[-1] if above else "",
            help=info.description or "",
            limits=", ".join(_limits(info)),
            options=(*((NONE,) if optional and kind == "choice" else ()), *options),
            shown=_shown(value, kind),
            default=said(_shown(default.get(name), kind)),
            is_optional=optional,
        )


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    return {name: info.get_default(call_default_factory=True) for name, info in model.model_fields.items()
            if not info.is_required()}  # fmt: skip


def _kind(info: FieldInfo, value: Any) -> tuple[Kind, tuple[str, ...], bool]:
    """How a setting is asked for, its choices, and whether it may have no value."""
    hint, optional = info.annotation, False
    if get_origin(hint) in (Union, types.UnionType):
        inner = [each for each in get_args(hint) if each is not type(None)]
        optional, hint = len(inner) < len(get_args(hint)), inner[0] if len(inner) == 1 else str
    if hint is bool:
        return "tick", (), optional
    if get_origin(hint) is Literal:
        return "choice", tuple(str(each) for each in get_args(hint)), optional
    if hint is int:
        return "whole", (), optional
    if hint is float:
        return "number", (), optional
    if get_origin(hint) in (tuple, list):
        return "lines", (), optional
    return ("long" if isinstance(value, str) and (len(value) > LONG or "\n" in value) else "text"), (), optional


def _limits(info: FieldInfo) -> Iterator[str]:
    for bound in info.metadata:
        for name, words in _LIMITS.items():
            if (value := getattr(bound, name, None)) is not None:
                yield words.format(f"{value:g}" if isinstance(value, float) else f"{value:,}")


def _shown(value: Any, kind: Kind) -> Any:
    """What a box holds for a value."""
    if kind == "tick":
        return bool(value)
    if kind == "whole":
        return value
    if kind == "lines":
        return "\n".join(_line(each) for each in value or ())
    if value is None:
        return NONE if kind == "choice" else ""
    return f"{value!r}" if isinstance(value, float) else str(value)


def _line(value: Any) -> str:
    """One of several values on a line of its own; what is no plain text is JSON."""
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return value.replace("\n", " ") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def said(shown: Any) -> str:
    """What a box holds, in words; "none" where there is no value."""
    if isinstance(shown, bool):
        return "on" if shown else "off"
    return "none" if shown in (None, "", NONE) else str(shown)


def read(config: BaseModel, of: Sequence[Field], typed: Mapping[Path_, Any]) -> Read:
    """Check what was typed into the fields `of` a form. Untouched fields change nothing."""
    touched = {each.path: _given(each, typed[each.path]) for each in of
               if each.path in typed and typed[each.path] != each.shown}  # fmt: skip
    if not touched:
        return Read({}, {})
    values = config.model_dump(mode="json")
    for path, given in touched.items():
        _set(values, path, given)
    try:
        made = type(config).model_validate(values)
    except ValidationError as error:
        return Read({}, dict(_complaints(error, of)))
    after, default = made.model_dump(mode="json"), _default_values(type(config))
    edits: dict[Path_, Any] = {}
    for path, given in touched.items():
        value = _get(after, path)
        if value == _get(default, path):
            edits[path] = UNSET
        elif value is None:
            return Read({}, {path: "show.toml cannot say that there is none: its default is not none"})
        else:
            # A list keeps the short form in which it was given; anything else is what the model made of it.
            edits[path] = given if isinstance(given, list) else value
    return Read(edits, {})


def _given(of: Field, shown: Any) -> Any:
    """What a box holds, as the model is given it."""
    if of.kind == "lines":
        return [_item(line.strip()) for line in str(shown).splitlines() if line.strip()]
    if shown in (None, NONE) or (shown == "" and of.is_optional):
        return None
    return shown.strip() if of.kind == "number" else shown


def _item(line: str) -> Any:
    if line.startswith(("{", "[")):
        try:
            return json.loads(line)
        except ValueError:
            return line  # The model says what is wrong with it.
    return line


def _complaints(error: ValidationError, of: Sequence[Field]) -> Iterator[tuple[Path_, str]]:
    """Each complaint in words, at the field that it is about."""
    paths = {each.path for each in of}
    for each in error.errors(include_url=False):
        place = tuple(str(part) for part in each["loc"])
        while place and place not in paths:
            place = place[:-1]
        yield place, str(each["msg"]).removeprefix("Value error, ").replace("Input should", "Should")


def _default_values(model: type[BaseModel]) -> dict[str, Any]:
    values = model.model_construct(**_defaults(model)).model_dump(mode="json")
    return {str(name): value for name, value in values.items()}


def _get(values: Mapping[str, Any], path: Path_) -> Any:
    for part in path:
        values = values[part] if isinstance(values, Mapping) and part in values else {}
    return values


def _set(values: dict[str, Any], path: Path_, value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value
