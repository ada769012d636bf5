"""The Dockerfile against the rest of the repository; building it needs a Docker engine, which tests do without."""

import re
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

from pipeline.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n\s*", "", TEXT).splitlines()
    if line.strip() and not line.startswith("#")
]


def instructions(name):
    return [rest for word, rest in LINES if word == name]


def test_its_python_is_one_that_the_project_supports():
    (image,) = instructions("FROM")
    version = re.fullmatch(r"python:(\d+\.\d+)-slim-\w+", image).group(1)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(f"{version}.0")


def test_what_it_copies_and_calls_exists():
    for copy in instructions("COPY"):
        *sources, _ = [word for word in copy.split() if not word.startswith("--")]
        assert all((ROOT / source).exists() for source in sources), copy
    for script in re.findall(r"python (scripts/\S+)", TEXT):
        assert (ROOT / script).is_file()


def test_environments_are_made_before_the_code_is_copied():
    words = [f"{word} {rest}" for word, rest in LINES]
    lock = words.index("RUN python scripts/setup.py --cache-only")
    code = words.index("COPY --chown=dailies . .")
    assert lock < code
    assert any("requirements.lock" in line and "requirements-label-studio.lock" in line for line in words[:lock])


def test_nothing_runs_as_root_at_the_end():
    assert instructions("USER")[-1] == "dailies"


def test_it_exposes_the_ports_that_are_listened_on_and_starts_dailies():
    fields = Settings.model_fields
    ports = {fields["panel_port"].default, fields["label_studio_port"].default}
    assert {int(port) for port in instructions("EXPOSE")[0].split()} == ports
    assert instructions("ENTRYPOINT") == ['["dailies"]']
    assert instructions("VOLUME") == instructions("WORKDIR")[-1:]


def test_its_settings_have_the_names_that_settings_read():
    for name in re.findall(r"DAILIES_(\w+)=", TEXT):
        assert name.lower() in Settings.model_fields
