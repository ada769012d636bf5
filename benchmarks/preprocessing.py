"""How fast clips and captions become what LTX-2 is trained on, and how much of that time the GPU computes.

    python -m benchmarks.preprocessing [--clips 8] [--size 768x448x121] [--video-batch 1] [--text-batch 4]
                                       [--only pictures ...] [--tiny]

The step's own loop, files and all, around LTX-2's text encoder, connectors and VAEs with random weights of full size,
made on the GPU (28 GB); without a GPU, or with --tiny, around the small ones. Clips are read from an H.264 file where
PyAV is there, else synthetic pictures are copied. Loading and warming up are outside. `gpu_share` is the part of the
time in which an encoder was at work on the GPU, measured by its own clock. The last line is JSON.
"""

import argparse
import contextlib
import importlib
import importlib.util
import json
import struct
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import card
from pipeline.engine.store import Store
from pipeline.engine.work import Workspace
from pipeline.media.reading import pictures_ahead, read_ahead
from pipeline.models import ltx2, ltx2_text, tiny_ltx2
from pipeline.models.ltx2_encoding import Encoding
from pipeline.schemas.datasets import Sample
from pipeline.schemas.timeline import Span
from pipeline.schemas.weights import Foundation

FPS = 24
CAPTION_CHARACTERS = 220
"""Tokens of a caption: characters are this tokenizer's tokens, and captions of a paragraph have about so many."""


@dataclass
class Clock:
    """Seconds in which encoders worked: the GPU's own time between a call's begin and end, or the wall's."""

    seconds: float = 0.0

    def timed(self, encode: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def timed(batch: Any) -> Any:
            if not torch.cuda.is_available():
                begin = time.perf_counter()
                found = encode(batch)
                self.seconds += time.perf_counter() - begin
                return found
            cuda: Any = torch.cuda
            first, last = (cuda.Event(enable_timing=True) for _ in range(2))
            first.record()
            found = encode(batch)
            last.record()
            last.synchronize()
            self.seconds += first.elapsed_time(last) / 1000
            return found

        return timed


@dataclass
class Loaded:
    """Stands for `ltx2` in `Encoding`: the same functions around models that are loaded already."""

    device: str
    tiny: bool
    clock: Clock = field(default_factory=Clock)
    made: dict[str, Any] = field(default_factory=dict)

    @contextlib.contextmanager
    def text_encoder(self, *_: object) -> Iterator[ltx2_text.EmbedTexts]:
        tokenizer, gemma, connectors = self._once("text", self._text)
        yield self.clock.timed(ltx2_text.embedding(tokenizer, gemma, connectors, self.device))

    @contextlib.contextmanager
    def video_encoder(self, *_: object) -> Iterator[ltx2.EncodeVideo]:
        yield self.clock.timed(ltx2.encoding(self._once("video", self._video), self.device))

    @contextlib.contextmanager
    def audio_encoder(self, *_: object) -> Iterator[ltx2.AudioEncoder]:
        audio = ltx2.hearing(self._once("audio", self._audio), self.device)
        yield ltx2.AudioEncoder(audio.rate, self.clock.timed(audio.encode))

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in self.made:
            self.made.clear()  # One component at a time, as in the step.
            self.made[name] = make()
        return self.made[name]

    def _text(self) -> Any:
        from transformers import Gemma3Config, Gemma3ForConditionalGeneration

        connectors: Any = importlib.import_module("diffusers.pipelines.ltx2.connectors")

        tokenizer = tiny_ltx2.tokenizer_of_characters()
        if self.tiny:
            with card.made_on(self.device, torch.float32):
                return tokenizer, tiny_ltx2.text_encoder(tokenizer).eval(), tiny_ltx2.connectors().eval()
        # google/gemma-3-12b-it, config.json; its eyes are not asked.
        words = {
            "hidden_size": 3840, "intermediate_size": 15360, "num_hidden_layers": 48, "num_attention_heads": 16,
            "num_key_value_heads": 8, "head_dim": 256, "vocab_size": 262208, "sliding_window": 1024,
            "query_pre_attn_scalar": 256,
        }  # fmt: skip
        eyes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 1}
        with card.made_on(self.device, torch.bfloat16):
            gemma: Any = Gemma3ForConditionalGeneration(Gemma3Config(text_config=words, vision_config=eyes))
            return tokenizer, gemma.eval(), connectors.LTX2TextConnectors(rope_type="split").eval()

    def _video(self) -> Any:
        diffusers: Any = importlib.import_module("diffusers")
        with card.made_on(self.device, torch.float32 if self.tiny else torch.bfloat16):
            if self.tiny:
                return tiny_ltx2.video_vae().eval()
            vae = diffusers.AutoencoderKLLTX2Video(spatial_compression_ratio=32, temporal_compression_ratio=8)
            return vae.eval()

    def _audio(self) -> Any:
        diffusers: Any = importlib.import_module("diffusers")
        with card.made_on(self.device, torch.float32):
            return (tiny_ltx2.audio_vae() if self.tiny else diffusers.AutoencoderKLLTX2Audio()).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--size", help="WIDTHxHEIGHTxFRAMES; 768x448x121 on a GPU")
    parser.add_argument("--video-batch", type=int, default=1)
    parser.add_argument("--audio-batch", type=int, default=8)
    parser.add_argument("--text-batch", type=int, default=4)
    parser.add_argument("--only", choices=["captions", "pictures", "sounds"], nargs="+", help="these components")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tiny = arguments.tiny or device == "cpu"
    size = arguments.size or ("192x128x25" if tiny else "768x448x121")
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), Loaded(device, tiny), arguments, [int(part) for part in size.split("x")])
    print(json.dumps({"preprocessing": {"card": card.name(device), "tiny": tiny, "size": size, **found}}))


def measured(folder: Path, models: Loaded, arguments: argparse.Namespace, size: list[int]) -> dict[str, Any]:
    """For each component, clips (or captions) a minute, the GPU's share of the time, and its peak memory."""
    (folder / "scratch").mkdir()
    work = Workspace(Store(folder / "store"), folder / "scratch", folder / "cache")
    encoding = Encoding(work, Foundation(model="random", profile="tiny"), lambda: folder, models)
    width, height, num_frames = size
    clip, read = material(work, folder, width, height, num_frames)
    random = np.random.default_rng(0)
    noise = (0.1 * random.standard_normal((2, num_frames * 16_000 // FPS))).astype(np.float32)

    def samples(count: int, start: int) -> list[Sample]:
        return [sample(work, clip, start + index, size) for index in range(count)]

    def texts(count: int, start: int) -> list[str]:
        return [f"{start + index:06d} " + "x" * (CAPTION_CHARACTERS - 7) for index in range(count)]

    def waves(batches: Sequence[Sequence[Sample]], _: int) -> Iterator[Sequence[Any]]:
        return read_ahead(batches, lambda batch: [noise] * len(batch))

    stages: dict[str, Callable[[int, int], object]] = {
        "captions": lambda count, start: encoding.texts(texts(count, start), arguments.text_batch),
        "pictures": lambda count, start: encoding.pictures(samples(count, start), arguments.video_batch, read),
        "sounds": lambda count, start: encoding.sounds(samples(count, start), arguments.audio_batch, waves),
    }
    found: dict[str, Any] = {"read": "decoded" if importlib.util.find_spec("av") else "copied"}
    seconds_each = 0.0
    for name, stage in stages.items():
        if arguments.only and name not in arguments.only:
            continue
        stage(2 * getattr(arguments, {"captions": "text_batch", "pictures": "video_batch"}.get(name, "audio_batch")), 0)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        models.clock.seconds, begin = 0.0, time.perf_counter()
        stage(arguments.clips, 1000)
        wall = time.perf_counter() - begin
        seconds_each += wall / arguments.clips
        found[name] = {"a_minute": round(60 * arguments.clips / wall, 1), "gpu_share": models.clock.seconds / wall}
        if torch.cuda.is_available():
            found[name]["peak_gb"] = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        found[name]["gpu_share"] = round(found[name]["gpu_share"], 3)
        print(name, found[name], flush=True)
    return {**found, "clips_per_min": round(60 / seconds_each, 2)}


def material(work: Workspace, folder: Path, width: int, height: int, num_frames: int) -> tuple[bytes, Any]:
    """A clip and what reads it: decoded from H.264, or the same pictures copied."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (num_frames, height // 16, width // 16, 3), dtype=np.uint8)
    pictures = pictures.repeat(16, axis=1).repeat(16, axis=2)
    if importlib.util.find_spec("av") is None:
        return b"", lambda batches: read_ahead(batches, lambda batch: np.stack([pictures] * len(batch)))
    import av

    path = folder / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path.read_bytes(), partial(pictures_ahead, work)


def sample(work: Workspace, clip: bytes, number: int, size: Sequence[int]) -> Sample:
    """One of many clips that differ by a box that no player reads, so that each is an item of its own."""
    path = work.scratch / f"{number}.mp4"
    path.write_bytes(clip + struct.pack(">I4sQ", 16, b"free", number))
    width, height, num_frames = size
    return Sample(
        episode="e", clip=str(number), split="train", window=Span(start=0, end=1), num_frames=num_frames,
        fps=FPS, width=width, height=height, video=work.keep(path), caption="",
    )  # fmt: skip


if __name__ == "__main__":
    main()
