"""The model hub: which commit a name means now, and the files of a commit. Everything it says no to has a remedy."""

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

NEEDLESS = ("*.gguf", "*.onnx", "onnx/*", "original/*", "*.pth", "*.pt", "*.msgpack", "*.h5", "*.ot", "*.mlmodel")
"""Weights once more for other programs; some repositories hold three times what is needed."""

INDEX = "model_index.json"
"""What a repository in diffusers' layout has at its root: its components, each of which is a folder."""

ASK_SECONDS = 10.0


class UnknownModelError(ValueError):
    """The hub answers, and has no such model, or not for this person."""


def newest(repository: str, revision: str = "main") -> str:
    """The commit that a branch or tag of a model is now. Raises ValueError where the hub does not say."""
    from huggingface_hub import HfApi

    with _remedies(repository, revision):
        found = HfApi().model_info(repository, revision=revision, timeout=ASK_SECONDS).sha
    if not found:
        raise ValueError(f"the model hub does not say at which commit {repository} is")
    return str(found)


def commit_of(repository: str, revision: str = "main") -> str:
    """`newest`, or where the hub cannot be asked, what it was when its files were last downloaded to this machine."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return newest(repository, revision)
    except ValueError as error:
        if isinstance(error, UnknownModelError):
            raise
        try:
            return Path(snapshot_download(repository, revision=revision, local_files_only=True)).name
        except (LocalEntryNotFoundError, ValueError, OSError):
            raise error from error.__cause__


def files_of(repository: str, revision: str, log: Callable[[str], None] = lambda _: None) -> Path:
    """The folder with a commit's files, in the hub's own cache; what is there already is not asked for again.

    `revision` must be a commit. Raises ValueError where they cannot be had.
    """
    folder = _snapshot(repository, revision, _whole, None, log)
    if not _whole(folder):
        raise ValueError(f"{repository} at {revision} is no model that can be loaded: it lacks config.json or weights")
    return folder


def pipeline_of(
    repository: str, revision: str, wanted: Collection[str], log: Callable[[str], None] = lambda _: None
) -> Path:
    """As `files_of`, for a repository in diffusers' layout, of which only the components `wanted` are downloaded.

    Such a repository is the weights of many models, in several forms: LTX-2's is ten times what one step reads.
    """
    folder = _snapshot(
        repository,
        revision,
        lambda folder: not lacking(folder, wanted),
        [INDEX, *(f"{component}/*" for component in sorted(wanted))],
        log,
    )
    if missing := lacking(folder, wanted):
        raise ValueError(
            f"{repository} at {revision} is no model in diffusers' layout that can be loaded: it lacks {missing}"
        )
    return folder


def lacking(folder: Path, wanted: Collection[str]) -> str:
    """What a folder in diffusers' layout has not, or not whole, of the components `wanted`; "" where all is there."""
    if not (folder / INDEX).is_file():
        return INDEX
    return ", ".join(component for component in wanted if not _whole_component(folder / component))


def _snapshot(
    repository: str,
    revision: str,
    whole: Callable[[Path], bool],
    only: list[str] | None,
    log: Callable[[str], None],
) -> Path:
    """A commit's files from the hub's cache where that is `whole`, else from the hub: those that match `only`."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    with _remedies(repository, revision):
        try:
            folder = Path(snapshot_download(repository, revision=revision, local_files_only=True))
            if whole(folder):
                return folder
        except (LocalEntryNotFoundError, OSError):
            pass
        log(f"downloading {repository} at {revision[:12]} from the model hub")
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=only, ignore_patterns=list(NEEDLESS))
        )


def _whole_component(folder: Path) -> bool:
    """Models have config.json and weights; tokenizers and schedulers only their own small files."""
    if (folder / "config.json").is_file():
        return _whole(folder)
    return any((folder / name).is_file() for name in ("tokenizer_config.json", "scheduler_config.json"))


def _whole(folder: Path) -> bool:
    """Whether every file of weights is there: a download may have been broken off."""
    if not (folder / "config.json").is_file():
        return False
    indexes = list(folder.glob("*.index.json"))
    named = {name for index in indexes for name in json.loads(index.read_text())["weight_map"].values()}
    return all((folder / name).is_file() for name in named) if named else any(_weights(folder))


def _weights(folder: Path) -> Iterator[Path]:
    yield from folder.glob("*.safetensors")
    yield from folder.glob("*.bin")


def size_bytes(folder: Path) -> int:
    """How long the weights in a folder are, together."""
    return sum(path.stat().st_size for path in _weights(folder))


@contextmanager
def _remedies(repository: str, revision: str) -> Iterator[None]:
    """The hub's errors as ValueErrors that say what to do."""
    import errno

    import httpx
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        yield
    except GatedRepoError as error:
        problem = "must be asked for: accept its licence on its page, then log in (`hf auth login`, or HF_TOKEN)"
        raise UnknownModelError(f"the model {repository} {problem}") from error
    except RepositoryNotFoundError as error:
        problem = "check its name, or log in if it is private (`hf auth login`, or HF_TOKEN)"
        raise UnknownModelError(f"the model hub has no model {repository}: {problem}") from error
    except RevisionNotFoundError as error:
        raise UnknownModelError(f"the model {repository} has no revision {revision!r} on the hub") from error
    except HFValidationError as error:
        raise UnknownModelError(f"{repository!r} is no name on the model hub; a folder begins with / or ./") from error
    except (OSError, httpx.HTTPError) as error:  # A network, an answer, or a disk.
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ValueError(
            f"the model hub cannot be asked for {repository} ({_reason(error)}): connect to it once, or name a"
            " `revision` whose files are on this machine, or a folder that holds the model"
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
