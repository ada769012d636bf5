"""Runs that never ran: the events that trainings would have left, with checkpoints and samples in the store."""

import json
import math
import os
import platform
import random
import struct
import subprocess
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pipeline.engine import fingerprint, plan
from pipeline.engine.records import File, Record
from pipeline.engine.store import Run
from pipeline.places import LOCAL
from pipeline.show import Show

CARD = "NVIDIA H100 80GB HBM3"
LTX2, WAN21 = "step5-ltx2-train", "step5-wan21-train"
PROMPTS = (
    "Reyes leans over the diner counter and says, “Nobody moves until the rain stops.” A neon sign hums.",
    "A wide shot of the harbour at night. Pryce walks towards the camera, footsteps on wet planks.",
    "Cohen in close-up, lit from the left, laughs and puts down the telephone.",
)
COLOURS = ("steelblue", "darkolivegreen", "sienna")


class Trained:
    """Writes runs into a show's folder. Everything random comes from `seed`; with `films`, samples can be played."""

    def __init__(self, show: Show, seed: int = 7, *, films: bool = False) -> None:
        self.show, self._seed, self._films = show, seed, films

    def run(self, name: str, events: Sequence[dict[str, Any]]) -> Path:
        """A run's folder with these events; name it as time does."""
        folder = self.show.state / "runs" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        return folder

    def training(
        self,
        name: str,
        *,
        began: float,
        steps: int = 2000,
        upto: int | None = None,
        step: str = LTX2,
        every: int = 250,
        ended: bool = True,
        resumed: int = 0,
        pid: int | None = None,
        by: str = "anna@example.com",
        step_seconds: float = 2.4,
        lr: float = 1e-4,
        samples: bool = True,
        floor: float = 0.30,
        place: str = LOCAL,
        lives: bool = False,
    ) -> Path:
        """A training from `resumed` to `upto` of `steps`; it goes on, or died, where it has not `ended`. An hour of
        this machine's GPU costs 2.50, one of a host's at another `place` 4.00. Where it `lives`, its process is this
        one, however long ago it began.
        """
        upto = steps if upto is None else upto
        told = list(
            self._told(began, steps, upto, step, every, resumed, pid, by, step_seconds, lr, samples, floor, place)
        )
        if lives:  # A run that is older than the process of its number would be somebody else's.
            told[0]["t"] = time.time()
        if ended:
            at = told[-1]["t"] + 4
            about = {"step": step, "unit": "show"}
            told.append({"t": at, "event": "job finished", **about, "seconds": at - began, "made": True})
            told.append({"t": at + 0.1, "event": "finished", "ran": 1, "fresh": 4, "failed": 0, "sampled": 0})
        folder = self.run(name, told)
        config = {"steps": steps, "learning_rate": lr, "rank": 32, "schedule": "constant", "batch_size": 1}
        recipe = {"version": 1, "config": config, "inputs": {}, "code": {}}
        (folder / f"{step}-show.recipe.json").write_text(json.dumps(recipe))
        (folder / f"{step}-show.log").write_text("loading transformer\nattention: cuDNN\ncompiled 48 blocks in 41 s\n")
        return folder

    def launch(self, stamp: str, *, began: float, steps: Sequence[str] = (LTX2,), by: str = "anna@example.com") -> None:
        """A launch from the panel that ended well."""
        key = fingerprint.of_value("launch", list(steps))[:16]
        folder = self.show.state / "jobs" / f"{stamp}-launch.{key}-aaaaaa"
        folder.mkdir(parents=True)
        events: list[dict[str, Any]] = [
            {"t": began, "event": "started", "by": by, "verb": "launch", "about": {"steps": list(steps)}},
            {"t": began + 30, "event": "log", "message": f"{steps[0]} of show: done"},
            {"t": began + 30, "event": "finished", "code": 0},
        ]
        (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))

    def _told(
        self,
        began: float,
        steps: int,
        upto: int,
        step: str,
        every: int,
        resumed: int,
        pid: int | None,
        by: str,
        seconds: float,
        lr: float,
        samples: bool,
        floor: float,
        place: str,
    ) -> Iterator[dict[str, Any]]:
        chance = random.Random(self._seed)
        about: dict[str, Any] = {"step": step, "unit": "show"}
        at = began

        def event(kind: str, **fields: Any) -> dict[str, Any]:
            return {"t": round(at, 3), "event": kind, **about, **fields}

        about, whole = {}, about
        hosts = {place: {"gpus": 1, "price_per_hour": 4.0}} if place != LOCAL else {}
        priced = {"gpu": CARD, "gpu_price": "2.5", "hosts": hosts}
        yield event("started", pid=pid or os.getpid(), host=platform.node(), nodes=5, by=by, **priced)
        about = whole
        yield event("job started", name=f"0a1b-{step}-1", device="cuda", place=place)
        yield event("log", message="base bf16, selective checkpointing, regional compile; estimated 61.2 of 79.1 GiB")
        yield event(
            "planned",
            setting="bf16 base, selective checkpointing, compiled blocks, fused AdamW",
            estimated_bytes=65_700_000_000,
            card=CARD,
            card_bytes=84_900_000_000,
        )
        at += 20
        if resumed:
            yield event("resumed", at_step=resumed)
        else:
            yield event("holdout loss", at_step=0, loss=0.62, bands={"1": 0.9, "5": 0.6, "8": 0.4})
            yield from (event("sampled", **each) for each in (self._samples(0, step) if samples else ()))
        for number in range(resumed + 1, upto + 1):
            at += seconds * chance.uniform(0.97, 1.05)
            fall = floor + 0.42 * math.exp(-number / (steps / 5))
            sigma = chance.random()
            loss = fall * (0.55 + 0.9 * (1 - sigma)) * chance.uniform(0.8, 1.25)
            yield event(
                "metric",
                at_step=number,
                of=steps,
                loss=loss,
                lr=lr * min(1, number / 10),
                grad_norm=chance.uniform(0.2, 0.7),
                step_seconds=seconds * chance.uniform(0.97, 1.05),
                tokens=4290,
                epoch=round(number / 240, 4),
                bands={str(int(sigma * 10)): loss},
                gpu_memory_bytes=int(60.8e9 + chance.uniform(0, 4e8)),
                gpu_use_percent=chance.uniform(93, 100),
            )
            yield event("items", done=number, total=steps)
            if number % every == 0:
                yield event("checkpoint", at_step=number, **self._checkpoint(number))
                over = 0.06 * max(0, number / steps - 0.6)
                held = floor * 1.2 + 0.26 * math.exp(-number / (steps / 6)) + over
                bands = {"1": held * 1.5, "5": held, "8": held * 0.6}
                yield event("holdout loss", at_step=number, loss=held, bands=bands)
                yield from (event("sampled", **each) for each in (self._samples(number, step) if samples else ()))

    def _checkpoint(self, number: int) -> dict[str, Any]:
        made = {}
        with self.show.store.scratch() as scratch:
            head = json.dumps({"a.lora_A.weight": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
            weights, state = scratch / "weights", scratch / "state"
            weights.write_bytes(struct.pack("<Q", len(head)) + head + number.to_bytes(2, "little"))
            with zipfile.ZipFile(state, "w") as archive:
                archive.writestr("state/data.pkl", str(number))
            for key, path, name in (
                ("weights", weights, f"checkpoints/step_{number:05d}.safetensors"),
                ("state", state, f"checkpoints/step_{number:05d}_state.pt"),
            ):
                made[key] = self.show.store.put_file(path, name).model_dump()
        return made

    def _samples(self, number: int, step: str) -> Iterator[dict[str, Any]]:
        for prompt, text in enumerate(PROMPTS):
            video = self._film(number, prompt, sound=step == LTX2)
            values = {"at_step": number, "prompt": prompt, "text": text, "seed": 42, "video": video.model_dump()}
            yield {**values, "of": f"s01e01_000{prompt}000"}

    def _film(self, number: int, prompt: int, *, sound: bool) -> File:
        """A moving picture that gets clearer with the steps, and a tone."""
        blur = max(0.1, 14 - number / 120)
        source = f"testsrc2=size=384x224:rate=24:duration=2,hue=h={prompt * 70},gblur=sigma={blur:.1f}"
        source += f",drawbox=x=20+{prompt}*90:y=60:w=80:h=90:color={COLOURS[prompt]}@0.8:t=fill"
        tone = ["-f", "lavfi", "-i", f"sine=frequency={220 + 110 * prompt}:duration=2"] if sound else []
        with self.show.store.scratch() as scratch:
            path = scratch / "sample.mp4"
            coding = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
            command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, *tone, *coding, "-y", str(path)]
            if self._films:
                subprocess.run(command, check=True)
            else:
                path.write_bytes(f"{number} {prompt}".encode())
            return self.show.store.put_file(path, f"samples/step_{number:05d}_{prompt}.mp4")


def stand(show: Show, given: Mapping[str, Record], until: str = "step4-ltx2-preprocess") -> None:
    """As if the steps before `until` had been made, with the outputs `given` and empty ones for the others."""
    what = show.plan()
    show.store.publish(show.store.object_path(fingerprint.of_bytes(b"")), b"")
    for node in what.nodes([until]):
        if node[0] == until:
            continue
        output = given.get(node[0]) or _empty(what.steps[node[0]].output, node[1])
        recipe = what.recipe(node)
        assert recipe is not None, node
        run = Run(
            name=plan.run_name(what.show, node, recipe),
            step=node[0],
            unit=node[1],
            key=plan.key(recipe),
            recipe=recipe,
            output=show.store.put(output),
            seconds=1.0,
            finished=1.0,
        )
        what.outputs[node] = show.store.save_run(run, output).output


def _empty(kind: type[Record], unit: str) -> Record:
    """A record of nothing."""
    values: dict[str, Any] = {}
    for name, each in kind.model_fields.items():
        if each.is_required():
            origin = get_origin(each.annotation) or each.annotation
            values[name] = _nothing(origin, each.annotation, unit)
    return kind.model_validate(values)


def _nothing(origin: Any, kind: Any, unit: str) -> Any:
    if origin is Literal:
        return get_args(kind)[0]
    if origin is File:
        return File(digest=fingerprint.of_bytes(b""), name="nothing", size_bytes=0)
    return None if origin in (Union, UnionType) else unit if origin is str else origin()
