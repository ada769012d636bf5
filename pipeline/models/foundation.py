"""The video model that a LoRA is for, as a folder in diffusers' layout: from the hub, from a disk, or made here."""

import inspect
import json
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path

from pipeline.engine import fingerprint
from pipeline.engine.work import Workspace
from pipeline.models import hub
from pipeline.schemas.weights import Foundation

Build = Callable[[Path], None]
"""Writes a small random model of the true architecture into an empty folder, the same bytes every time."""


def folder_of(base: Foundation, work: Workspace, tiny: Build, wanted: Collection[str] = ()) -> Path:
    """Where `model_index.json` and the folders of its components lie; each is loaded by `from_pretrained(subfolder=)`.

    Of a model on the hub only the components `wanted` are downloaded (all where none is named). Raises ValueError with
    the remedy where one of them cannot be had.
    """
    if base.profile == "tiny":
        return _made(work.cache, tiny)
    if base.folder() is not None:
        return _own(base.model, Path(work.services.place(base.model)), wanted)
    if base.revision is None:
        raise ValueError(
            f"{base.model} is not pinned, and the model hub could not be asked: connect to it once and run again, or "
            'name a folder in diffusers\' layout as `model`; `profile = "tiny"` tries everything without weights'
        )
    return hub.pipeline_of(base.model, base.revision, wanted or components(base.model, base.revision), work.log)


def components(repository: str, revision: str) -> list[str]:
    """All components of a model on the hub."""
    return listed(hub.pipeline_of(repository, revision, ()))


def _own(name: str, folder: Path, wanted: Collection[str]) -> Path:
    if not folder.is_dir():
        raise ValueError(f"model {name!r}: there is no folder {folder}")
    if not (folder / hub.INDEX).is_file():
        raise ValueError(
            f"model {name!r}: there is no {hub.INDEX} in {folder}; name a folder in diffusers' layout, with one folder "
            "for each component (Lightricks' and Wan's single files are not read)"
        )
    if missing := hub.lacking(folder, wanted or listed(folder)):
        raise ValueError(f"model {name!r}: {folder} lacks {missing}, or their weights are not whole: copy them again")
    return folder


def listed(folder: Path) -> list[str]:
    """The components that model_index.json names: `"vae": ["diffusers", "AutoencoderKL"]`; [null, null] is none."""
    index = json.loads((folder / hub.INDEX).read_text(encoding="utf-8"))
    return [name for name, each in index.items() if isinstance(each, list) and len(each) == 2 and each[0]]


def _made(cache: Path, build: Build) -> Path:
    """What `build` makes, once. The folder is named by the builder's own text: another text never meets its weights."""
    source = inspect.getsourcefile(build)
    assert source is not None
    target = cache / "weights" / f"{Path(source).stem}-{fingerprint.of_file(Path(source))[:16]}"
    if target.exists():
        return target
    aside = target.with_name(f"{target.name}.{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    build(aside)
    try:
        aside.rename(target)
    except OSError:  # Another process was first, with the same bytes.
        if not target.exists():
            raise
        shutil.rmtree(aside)
    return target
