"""The pipeline's table of contents: a step may need only what stands above it."""

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
