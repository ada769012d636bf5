import json
import tomllib
from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipeline.schemas import located


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str
    aliases: tuple[str, ...] = ()
    kind: Literal["thing", "person"] = "thing"
    size: int | str = 0

    @field_validator("id")
    @classmethod
    def _plain(cls, value: str) -> str:
        if " " in value:
            raise ValueError("has a space in it: use an underscore")
        return value


class Show(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    title: str = ""
    parts: tuple[Part, ...] = Field(default=(), alias="part")
    steps: dict[str, Part] = {}


GOOD = """\
title = "A \\u00e9"
# A comment in between.
[[part]]
id = "one"

[[part]]
id = "two"
aliases = [
  "a",  # first
  "b",
]

[steps."step 1"]
id = "x"
steps = { deep = [1, { er = 2 }] }
a.b = 3
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("title",), 1),
        (("part",), 3),
        (("part", 0), 3),
        (("part", 0, "id"), 4),
        (("part", 1), 6),
        (("part", 1, "aliases"), 8),
        (("part", 1, "aliases", 0), 9),
        (("part", 1, "aliases", 1), 10),
        (("steps",), 13),
        (("steps", "step 1", "id"), 14),
        (("steps", "step 1", "steps", "deep", 1, "er"), 15),
        (("steps", "step 1", "a", "b"), 16),
    ],
)
def test_every_key_and_element_has_its_line(path, line):
    assert located.line_of(GOOD, path) == line


def test_a_key_that_is_not_there_has_the_line_of_the_table_that_should_hold_it():
    assert located.line_of(GOOD, ("part", 1, "looks")) == 6
    assert located.line_of(GOOD, ("nothing", 3, "at all")) == 1


def test_every_value_of_the_bundled_bible_is_found_where_it_is_written(spies):
    text = (spies / "bible.toml").read_text()
    lines = text.splitlines()

    def walk(value, path):
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, (*path, key))
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                walk(inner, (*path, index))
        else:
            assert json.dumps(value, ensure_ascii=False) in lines[located.line_of(text, path) - 1]

    walk(tomllib.loads(text), ())


def test_all_problems_are_told_at_once_in_the_order_of_their_lines(tmp_path):
    path = tmp_path / "show.toml"
    path.write_text(
        'title = 3\n[[part]]\nid = "a b"\nalias = ["x"]\n[[part]]\nkind = "thingy"\naliases = [1]\n'
        '[steps.one]\nid = "s"\nzzzz = 1\n'
    )
    with pytest.raises(ValueError, match=r"^show\.toml:1: ") as caught:
        located.load(path, Show)
    assert str(caught.value).splitlines() == [
        "show.toml:1: title: should be a valid string, but is 3",
        "show.toml:3: part[0].id: has a space in it: use an underscore",
        "show.toml:4: part[0].alias: there is no such key: did you mean `aliases`?",
        "show.toml:5: part[1].id: is missing: add `id = ...`",
        "show.toml:6: part[1].kind: should be 'thing' or 'person', but is \"thingy\"",
        "show.toml:7: part[1].aliases[0]: should be a valid string, but is 1",
        "show.toml:10: steps.one.zzzz: there is no such key: known here are id, aliases, kind, size",
    ]


def test_a_branch_of_a_union_does_not_show_in_the_path():
    with pytest.raises(ValueError, match=r"^x:3: part\[0\]\.size: should be a valid integer, but is \[1\]\nx:3: part"):
        located.parse('[[part]]\nid = "a"\nsize = [1]\n', Show, "x")


def test_a_good_file_loads(tmp_path):
    path = tmp_path / "show.toml"
    path.write_text('[[part]]\nid = "one"\n')
    assert located.load(path, Show) == Show(parts=(Part(id="one"),))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = \n", "show.toml:2: is not TOML: Invalid value (column 5)"),
        ("a = 1\na = 2\n", "show.toml:2: is not TOML: Cannot overwrite a value: it stands there twice (column 6)"),
        ('a = """', "show.toml:1: is not TOML: "),
    ],
)
def test_what_is_not_toml_is_refused_with_its_line(text, said):
    with pytest.raises(ValueError, match="is not TOML") as caught:
        located.parse(text, Show, "show.toml")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_that_is_not_text_are_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="there is no such file"):
        located.load(tmp_path / "none.toml", Show)
    path: Path = tmp_path / "latin.toml"
    path.write_bytes(b'title = "caf\xe9"\n')
    with pytest.raises(ValueError, match=r"latin\.toml: is not UTF-8 text \(byte 12\): save it as UTF-8"):
        located.load(path, Show)
