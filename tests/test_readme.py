"""What the README and its chapters in docs tell people to do is done here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from pipeline.__main__ import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture
def project(tmp_path):
    """A copy of the program, to add a step to; gives a function that calls it."""
    shutil.copytree(ROOT / "pipeline", tmp_path / "project" / "pipeline")

    def dailies(show, *arguments):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "project")}
        command = [sys.executable, "-m", "pipeline", *arguments, "--show", str(show)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)

    return dailies


def add_the_step(dag):
    """Do as the chapter says: write its file, import it, put it into STEPS below what it needs."""
    chapter = (ROOT / "README.md").read_text(encoding="utf-8").partition("### Adding a step\n")[2]
    (dag.parent / "steps" / "step2_loudness.py").write_text(chapter.partition("```python\n")[2].partition("```")[0])
    text = dag.read_text(encoding="utf-8")
    for line, new in [
        ("    step2_bible,\n", "    step2_loudness,\n"),
        ("    step1_scenes.run,\n", "    step2_loudness.run,\n"),
    ]:
        assert line in text
        text = text.replace(line, line + new)
    dag.write_text(text, encoding="utf-8")


def test_the_step_of_the_chapter_on_adding_one_runs_and_is_known_everywhere(project, spies, tmp_path):
    add_the_step(tmp_path / "project" / "pipeline" / "dag.py")
    show = tmp_path / "show"
    (show / "episodes").mkdir(parents=True)
    shutil.copy(spies / "episodes" / "s01e02.mp4", show / "episodes")
    shutil.copytree(spies, show, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".dailies", "generator", "s01e01*"))
    answer = project(show, "run", "step2-loudness", "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["ran"] == [["step1-scenes", "s01e02"], ["step2-loudness", "s01e02"]]
    (made,) = show.glob(".dailies/store/runs/*-spies-s01e02-step2-loudness-1/output.json")
    loudness = json.loads(made.read_text())["shots"]
    assert len(loudness) == 6
    assert all(-60 <= each < 0 for each in loudness)
    assert len(set(loudness)) > 1
    with (show / "show.toml").open("a") as file:
        file.write("\n[steps.step2-loudness]\nfloor_db = 3\n")
    refused = project(show, "status")
    assert refused.returncode == 2
    assert "steps.step2-loudness.floor_db: should be less than 0, but is 3" in refused.stderr


def written():
    """All that stands there as code, inline and in blocks, comments aside."""
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    fence = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
    lines = [line.partition(" #")[0] for block in fence.findall(pages) for line in block.splitlines()]
    return [*lines, *re.findall(r"`([^`\n]+)`", fence.sub("", pages))]


def test_every_command_and_option_that_the_readme_names_exists():
    group = typer.main.get_command(app)
    found, wrong = set(), []
    for code in written():
        for said in re.findall(r"(?<![\w/.-])dailies((?: [^\s|;&]+)+)", code):
            command, words = group, said.split()
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            options = {option for each in command.params for option in (*each.opts, *each.secondary_opts)} | {"--help"}
            unknown = [word for word in words if word.startswith("-") and word not in options]
            # The tables name several at once: "user|log", "…", "ID".
            if command is group or unknown:
                wrong.append((code, unknown))
            found.add(command.name)
    assert wrong == []
    assert {"init", "doctor", "run", "push", "pull", "up", "demo", "adopt"} <= found


def test_every_benchmark_and_make_target_that_the_readme_names_exists():
    said = "\n".join(written())
    benchmarks = set(re.findall(r"python -m benchmarks\.(\w+)", said))
    assert "episode" in benchmarks
    assert [name for name in sorted(benchmarks) if not (ROOT / "benchmarks" / f"{name}.py").is_file()] == []
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z]+)", said, re.MULTILINE)) <= targets


def chapters(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_chapter_that_a_page_links_exists(page):
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, chapter = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        assert not chapter or chapter in chapters(target), link


def test_the_readme_leads_to_every_chapter():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES[1:] if f"](docs/{page.name}" not in readme] == []
