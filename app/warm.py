"""What the first page would have to load and read, done while the server starts: nobody waits for it later."""

import importlib
from contextlib import suppress
from pathlib import Path
from threading import Thread

NEEDED = (
    "pandas",
    *(
        f"pipeline.{name}"
        for name in (
            "audit", "datasets", "desk", "elsewhere", "hosts", "launching", "quality", "runs", "runs_alike",
            "runs_asks", "runs_lights", "search", "spot_check",
        )
    ),
)  # fmt: skip
"""What pages import; their own files are Streamlit's to run."""


def begin(folder: Path) -> Thread:
    """Warm up beside the server, which answers meanwhile."""
    thread = Thread(target=up, args=(folder,), daemon=True)
    thread.start()
    return thread


def up(folder: Path) -> None:
    from app import shared

    for name in NEEDED:
        importlib.import_module(name)
    with suppress(ValueError):  # A show that cannot be read: its pages say why.
        shared.look(folder)
