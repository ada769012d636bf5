"""What LTX-2 is asked to make again and again while it is trained: clips' captions, and prompts of the users' own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.engine.records import File, Record
from pipeline.engine.work import Workspace
from pipeline.models import ltx2, ltx2_layout
from pipeline.schemas.training import Ltx2Encoded
from pipeline.schemas.weights import Foundation


class Prompt(Record):
    """A video's text and size; `words` is the text as the transformer takes it. `of` is the clip whose caption it is,
    or empty.
    """

    text: str
    words: File
    of: str
    num_frames: int
    width: int
    height: int
    fps: float


class Words(Record):
    """A user's own prompt, as the transformer takes it: a safetensors file like `Ltx2Encoded.connected`."""

    file: File


def of_clips(clips: Sequence[Ltx2Encoded]) -> list[Prompt]:
    """Their captions, each to be made in its clip's size."""
    return [_like(each, each.caption, each.connected, each.sample) for each in clips]


def of_users(texts: Sequence[str], work: Workspace, base: Foundation, folder: Path, like: Ltx2Encoded) -> list[Prompt]:
    """Prompts that no dataset has: they are embedded by the model in `folder`, once, and get the size of `like`."""
    items = [[base.model, base.revision, base.profile, text] for text in texts]

    def make(missing: Sequence[int]) -> Iterator[Words]:
        import torch

        with ltx2.text_encoder(folder, "cuda" if torch.cuda.is_available() else "cpu") as embed:
            for index in missing:
                path = work.scratch / f"prompt-{index}.safetensors"
                ltx2_layout.write_connected(path, *embed([texts[index]]))
                yield Words(file=work.keep(path))

    words = work.memo(Words).fill(items, make, batch=max(1, len(items)))
    return [_like(like, text, each.file, "") for text, each in zip(texts, words, strict=True)]


def _like(clip: Ltx2Encoded, text: str, words: File, of: str) -> Prompt:
    size = {name: getattr(clip, name) for name in ("num_frames", "width", "height", "fps")}
    return Prompt(text=text, words=words, of=of, **size)
