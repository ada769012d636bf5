"""step2-shot-reference: what can be seen of each shot without understanding it.

Three sharp stills, light and contrast, how much moves and what the camera does, how large faces are, and which shots
show nearly the same picture. People see the stills in review; captions rest on the figures.
"""

from collections.abc import Iterable, Iterator, Sequence

from pydantic import Field

from pipeline.engine.records import Record
from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media import faces, looks, proxies, video
from pipeline.schemas.story import Frame, ShotReference, ShotReferences
from pipeline.schemas.timeline import Cuts, Episode, Shot


class Config(StepConfig):
    still_height: int = Field(
        default=540,
        ge=64,
        description="Lines of a still at most; never more than the episode's.",
        title="still height, pixels",
    )
    jpeg_quality: int = Field(default=92, ge=1, le=100, title="jpeg quality, of 100")


class Measured(Record):
    """One shot's measures; `hashes` are those of all its stills. Its place among the others is not known here."""

    reference: ShotReference
    hashes: tuple[str, ...]


@step(version=1)
def run(config: Config, work: Workspace, *, episode: Episode, step1_scenes: Cuts) -> ShotReferences:
    path, shots = work.open(episode.video), step1_scenes.shots
    media = video.probe(path, episode.video.name)
    size = proxies.size_for(media.width, media.height, config.still_height)
    items = [[episode.video.digest, episode.id, s.span.start, s.span.end, *size, config.jpeg_quality] for s in shots]

    def make(indexes: Sequence[int]) -> Iterator[Measured]:
        wanted = [shots[index] for index in indexes]
        for watcher in watched(video.frames(path, size), wanted):
            yield _measured(config, work, episode.id, watcher)

    # All that are missing go into one pass over the episode.
    measured = work.memo(Measured).fill(items, make, batch=max(1, len(items)))
    same = looks.groups([one.hashes for one in measured])
    work.report(shots=len(shots), looks=len(set(same)))
    return ShotReferences(
        episode=episode.id,
        shots=tuple(
            one.reference.model_copy(update={"shot": shot.index, "look": look})
            for shot, one, look in zip(shots, measured, same, strict=True)
        ),
    )


def watched(frames: "Iterable[tuple[float, looks.Picture]]", shots: Sequence[Shot]) -> Iterator[looks.Watcher]:
    """Watch each shot's frames, (seconds, picture) of the whole episode; `shots` ascend, some may be left out."""
    left = [looks.Watcher(shot.span) for shot in shots]
    for time, picture in frames:
        # Spans are rounded to microseconds, times of frames are not.
        while left and time >= left[0].span.end - proxies.ROUNDING:
            yield left.pop(0)
        if not left:
            return
        if time >= left[0].span.start - proxies.ROUNDING:
            left[0].add(time, picture)
    yield from left


def _measured(config: Config, work: Workspace, episode: str, watcher: looks.Watcher) -> Measured:
    stills = watcher.stills
    if not stills:
        raise ValueError(f"{episode}: no frame can be decoded from {watcher.span.start} to {watcher.span.end} s")
    found = [faces.heights(still.picture) for still in stills]
    hashes = tuple(looks.perceptual_hash(still.picture) for still in stills)
    moves, heading = looks.camera(watcher.moves)
    reference = ShotReference(
        shot=0,
        span=watcher.span,
        frames=tuple(_kept(config, work, f"{episode}_{round(watcher.span.start * 1000):07d}", s) for s in stills),
        brightness=round(watcher.brightness, 4),
        contrast=round(watcher.contrast, 4),
        warmth=round(watcher.warmth, 4),
        motion=round(watcher.motion, 4),
        camera=moves,
        heading=heading,
        scale=faces.scale(found),
        faces=faces.count(found),
        hash=hashes[len(hashes) // 2],
        look=0,
    )
    return Measured(reference=reference, hashes=hashes)


def _kept(config: Config, work: Workspace, stem: str, still: looks.Still) -> Frame:
    import cv2

    path = work.scratch / f"{stem}_{still.where}.jpg"
    picture = cv2.cvtColor(still.picture, cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality])
    return Frame(
        at=round(still.at, 6),
        picture=work.keep(path),
        sharpness=round(still.sharpness, 2),
        brightness=round(still.brightness, 4),
    )
