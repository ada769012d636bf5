"""A dataset's captions, pictures and sounds as files of tensors, each of them once.

Items are kept by what decides them: another caption is one embedding more, another clip one latent; a step that was
ended goes on at the item it was at. Weights are loaded only where an item is lacking. How clips are read is the
caller's: `Read` is given batches of samples of one shape, and may read ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

from pipeline.engine.records import File, Record
from pipeline.engine.work import Workspace
from pipeline.models import ltx2, ltx2_layout, ltx2_text, roundtrip
from pipeline.models.material import batches as batches_of
from pipeline.models.material import stem
from pipeline.models.memory import in_halves
from pipeline.schemas.datasets import Sample
from pipeline.schemas.training import RoundTrip
from pipeline.schemas.weights import Foundation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Batch: TypeAlias = Sequence[Sample]
ReadPictures: TypeAlias = "Callable[[Sequence[Batch]], Iterator[NDArray[np.uint8]]]"
ReadWaves: TypeAlias = "Callable[[Sequence[Batch], int], Iterator[Sequence[NDArray[np.float32] | None]]]"


WRITERS = 2
"""Threads that write what was made of texts."""

CPU_BYTES = 6e9
"""Longer weights are not opened without a GPU: a clip would take many minutes."""


class Text(Record):
    """One caption's files; `cut_off` counts its tokens beyond what the model takes."""

    conditions: File
    connected: File
    cut_off: int


class Picture(Record):
    latents: File


class Sound(Record):
    """`latents` is None where the clip has no audio track."""

    latents: File | None


@dataclass(frozen=True, slots=True)
class Encoding:
    """`folder` says where the model's components lie, and fetches them where they are not there yet; `models` is what
    loads them: `ltx2`, or for a benchmark what stands for it.
    """

    work: Workspace
    base: Foundation
    folder: Callable[[], Path]
    models: Any = ltx2

    def texts(self, texts: Sequence[str], batch: int) -> list[Text]:
        """Raises nothing for a text that is too long: its end is left out, and said."""

        def make(indexes: Sequence[int]) -> Iterator[Text]:
            self.work.log(f"embedding {len(indexes)} captions")
            batches = [[texts[index] for index in indexes[at : at + batch]] for at in range(0, len(indexes), batch)]
            written: deque[Future[Text]] = deque()
            # 30 MB are written of a text and hashed: meanwhile the next ones are embedded.
            with self.models.text_encoder(*self._place()) as embed, ThreadPoolExecutor(WRITERS) as writers:
                for together in batches:
                    embedded = embed(together)
                    while written:
                        yield written.popleft().result()
                    written.extend(writers.submit(self._written, one) for one in embedded)
                while written:
                    yield written.popleft().result()

        items = [[*self._base, text] for text in texts]
        found = self.work.memo(Text).fill(items, make, batch=max(1, len(items)))
        for text, one in zip(texts, found, strict=True):
            if one.cut_off:
                self.work.log(f"the last {one.cut_off} tokens of {text[:60]!r} ... are more than the model takes")
        return found

    def _written(self, one: ltx2_text.Embedded) -> Text:
        with TemporaryDirectory(dir=self.work.scratch) as folder:
            conditions, connected = (Path(folder) / name for name in ("conditions.pt", "connected.safetensors"))
            ltx2_layout.write_conditions(conditions, one)
            ltx2_layout.write_connected(connected, one)
            return Text(conditions=self.work.keep(conditions), connected=self.work.keep(connected), cut_off=one.cut_off)

    def pictures(self, samples: Sequence[Sample], batch: int, read: ReadPictures) -> list[Picture]:
        """Latents of each sample; neighbours of one shape go together."""
        import torch

        def make(indexes: Sequence[int]) -> Iterator[Picture]:
            self.work.log(f"encoding the pictures of {len(indexes)} clips")
            batches = list(batches_of([samples[index] for index in indexes], batch))
            with self.models.video_encoder(*self._place()) as encode:
                for together, found in zip(batches, read(batches), strict=True):
                    latents = in_halves(encode, torch.from_numpy(found))
                    for sample, one in zip(together, latents, strict=True):
                        path = self._path("latents.pt")
                        ltx2_layout.write_latents(path, one, sample.fps)
                        yield Picture(latents=self.work.keep(path))

        return self.work.memo(Picture).fill(self._clips(samples), make, batch=max(1, len(samples)))

    def sounds(self, samples: Sequence[Sample], batch: int, read: ReadWaves) -> list[Sound]:
        """Latents of each sample's sound, as long as its picture."""
        import numpy as np
        import torch

        def make(indexes: Sequence[int]) -> Iterator[Sound]:
            self.work.log(f"encoding the sound of {len(indexes)} clips")
            batches = list(batches_of([samples[index] for index in indexes], batch))
            with self.models.audio_encoder(*self._place()) as audio:
                for found in read(batches, audio.rate):
                    waves = [each for each in found if each is not None]
                    latents = iter(in_halves(audio.encode, torch.from_numpy(np.stack(waves))) if waves else ())
                    for each in found:
                        if each is None:
                            yield Sound(latents=None)
                            continue
                        path = self._path("audio_latents.pt")
                        ltx2_layout.write_audio_latents(path, next(latents), each.shape[1] / audio.rate)
                        yield Sound(latents=self.work.keep(path))

        return self.work.memo(Sound).fill(self._clips(samples), make, batch=max(1, len(samples)))

    def checks(
        self, samples: Sequence[Sample], latents: Sequence[Picture], count: int, read: ReadPictures
    ) -> list[RoundTrip]:
        """`count` samples, evenly spread, decoded from their latents and compared with their clips."""
        wanted = roundtrip.chosen(len(samples), count)

        def make(indexes: Sequence[int]) -> Iterator[RoundTrip]:
            self.work.log(f"decoding {len(indexes)} latents again")
            again = [wanted[index] for index in indexes]
            clips = (clip for (clip,) in read([[samples[index]] for index in again]))
            stored = (ltx2_layout.read(self.work.open(latents[index].latents))["latents"] for index in again)
            with self.models.video_decoder(*self._place()) as decode:
                yield from roundtrip.compared([stem(samples[i]) for i in again], clips, stored, decode, self.work.log)

        of = [[stem(samples[index]), samples[index].video.digest, latents[index].latents.digest] for index in wanted]
        items = [[*self._base, *each] for each in of]
        return self.work.memo(RoundTrip).fill(items, make, batch=max(1, len(items)))

    @property
    def _base(self) -> list[str | None]:
        return [self.base.profile, self.base.model, self.base.revision]

    def _clips(self, samples: Iterable[Sample]) -> list[list[object]]:
        return [[*self._base, sample.video.digest, sample.num_frames, sample.fps] for sample in samples]

    def _path(self, name: str) -> Path:
        return self.work.scratch / name

    def _place(self) -> tuple[Path, str]:
        """Where the weights lie, and which device they go to. Raises ValueError where that would be in vain."""
        import torch

        folder = self.folder()
        if torch.cuda.is_available():
            return folder, "cuda"
        size_bytes = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
        if size_bytes > CPU_BYTES:
            raise ValueError(
                f"{self.base.model} has {size_bytes / 1e9:.0f} GB of weights and this machine no GPU: run it on a GPU "
                'host, or set `profile = "tiny"` to try everything with small random weights'
            )
        self.work.log("there is no GPU here: the CPU does it")
        return folder, "cpu"
