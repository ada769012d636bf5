import importlib.util
import re
import sys

import pytest

from pipeline.engine import code

MODULE = '''"""A module."""
from dataclasses import dataclass
from pydantic import Field
from {package}.lib import helper

@dataclass
class Thing:
    """A thing."""
    size: int = 3
    width: int = Field(default=4, ge=1, title="width, pixels", description="Of the picture.")

def run(x: int) -> int:
    """Runs."""
    y: int = x + 1  # plus one
    return helper.twice(y)
'''


@pytest.fixture
def project(tmp_path, monkeypatch, request):
    """A package with one module and one library file; gives a function from file edits to digests."""
    package = "project_" + re.sub(r"\W", "_", request.node.name)
    root = tmp_path / package
    (root / "lib").mkdir(parents=True)
    (root / "__init__.py").touch()
    (root / "lib" / "__init__.py").touch()
    (root / "lib" / "helper.py").write_text("import json\n\ndef twice(n):\n    return 2 * n\n")
    (root / "lib" / "unused.py").write_text("x = 1\n")
    (root / "other.py").write_text("one = 1\n")
    (root / "more.py").write_text("two = 2\n")
    (root / "step.py").write_text(MODULE.format(package=package))
    monkeypatch.syspath_prepend(str(tmp_path))

    def digests(file=None, old="", new=""):
        if file:
            path = root / file
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        spec = importlib.util.spec_from_file_location(f"{package}.step", root / "step.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module.__name__] = module
        return {name.partition("/")[2]: digest for name, digest in code.digests(module).items()}

    return digests


def test_the_step_and_what_it_imports_are_covered_and_nothing_else(project):
    assert set(project()) == {"step.py", "lib/helper.py"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# plus one", "# add one"),
        ('"""Runs."""', ""),
        ('"""A thing."""', '"""Something."""'),
        ("(x: int) -> int", "(x)"),
        ("y: int = x + 1", "y = (x +\n        1)"),
        ("size: int = 3", "size: int   =   3"),
        ('title="width, pixels", description="Of the picture."', 'description="How wide."'),
    ],
)
def test_what_cannot_change_a_result_does_not_count(project, old, new):
    assert project() == project("step.py", old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [("x + 1", "x + 2"), ("size: int = 3", "size: float = 3"), ("size: int = 3", "size: int = 4"), ("ge=1", "ge=2")],
)
def test_what_can_change_a_result_counts(project, old, new):
    before, after = project(), project("step.py", old, new)
    assert before["step.py"] != after["step.py"]
    assert before["lib/helper.py"] == after["lib/helper.py"]


def test_a_changed_import_is_named_by_its_file(project):
    before, after = project(), project("lib/helper.py", "2 * n", "3 * n")
    assert {name for name in before if before[name] != after[name]} == {"lib/helper.py"}


def test_a_relative_import_is_followed_like_any_other(project):
    project("lib/helper.py", "import json", "from ..other import one\nfrom .unused import x")
    assert set(project("step.py", "import helper", "import helper\nfrom .more import two")) == {
        "step.py",
        "lib/helper.py",
        "lib/unused.py",
        "other.py",
        "more.py",
    }
