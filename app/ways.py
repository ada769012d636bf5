"""Addresses within the panel: every result, clip and moment has one. Pure."""

from urllib.parse import urlencode


def result(step: str, unit: str = "") -> str:
    """Where the Overview shows a result: of a step without a unit, its most concerning one."""
    return "/?" + urlencode({"step": step, **({"unit": unit} if unit else {})})


def moment(episode: str, seconds: float) -> str:
    """Where the Episodes page shows a moment, with the clip that holds it."""
    return "/episodes?" + urlencode({"episode": episode, "t": f"{seconds:.2f}"})


def clip(episode: str, clip_id: str) -> str:
    return "/episodes?" + urlencode({"episode": episode, "clip": clip_id})


def task(key: str) -> str:
    """Where the Episodes page shows the clip of a review task: `s01e01/s01e01_0012340`, or that with `#caption`."""
    episode, _, clip_id = key.partition("#")[0].partition("/")
    return clip(episode, clip_id)
