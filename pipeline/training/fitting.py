"""When the card's memory is full all the same: what would fit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pipeline.schemas.training import Planned
from pipeline.training.planning import Card, Setting, Speed

GIB = 2**30


@contextmanager
def fitting(setting: Setting, speed: Speed, plan: Callable[[Speed], Setting]) -> Iterator[None]:
    """Raise ValueError with the remedy where CUDA's memory does not suffice inside of the `with`.

    `plan` gives the fastest setting for other wishes, and raises ValueError where nothing fits them.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ValueError(remedy(setting, speed, plan, torch.cuda.max_memory_allocated())) from error


def remedy(setting: Setting, speed: Speed, plan: Callable[[Speed], Setting], used_bytes: int) -> str:
    """The next thriftier setting is what the planner chooses for a card a tenth smaller than what this one took."""
    full = (
        f"the GPU's memory is full at {used_bytes / GIB:.1f} GiB ({setting.words}; "
        f"{setting.estimated_bytes / GIB:.1f} GiB were estimated)"
    )
    thrifty = round(0.9 * min(setting.estimated_bytes or used_bytes, used_bytes) / 1e9, 1)
    try:
        found = plan(speed.model_copy(update={"max_memory_gb": max(thrifty, 0.1)}))
    except ValueError as nothing:
        return f"{full}; nothing thriftier is left: {nothing}"
    if found.model_copy(update={"words": ""}) == setting.model_copy(update={"words": ""}):
        return f"{full}; end what else runs on the GPU, or lower batch_size, rank or the clips' size"
    would = f"{found.estimated_bytes / GIB:.1f} GiB: {found.words}"
    return f"{full}; set speed.max_memory_gb = {thrifty}, which would take {would}"


def planned(setting: Setting, card: Card) -> Planned:
    """What is told of it."""
    return Planned(
        setting=setting.words, estimated_bytes=setting.estimated_bytes, card=card.name, card_bytes=card.total_bytes
    )
