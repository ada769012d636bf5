"""How a mirror's files are called, and what a store knows of those that are there without asking for each."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.engine.fingerprint import Digest
from pipeline.engine.store import Store
from pipeline.engine.transport import ASIDE, Transport

GENERATION = "state/generation"
DOUBT = "state/doubt-"
OBJECTS = [f"objects/{number:02x}" for number in range(256)]
FOLDERS = ["", ASIDE, "state", "runs", "objects", *OBJECTS]


def name_of(digest: Digest) -> str:
    """Where in the mirror an object lies."""
    return f"objects/{digest[:2]}/{digest[2:]}"


def digest_of(name: str) -> Digest:
    return Digest("".join(name.split("/")[-2:]))


@dataclass(slots=True)
class Known:
    """What a mirror of this generation has: objects that nobody doubts, runs by name. It grows by what is sent."""

    generation: str
    objects: set[Digest]
    runs: set[str]
    doubted: set[Digest] = field(default_factory=set)

    def text(self) -> str:
        """What `remembered` reads."""
        return json.dumps({
            "generation": self.generation,
            "objects": sorted(self.objects),
            "runs": sorted(self.runs),
            "doubted": sorted(self.doubted),
        })  # fmt: skip


def remembered(path: Path) -> Known | None:
    """What was kept there of an earlier look; None where nothing was."""
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return Known(told["generation"], set(told["objects"]), set(told["runs"]), set(told.get("doubted", ())))


def listed(transport: Transport, store: Store, generation: str) -> Known:
    """What the mirror has as it lists it, without objects that are not as long as the store's own."""

    def fits(digest: Digest, size: int) -> bool:
        path = store.object_path(digest)
        return not path.exists() or path.stat().st_size == size

    there = transport.sizes(["state", "runs", *OBJECTS])
    doubted = {Digest(name.removeprefix(DOUBT)) for name in there if name.startswith(DOUBT)}
    sizes = {digest_of(name): size for name, size in there.items() if name.startswith("objects/")}
    objects = {digest for digest, size in sizes.items() if digest not in doubted and fits(digest, size)}
    runs = {name[len("runs/") : -len(".json")] for name in there if name.startswith("runs/")}
    return Known(generation, objects, runs, doubted)
