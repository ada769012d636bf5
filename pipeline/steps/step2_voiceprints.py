"""step2-voiceprints: how each line of the episode sounds, as a point in the space of voices.

Only the sound of a line's words is listened to. The default model is small and comes in a Python package; a stronger
one from the hub ("microsoft/wavlm-base-plus-sv") is a setting.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import Field

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media import audio
from pipeline.models import voiceprints
from pipeline.schemas.timeline import Episode, Transcript
from pipeline.schemas.voices import Voiceprint, Voiceprints
from pipeline.schemas.weights import Weights


class Config(StepConfig, Weights):
    model: str = Field(default=voiceprints.GE2E, description="ge2e (from a package), a name on the hub, or a folder")

    def repository(self) -> str | None:
        return None if self.model in voiceprints.PACKAGED else super().repository()


@step(version=1, per="episode", device="cuda")
def run(config: Config, work: Workspace, *, episode: Episode, step2_transcript_base: Transcript) -> Voiceprints:
    segments = step2_transcript_base.segments
    spans = [voiceprints.spoken(segment.words) for segment in segments]
    heard = [episode.video.digest, config.model, config.revision]
    items = [
        [*heard, segment.id, [[piece.start, piece.end] for piece in pieces]]
        for segment, pieces in zip(segments, spans, strict=True)
    ]

    def make(missing: Sequence[int]) -> Iterator[Voiceprint]:
        samples = audio.decode_mono(work.open(episode.video))
        place = work.services.place(config.model)
        listen = work.model(voiceprints.listening, place, config.revision, work.cache)
        yield from (voiceprints.voiceprint(segments[i].id, samples, spans[i], listen) for i in missing)

    # All that are missing go into one pass over the sound.
    prints = work.memo(Voiceprint).fill(items, make, batch=max(1, len(items)))
    work.report(lines=len(prints), too_short=sum(not each.vector for each in prints))
    name = voiceprints.identity(config.model, config.revision)
    return Voiceprints(episode=episode.id, model=name, prints=tuple(prints))
