"""What Wan2.1 is asked to make again and again while it is trained: clips' captions, and prompts of the users' own."""

from collections.abc import Sequence

from pipeline.engine.records import File, Record
from pipeline.models.material import prompt, stem
from pipeline.models.wan21_encoding import Encoded
from pipeline.schemas.datasets import Sample


class Prompt(Record):
    """A video's text and size, with the text's embedding. `of` is the clip whose caption it is, or empty."""

    text: str
    embedding: File
    of: str
    num_frames: int
    width: int
    height: int


def of_clips(clips: Sequence[Encoded], trigger: str) -> list[Prompt]:
    """Their captions, each to be made in its clip's size."""
    return [
        _like(each.sample, prompt(each.sample.caption, trigger), each.embedding, stem(each.sample)) for each in clips
    ]


def of_users(texts: Sequence[tuple[str, File]], like: Sample) -> list[Prompt]:
    """Prompts with their embeddings; they get the size of `like`."""
    return [_like(like, text, embedding, "") for text, embedding in texts]


def _like(clip: Sample, text: str, embedding: File, of: str) -> Prompt:
    size = {name: getattr(clip, name) for name in ("num_frames", "width", "height")}
    return Prompt(text=text, embedding=embedding, of=of, **size)
