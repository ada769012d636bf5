"""The first of several models that can be opened here, so that a step works on a laptop and better on a GPU host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.engine.work import Workspace
from pipeline.models import hub
from pipeline.models.vlm import Vlm
from pipeline.schemas.weights import Choice

CPU_BYTES = 6e9
"""Longer weights are not opened without a GPU: a clip would take minutes to look at (3 billion parameters)."""


def opened(work: Workspace, choices: Sequence[Choice]) -> Vlm | None:
    """The first of `choices` that can be opened, kept for the worker's next job; None for the choice "none".

    Each that cannot be is told in the log with the reason. What the model's items are made of, for the memo, must hold
    its `name` and `revision`, which also belong in the record: another model's answers are other answers. Raises
    ValueError with all reasons where none can be opened.
    """
    from pipeline.models import vlm_openai, vlm_transformers

    reasons: list[str] = []
    for choice in choices:
        if choice.backend == "none":
            work.log("goes on without a model")
            return None
        try:
            if choice.backend == "openai":
                vlm: Vlm = work.model(vlm_openai.served, choice, work.services)
            else:
                folder = _folder(choice, work)
                name = choice.repository() or folder.name
                vlm = work.model(vlm_transformers.load, str(folder), name, choice.revision, _device(name, folder))
        except ValueError as error:
            reasons.append(f"{choice.model}: {error}")
            work.log(f"{choice.model} cannot be used: {error}")
            continue
        perceives = " and ".join([*(["sees"] if vlm.sees else []), *(["hears"] if vlm.hears else [])])
        work.log(f"{vlm.name} at {vlm.revision[:20]} answers; it {perceives or 'reads only'}")
        for note in vlm.notes:
            work.log(note)
        return vlm
    if not reasons:
        raise ValueError('no model is named: name one, or "none"')
    raise ValueError("no model can be used; " + "; ".join(reasons))


def _folder(choice: Choice, work: Workspace) -> Path:
    """Where the weights lie; those of the hub are downloaded."""
    if (name := choice.folder()) is not None:
        folder = Path(work.services.place(name))
        if not (folder / "config.json").is_file() or choice.revision is None:
            raise ValueError(f"there is no model in {folder}: name a folder with config.json and weights")
        return folder
    if choice.revision is None:
        raise ValueError(
            "it is not pinned, and the model hub could not be asked: connect to it once and run again, or name a"
            " revision"
        )
    return hub.files_of(choice.model, choice.revision, work.log)


def _device(name: str, folder: Path) -> str:
    import torch

    if torch.cuda.is_available():
        return "auto"
    if (size := hub.size_bytes(folder)) > CPU_BYTES:
        raise ValueError(
            f"{name} has {size / 1e9:.0f} GB of weights and this machine no GPU: run it on a GPU host, or name a model"
            " server"
        )
    return "cpu"
