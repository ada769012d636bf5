"""What pages read of a show, made ready when a run or a pull has brought news, so that nobody waits for it later."""

from contextlib import suppress

from pipeline import datasets, desk, measured, quality, referred, runs_kept, timelines
from pipeline.show import Show


def build(show: Show) -> None:
    """All indexes of what stands now. What is there already costs a look."""
    for timeline in timelines.timelines(show):
        timelines.outcome_of(show, timeline)
    timelines.outcome(show)
    referred.media(show)
    quality.figures(show)
    for kind in datasets.DATASETS:
        datasets.look(show, kind)
    measured.jobs(show.state / "runs")
    for _ in runs_kept.files(show.state):
        pass
    with suppress(ValueError):  # A show whose bible was never read has nothing to settle yet.
        desk.waiting(show)
        desk.suggestions(show)
