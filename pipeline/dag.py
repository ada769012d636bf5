"""The pipeline's table of contents: a step may need only what stands above it."""

import sys

from pipeline.engine.step import Source, Step, check
from pipeline.schemas.captions import ReviewSnapshot
from pipeline.schemas.story import BibleSource
from pipeline.schemas.timeline import Episode

SOURCES = (
    Source("episode", Episode),
    Source("bible-source", BibleSource, per="show"),
    Source("review", ReviewSnapshot, per="show"),
)

STEPS: tuple[Step, ...] = ()

check(SOURCES, STEPS)


def table() -> str:
    """The DAG as a Markdown table: one line a step, in the order in which they may run."""
    lines = ["| step | what it makes | for each | runs on | reads |", "| --- | --- | --- | --- | --- |"]
    for step in STEPS:
        module = sys.modules[step.function.__module__]
        what = (module.__doc__ or "").splitlines()[0].partition(": ")[2].rstrip(".")
        reads = ", ".join(need.producer for need in step.needs.values())
        lines.append(f"| `{step.name}` | {what} | {step.per} | {step.device} | {reads} |")
    return "\n".join(lines)
