"""A package's captions and clips as files of the tensors that Wan2.1 is trained on, each of them once.

Items are kept by what decides them: another caption is one embedding more, another clip one latent; a step that was
ended goes on at the item it was at. Weights are loaded only where an item is lacking, and one component at a time. How
clips are read is the caller's: `read` is given batches of samples of one shape, and may read ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pipeline.engine.records import File, Record
from pipeline.engine.work import Workspace
from pipeline.models import roundtrip, wan21
from pipeline.models.material import batches, stem
from pipeline.models.memory import in_halves
from pipeline.schemas.datasets import Sample
from pipeline.schemas.training import RoundTrip
from pipeline.schemas.weights import Foundation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ReadPictures: TypeAlias = "Callable[[Sequence[Sequence[Sample]]], Iterator[NDArray[np.uint8]]]"


class Embedding(Record):
    """A safetensors file with `embedding` [L, D] bf16 without padding; `cut_off` counts tokens beyond TEXT_TOKENS."""

    file: File
    cut_off: int


class Latents(Record):
    """A safetensors file with `latents` [C, F, H, W] bf16, normalised."""

    file: File


@dataclass(frozen=True, slots=True)
class Encoded:
    """A sample with its tensors."""

    sample: Sample
    latents: File
    embedding: File

    @property
    def identity(self) -> list[str]:
        """All that training sees of it, and the name that its random numbers are drawn by."""
        return [stem(self.sample), self.latents.digest, self.embedding.digest]


@dataclass(frozen=True, slots=True)
class Encoding:
    """`folder` says where the model's components lie, and fetches them where they are not there yet."""

    work: Workspace
    base: Foundation
    folder: Callable[[], Path]

    def texts(self, texts: Sequence[str]) -> list[Embedding]:
        """Raises nothing for a text that is too long: its end is left out, and said."""

        def make(indexes: Sequence[int]) -> Iterator[Embedding]:
            from safetensors.torch import save_file

            self.work.log(f"embedding {len(indexes)} captions")
            with wan21.text_encoder(self.folder(), self._device()) as embed:
                for index in indexes:
                    one = embed(texts[index])
                    save_file({"embedding": one.embedding_LD}, path := self.work.scratch / "embedding.safetensors")
                    yield Embedding(file=self.work.keep(path), cut_off=one.cut_off)

        items = [[*self._base, text] for text in texts]
        found = self.work.memo(Embedding).fill(items, make, batch=max(1, len(items)))
        for text, one in zip(texts, found, strict=True):
            if one.cut_off:
                self.work.log(f"the last {one.cut_off} tokens of {text[:60]!r} ... are more than the model takes")
        return found

    def pictures(self, samples: Sequence[Sample], batch: int, read: ReadPictures) -> list[Latents]:
        """Latents of each sample; neighbours of one shape go together."""
        import torch
        from safetensors.torch import save_file

        def make(indexes: Sequence[int]) -> Iterator[Latents]:
            self.work.log(f"encoding {len(indexes)} clips")
            alike = list(batches([samples[index] for index in indexes], batch))
            with wan21.video_encoder(self.folder(), self._device()) as encode:
                for found in read(alike):
                    for latents_CFHW in in_halves(encode, torch.from_numpy(found)):
                        path = self.work.scratch / "latents.safetensors"
                        save_file({"latents": latents_CFHW.contiguous()}, path)
                        yield Latents(file=self.work.keep(path))

        items = [[*self._base, sample.video.digest, sample.num_frames] for sample in samples]
        return self.work.memo(Latents).fill(items, make, batch=max(1, len(samples)))

    def checks(
        self, samples: Sequence[Sample], latents: Sequence[Latents], count: int, read: ReadPictures
    ) -> list[RoundTrip]:
        """`count` samples, evenly spread, decoded from their latents and compared with their clips."""
        from safetensors.torch import load_file

        wanted = roundtrip.chosen(len(samples), count)

        def make(indexes: Sequence[int]) -> Iterator[RoundTrip]:
            self.work.log(f"decoding {len(indexes)} latents again")
            again = [wanted[index] for index in indexes]
            clips = (clip for (clip,) in read([[samples[index]] for index in again]))
            stored = (load_file(self.work.open(latents[index].file))["latents"] for index in again)
            with wan21.video_decoder(self.folder(), self._device()) as decode:
                yield from roundtrip.compared([stem(samples[i]) for i in again], clips, stored, decode, self.work.log)

        of = [[stem(samples[index]), samples[index].video.digest, latents[index].file.digest] for index in wanted]
        items = [[*self._base, *each] for each in of]
        return self.work.memo(RoundTrip).fill(items, make, batch=max(1, len(items)))

    @property
    def _base(self) -> list[str | None]:
        return [self.base.profile, self.base.model, self.base.revision]

    def _device(self) -> str:
        import torch

        if torch.cuda.is_available():
            return "cuda"
        if self.base.profile == "full":
            self.work.log("there is no GPU here: the CPU does it, which takes very long")
        return "cpu"
