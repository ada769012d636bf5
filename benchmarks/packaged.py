"""Datasets that were never packaged: what both packagers would have left of a season, without a film."""

from collections.abc import Iterator

from benchmarks.season import Season
from pipeline.engine import fingerprint
from pipeline.engine.plan import SHOW
from pipeline.engine.records import File
from pipeline.schemas.captions import Caption, Reviewed, ReviewedClip
from pipeline.schemas.datasets import Account, Ltx2Dataset, Sample, Wan21Package
from pipeline.schemas.timeline import Span

FRAMES, FPS = 97, 24.0
WHO = (("reyes",), ("cohen", "reyes"), ("pryce",), ())


def package(made: Season, *, trigger: str = "spyfilm") -> None:
    """Say of every clip of a season that it was reviewed, and of all but one in ten that both datasets have it.

    Their runs' folders have no files: twenty thousand links would take longer than all else.
    """
    film = _nothing(made, "clip.mp4")
    clips = list(_reviewed(made, film))
    reviewed = Reviewed(clips=tuple(clips), left_out=(), subtitles=(), policy="agreement")
    made.save("step2-reviewed", SHOW, reviewed, files=False)
    kept = [(number, clip) for number, clip in enumerate(clips) if number % 10 != 9]
    samples = tuple(_sample(clip, number, film) for number, clip in kept)
    accounts = tuple(_account(clip, number) for number, clip in enumerate(clips))
    dataset, package_ = _nothing(made, "dataset.jsonl"), _nothing(made, "spies.zip")
    made.save(
        "step3-ltx2-data",
        SHOW,
        Ltx2Dataset(samples=samples, accounts=accounts, trigger=trigger, dataset=dataset, holdout=dataset, captions=()),
        files=False,
    )
    made.save(
        "step3-wan21-package",
        SHOW,
        Wan21Package(samples=samples, accounts=accounts, trigger=trigger, package=package_, extras=()),
        files=False,
    )


def _nothing(made: Season, name: str) -> File:
    made.show.store.publish(made.show.store.object_path(fingerprint.of_bytes(b"")), b"")
    return File(digest=fingerprint.of_bytes(b""), name=name, size_bytes=0)


def _reviewed(made: Season, film: File) -> Iterator[ReviewedClip]:
    for episode in made.episodes:
        for number in range(made.clips):
            name = made.clip(episode, number)
            segment, who = made.segment(episode, number), WHO[number % len(WHO)]
            caption = Caption(clip=name, text=made.caption(number), quotes=(), characters=who, score=0.9)
            yield ReviewedClip(
                episode=episode,
                clip=name,
                span=Span(start=4.0 * number, end=4.0 * number + 4),
                video=film,
                caption=caption,
                lines=(segment,),
                reviewed=True,
                by=("anna@example.com",),
            )


def _sample(clip: ReviewedClip, number: int, film: File) -> Sample:
    frames = FRAMES if number % 3 else 49
    return Sample(
        episode=clip.episode,
        clip=clip.clip,
        split="holdout" if number % 20 == 0 else "train",
        window=Span(start=clip.span.start, end=clip.span.start + frames / FPS),
        num_frames=frames,
        fps=FPS,
        width=768,
        height=512 if number % 5 else 448,
        video=film.model_copy(update={"name": f"{clip.clip}.mp4"}),
        caption=f"{clip.caption.text} {clip.lines[0].text} It is take {number} of {clip.episode}.",
    )


def _account(clip: ReviewedClip, number: int) -> Account:
    kept = number % 10 != 9
    reason = "train" if number % 20 else "holdout"
    return Account(
        episode=clip.episode,
        clip=clip.clip,
        kept=kept,
        reason=reason if kept else f"too short: {1 + number % 7 / 10} s",
    )
