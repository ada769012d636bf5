"""What pages read of a show, made ready when a run or a pull has brought news, so that nobody waits for it later."""

from contextlib import suppress

from pipeline import desk, quality, referred, timelines
from pipeline.show import Show


def build(show: Show) -> None:
    """All indexes of what stands now. What is there already costs a look."""
    timelines.timelines(show)
    timelines.outcome(show)
    referred.media(show)
    quality.figures(show)
    with suppress(ValueError):  # A show whose bible was never read has nothing to settle yet.
        desk.waiting(show)
        desk.suggestions(show)
