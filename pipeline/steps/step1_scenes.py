"""step1-scenes: where the cuts are, which shots make a scene, and the clips that people review and models train on.

Detectors propose cuts; flashes, changes of light and fades at the ends are taken out, dissolves and fades through
black put in. Shots of one place, told by their colours, make a scene. Long shots are split and short ones joined
within their scene, so that each second of the episode is in one clip or in the list of what is dropped and why.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from pipeline.engine.records import File, Record
from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media import clips, proxies, scan, scenes, shots, video
from pipeline.media.scan import Scan
from pipeline.models import shots as detectors
from pipeline.schemas.timeline import Clip, Episode, MediaInfo, Scenes


class Config(StepConfig):
    detector: Literal["auto", "adaptive", "content", "transnetv2"] = Field(
        default="auto", description="auto: transnetv2 where there is a GPU, else adaptive."
    )
    adaptive_threshold: float = Field(
        default=2.0, gt=1, description="How much more than its surroundings a cut changes."
    )
    content_threshold: float = Field(default=27.0, gt=0, le=255)
    transnetv2_threshold: float = Field(default=0.3, gt=0, lt=1)
    transnetv2_doubtful: float = Field(
        default=0.02, ge=0, lt=1, description="Above it, a cut counts that the adaptive detector sees too."
    )
    scene_likeness: float = Field(
        default=0.8, gt=0, le=1, description="Shots of one scene share so much of their colours."
    )
    scene_look_back: int = Field(
        default=8, ge=1, description="Over how many shots a scene's likeness may reach.", title="scene look back, shots"
    )
    shortest_clip: float = Field(default=1.5, gt=0, title="shortest clip, s")
    longest_clip: float = Field(default=8.0, gt=0, title="longest clip, s")

    @model_validator(mode="after")
    def _splits_come_out_long_enough(self) -> "Config":
        if self.longest_clip < 2 * self.shortest_clip:
            raise ValueError("longest_clip must be at least twice shortest_clip, or split shots come out too short")
        return self


class Proxy(Record):
    """A clip's review files; what the memo keeps."""

    video: File
    audio: File | None


@step(version=1)
def run(config: Config, work: Workspace, *, episode: Episode) -> Scenes:
    path = work.open(episode.video)
    found, detector, candidates = _watched(config, work, path, video.probe(path, episode.video.name))
    cuts, rejected = shots.settle(found.thumbnails, candidates, float(found.rate.constant))
    for false in rejected:
        work.log(f"no cut at {found.times[false.cut]:.2f} s: {false.reason}")
    taken = scenes.shots_between(cuts, found.times, found.media.seconds)
    bounds = [0, *cuts, len(found.times)]
    grouped = scenes.together(taken, bounds, found.thumbnails, config.scene_likeness, config.scene_look_back)
    planned, dropped = clips.plan(taken, grouped, found.times, config.shortest_clip, config.longest_clip)
    work.report(shots=len(taken), cuts_rejected=len(rejected), scenes=len(grouped), clips=len(planned))
    work.report(dropped=len(dropped), dropped_seconds=round(sum(d.span.seconds for d in dropped), 3))
    return Scenes(
        episode=episode.id,
        media=found.media,
        detector=detector,
        shots=taken,
        scenes=grouped,
        clips=tuple(_clips(work, episode, path, found, planned)),
        dropped=dropped,
    )


def _watched(config: Config, work: Workspace, path: Path, media: MediaInfo) -> tuple[Scan, str, Sequence[int]]:
    detector = config.detector
    if detector == "auto":
        detector = "transnetv2" if detectors.has_gpu() else "adaptive"
    fps = Fraction(media.fps).limit_denominator(1001)
    watching = (
        detectors.content(config.content_threshold, fps)
        if detector == "content"
        else detectors.adaptive(config.adaptive_threshold, fps)
    )
    work.log(f"watching {media.seconds:.0f} s of {media.width}x{media.height} ({detector})")
    with watching as watch:
        found = scan.watch(path, media, watch)
    if detector != "transnetv2":
        return found, detector, found.candidates
    score = work.model(detectors.transnetv2, "cuda" if detectors.has_gpu() else "cpu")
    chances = [float(chance) for chance in score(found.thumbnails)]
    threshold, doubtful = config.transnetv2_threshold, config.transnetv2_doubtful
    return found, detector, detectors.agreed(chances, found.candidates, threshold, doubtful)


def _clips(
    work: Workspace, episode: Episode, path: Path, found: Scan, planned: Sequence[clips.Planned]
) -> Iterator[Clip]:
    """Make the proxies, each kept as soon as it is done, and the clips that name them."""
    size = proxies.size_for(found.media.width, found.media.height)
    fps, sound = found.rate.constant, found.media.has_audio
    cuts = [proxies.Cut(p.span, f"{episode.id}_{round(p.span.start * 1000):07d}") for p in planned]
    items = [[episode.video.digest, c.stem, c.span.start, c.span.end, str(fps), size, sound] for c in cuts]

    def make(indexes: Sequence[int]) -> Iterator[Proxy]:
        wanted = [cuts[index] for index in indexes]
        for picture, alone in proxies.encode(path, wanted, fps, size, sound, work.scratch):
            yield Proxy(video=work.keep(picture), audio=work.keep(alone) if alone else None)

    # All that are missing go into one pass over the episode.
    made = work.memo(Proxy).fill(items, make, batch=max(1, len(items)))
    for cut, plan, proxy in zip(cuts, planned, made, strict=True):
        yield Clip(
            id=cut.stem,
            scene=plan.scene,
            shots=plan.shots,
            span=plan.span,
            fps=float(fps),
            video=proxy.video,
            audio=proxy.audio,
        )
