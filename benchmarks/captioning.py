"""How many clips a minute a model that sees captions in this process, by batch, and what limits it.

    python -m benchmarks.captioning [--batches 1 4 8 16] [--size 448x448x32] [--prompt 700] [--tokens 256]
                                    [--ways ours fixed static loop] [--rounds 3] [--folder FOLDER] [--tiny]

Qwen2.5-VL-7B's architecture with random weights is made on the GPU, written to a folder (17 GB; in memory, if it has
room) and opened by the product's own loader; without a GPU, or with --tiny, a tiny one. Clips are noise of WIDTHx
HEIGHTxFRAMES, prompts are of about so many tokens, a tenth apart at most, so that batches are padded as real ones are;
answers of about so many tokens are held to a grammar. One batch warms up, medians of the others count. `ours` is
the product as it is; `fixed` its own option, a cache of fixed size that is used again from batch to batch; `static`
is transformers' cache of fixed size, as long as each batch, for which it compiles the model; `loop` shows eyes one
window after the other, as transformers does.

Parts of a batch: `prepare` (from frames to tensors, on the processor), `see` (the eyes), `read` (the prompt and the
first token), `write` (every other token), `rest`. `read_mfu` is what eyes and prompt must compute over the card's own
rate of products; `write_bandwidth` is what a token must read, weights and cache once, over the card's own rate of
copies; `write_busy` is the part of a token's time in which kernels ran, by the profiler. Of Dailies' packages it needs
pydantic, jsonschema and xgrammar beside torch and transformers. The last line is JSON.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import card
from benchmarks.captioning_model import FULL, TINY, save
from pipeline.models import vlm_pieces
from pipeline.models.vlm import Reply, Request, Text, Video
from pipeline.models.vlm_transformers import LocalVlm, load

FPS = 4
FRAMING = len('{"caption": ""}')
"""Tokens of an answer beside its text, for each token is one character."""
PROFILED = range(3, 11)
"""Tokens of an answer in whose time the profiler looks at the GPU."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a batch must at least compute and move, by the architecture. Bytes are those of one token of all rows."""

    weights: int
    eyes: int
    layers: int
    width: int
    eyes_width: int
    vocabulary: int
    cache_bytes: int
    weight_bytes: int

    @staticmethod
    def of(model: Any) -> "Work":
        words = model.model.language_model
        text, size = words.config, words.layers[0].self_attn.k_proj.weight.element_size()
        weights = sum(each.numel() for each in words.layers.parameters())
        head = text.hidden_size // text.num_attention_heads
        return Work(
            weights=weights,
            eyes=sum(each.numel() for each in model.model.visual.blocks.parameters()),
            layers=text.num_hidden_layers,
            width=text.hidden_size,
            eyes_width=model.model.visual.config.hidden_size,
            vocabulary=model.lm_head.weight.numel(),
            cache_bytes=2 * text.num_hidden_layers * text.num_key_value_heads * head * size,
            weight_bytes=(weights + model.lm_head.weight.numel()) * size,
        )

    def flops(self, tokens: int, patches: int) -> float:
        """Of one row's eyes and prompt. Windows of the eyes see 64 patches and cost next to nothing: left out."""
        attention = 2 * self.layers * self.width * tokens**2
        return 2 * self.weights * tokens + attention + 2 * self.vocabulary + 2 * self.eyes * patches

    def bytes_read(self, rows: int, tokens: float) -> float:
        """For one more token of each row, `tokens` behind their beginning."""
        return self.weight_bytes + rows * tokens * self.cache_bytes


@dataclass
class Probe:
    """Takes the times of a model's parts while the product asks it. `write_kernels`: seconds of kernels a token."""

    vlm: LocalVlm
    device: str
    parts: dict[str, float] = field(default_factory=dict)
    patches: int = 0
    profiling: bool = False
    write_kernels: float = 0.0
    _tokens: int = 0
    _seen: float = 0.0
    _began: float = 0.0
    _profiler: Any = None

    def __post_init__(self) -> None:
        model, inputs = self.vlm.writer._checkpoint.model, self.vlm.inputs
        changed: Any = inputs
        changed.prepared = self._timed("prepare", inputs.prepared)
        changed.tensors = self._timed("prepare", inputs.tensors)
        model.generate = self._generating(model.generate)
        eyes = model.model.visual
        eyes.forward = self._timed("see", eyes.forward)

    def forget(self) -> None:
        self.parts = dict.fromkeys(("prepare", "see", "read", "write"), 0.0)
        self.patches = 0

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any, **named: Any) -> Any:
            found: list[Any] = []
            self.parts[part] += card.seconds(lambda: found.append(call(*given, **named)), self.device)
            return found[0]

        return timed

    def _generating(self, generate: Callable[..., Any]) -> Callable[..., Any]:
        def generating(**given: Any) -> Any:
            self._tokens, self._seen = 0, self.parts["see"]
            self.patches += len(given["pixel_values_videos"])
            card.done(self.device)
            self._began = time.perf_counter()
            # First among what is called after each forward, and outside of what is compiled.
            found = generate(**{**given, "logits_processor": [self._token, *given["logits_processor"]]})
            card.done(self.device)
            self.parts["write"] += time.perf_counter() - self._began
            return found

        return generating

    def _token(self, _: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self._tokens += 1
        if self._tokens == 1:
            card.done(self.device)
            now = time.perf_counter()
            self.parts["read"] += now - self._began - (self.parts["see"] - self._seen)
            self._began = now
        elif self.profiling and self._tokens == PROFILED.start:
            self._profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
            self._profiler.start()
        elif self._profiler is not None and self._tokens == PROFILED.stop:
            card.done(self.device)
            self._profiler.stop()
            micros = sum(each.self_device_time_total for each in self._profiler.key_averages())
            self.write_kernels, self._profiler = micros / 1e6 / len(PROFILED), None
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--size", help="WIDTHxHEIGHTxFRAMES; 448x448x32 on a GPU")
    parser.add_argument("--prompt", type=int, help="tokens beside the video's; 700 on a GPU")
    parser.add_argument("--tokens", type=int, help="of an answer; 256 on a GPU")
    parser.add_argument("--ways", nargs="+", choices=["ours", "fixed", "static", "loop"], default=["ours"])
    parser.add_argument("--rounds", type=int, default=3, help="timed batches of each size")
    parser.add_argument("--folder", type=Path, help="where the checkpoint is written")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tiny = arguments.tiny or device == "cpu"
    if device == "cpu":
        torch.set_num_threads(1)  # Matrices this small are slower on several.
    size = arguments.size or ("112x112x4" if tiny else "448x448x32")
    arguments.prompt = arguments.prompt or (100 if tiny else 700)
    arguments.tokens = arguments.tokens or (32 if tiny else 256)
    rates = {"tflops": card.matmul_rate(device) / 1e12, "copies_gb_s": card.copy_rate(device) / 1e9}
    print(card.name(device), rates, f"torch {torch.__version__}", flush=True)
    with opened(tiny, device, arguments) as (vlm, load_s):
        print(*vlm.notes, f"opened in {load_s:.1f} s", sep="\n", flush=True)
        probe = Probe(vlm, device)
        batches = []
        for way in arguments.ways:
            model = vlm.writer._checkpoint.model
            vlm.writer.has_fixed_cache = way == "fixed"
            model.generation_config.cache_implementation = "static" if way == "static" else None
            model.model.visual.config._attn_implementation = "sdpa" if way == "loop" else vlm_pieces.NAME
            for rows in arguments.batches:
                try:
                    found = measured(probe, rows, [int(part) for part in size.split("x")], arguments, rates)
                except (RuntimeError, ValueError) as error:  # One way that fails must not lose the others.
                    print(traceback.format_exc()[-3000:], flush=True)
                    found = {"fits": False, "failed": str(error)[:300]}
                batches.append({"way": way, "batch": rows, **found})
                print(json.dumps(batches[-1]), flush=True)
        notes = list(vlm.notes)
    about = {"card": card.name(device), "tiny": tiny, "size": size, "load_s": round(load_s, 1), "notes": notes}
    rates = {name: round(value, 1) for name, value in rates.items()}
    print(json.dumps({"captioning": {**about, **rates, "batches": batches}}))


@contextlib.contextmanager
def opened(tiny: bool, device: str, arguments: argparse.Namespace) -> Iterator[tuple[LocalVlm, float]]:
    """The model as the product opens it, and the seconds that this took."""
    with tempfile.TemporaryDirectory(dir=arguments.folder or roomy(0 if tiny else 20 * 10**9)) as folder:
        save(Path(folder), TINY if tiny else FULL, device)
        if device == "cuda":
            torch.cuda.empty_cache()
        begin = time.perf_counter()
        with load(folder, "random", "1", device, max(arguments.batches), frames=10**4, frame_pixels=10**9) as vlm:
            if not isinstance(vlm, LocalVlm):
                raise TypeError(f"the loader gave a {type(vlm).__name__}: this measures models in this process only")
            yield vlm, time.perf_counter() - begin


def roomy(wanted: int) -> str:
    """The fastest place with room for so many bytes. Raises ValueError where there is none."""
    places = ["/dev/shm", tempfile.gettempdir()] if wanted else [tempfile.gettempdir()]
    for place in places:
        if Path(place).is_dir() and shutil.disk_usage(place).free > wanted:
            return place
    raise ValueError(f"no room for {wanted / 1e9:.0f} GB in {' or '.join(places)}: name a place with --folder")


def measured(
    probe: Probe, rows: int, size: list[int], arguments: argparse.Namespace, rates: dict[str, float]
) -> dict[str, Any]:
    """Figures of batches of `rows`; only how far it got, where the memory does not hold them."""
    vlm, rounds = probe.vlm, []
    vlm.batch_size = rows
    for number in range(-1, arguments.rounds):
        probe.forget()
        asked = requests(rows, size, arguments.prompt, arguments.tokens, seed=number + 1)
        replies: list[Reply] = []
        seconds = card.seconds(partial(_answer, vlm, asked, replies), probe.device)
        if vlm.batch_size < rows:
            return {"fits": False, "halved_to": vlm.batch_size}
        if problems := [reply.problem for reply in replies if reply.problem]:
            raise ValueError(f"the model did not answer as it was asked: {problems[0]}")
        if number >= 0:
            rounds.append({"seconds": seconds, **probe.parts})
    patches = probe.patches // rows
    probe.profiling = probe.device == "cuda"
    if probe.profiling:
        list(vlm.answer(requests(rows, size, arguments.prompt, arguments.tokens, seed=99)))
    probe.profiling = False
    middle = {part: statistics.median(each[part] for each in rounds) for part in rounds[0]}
    seconds, parts = middle["seconds"], {part: middle[part] for part in ("prepare", "see", "read", "write")}
    parts["rest"] = max(0.0, seconds - sum(parts.values()))
    tokens_in, tokens_out = (
        statistics.mean(getattr(reply, name) for reply in replies) for name in ("tokens_in", "tokens_out")
    )
    least = Work.of(vlm.writer._checkpoint.model)
    token = parts["write"] / max(1, *(reply.tokens_out for reply in replies))
    flops = sum(least.flops(reply.tokens_in, patches) for reply in replies)
    mfu = flops / (parts["see"] + parts["read"]) / (rates["tflops"] * 1e12)
    bandwidth = least.bytes_read(rows, tokens_in + tokens_out / 2) / token / (rates["copies_gb_s"] * 1e9)
    busy = probe.write_kernels / token if probe.device == "cuda" else None
    return {
        "fits": True,
        "clips_per_min": round(60 * rows / seconds, 2),
        "seconds": round(seconds, 3),
        "peak_gb": round(max(reply.peak_bytes for reply in replies) / 1e9, 2),
        "tokens_in": round(tokens_in),
        "tokens_out": round(tokens_out),
        "token_ms": round(token * 1000, 2),
        "shares": {part: round(each / seconds, 3) for part, each in parts.items()},
        "read_mfu": round(mfu, 3),
        "write_bandwidth": round(bandwidth, 3),
        "write_busy": None if busy is None else round(busy, 3),
        "limit": limit(parts, bandwidth, busy),
    }


def _answer(vlm: LocalVlm, asked: list[Request], replies: list[Reply]) -> None:
    replies.extend(vlm.answer(asked))


def limit(parts: dict[str, float], bandwidth: float, busy: float | None) -> str:
    """What takes most of a batch's time, and why, in words."""
    most = max(parts, key=parts.__getitem__)
    if most != "write":
        return {
            "prepare": "the processor, which makes tensors of frames",
            "see": "the eyes",
            "read": "reading the prompt",
            "rest": "the processor, around the model",
        }[most]
    if bandwidth > 0.6:
        return "writing: memory, for every token reads all weights and the cache"
    if busy is None:
        return "writing: one token at a time"
    if busy < 0.7:
        return "writing: the processor, which launches kernels slower than the GPU runs them"
    return "writing: kernels that move more than weights and cache"


def requests(rows: int, size: list[int], prompt: int, tokens: int, seed: int) -> list[Request]:
    """One for each row: noise, never zeros, and prompts of up to a tenth less than `prompt` letters."""
    random = np.random.default_rng(1000 * seed + rows)
    width, height, frames = size
    length = max(1, tokens - FRAMING)
    text = {"type": "string", "minLength": length, "maxLength": length}
    schema = {
        "type": "object", "properties": {"caption": text}, "required": ["caption"], "additionalProperties": False,
    }  # fmt: skip
    return [
        Request(
            system="",
            parts=(
                Video(random.integers(0, 256, (frames, height, width, 3), dtype=np.uint8), FPS),
                Text("".join(map(chr, random.integers(97, 123, prompt - row * 37 % max(1, prompt // 10))))),
            ),
            schema=schema,
            measured=("caption",),
            # More than one character takes one token where the model spells it by an escape.
            max_tokens=8 * tokens,
        )
        for row in range(rows)
    ]


if __name__ == "__main__":
    main()
