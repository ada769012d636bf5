"""step2-caption: one paragraph for each clip: how it is shot and lit, where it is, who speaks, and what they say.

`backend = "facts"` writes it from what the steps before measured and settled. It needs no GPU, and invents nothing.
`backend = "vlm"` asks a model that sees, and hears if it can: it is told the scene's cast, the place and the true
dialogue, whose words it cannot change. What looks wrong is asked once more, then marked for the reviewer, and kept.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from pydantic import Field

from pipeline.engine.step import Device, StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media import excerpts
from pipeline.media.reading import read_ahead
from pipeline.models import caption_asks, captioning
from pipeline.models.caption_asks import Style
from pipeline.models.caption_lint import Rules, marked
from pipeline.models.captioner import Facts, write
from pipeline.models.vlm import Part, Sound, Video, Vlm
from pipeline.schemas.captions import Caption, Captions
from pipeline.schemas.story import Bible, SceneContexts, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Clip, Scenes, Span
from pipeline.schemas.weights import Choice, on_device

READERS = 8
"""Clips that are read at once, ahead of the model."""


class Config(StepConfig):
    backend: Literal["facts", "vlm"] = "facts"
    describe_looks: bool = Field(
        default=False,
        description="Repeat the bible's looks with each speaker. What every caption says, a trigger loses.",
    )
    name_places: bool = Field(default=True, description="Say where a clip plays, where that is known.")
    shortest: int = Field(default=6, ge=0, description="Words; shorter captions are marked.", title="shortest, words")
    longest: int = Field(default=220, ge=1, description="Words; longer captions are marked.", title="longest, words")
    models: tuple[Choice, ...] = Field(default=(), description="Asked if vlm: the first that can be had writes.")
    rules: str = Field(default=caption_asks.RULES, description="What a model is told of all captions.")
    style: Style = Field(default="paragraph", description="How long a model's caption is, and of what form.")
    with_short: bool = Field(default=False, description="A second caption of a sentence or two, for each clip.")
    examples: tuple[str, ...] = Field(default=(), description="Approved captions of this show, as models to follow.")
    examples_shown: int = Field(default=3, ge=0, description="Of these, as many as are most like the clip.")
    frames: int = Field(default=32, ge=1, description="Of a clip that a model is shown, at most.")
    frames_per_second: float = Field(default=4, gt=0, description="That a model is shown, at most.")
    frame_pixels: int = Field(default=200_704, ge=4096, description="Of each frame, at most; 448 x 448 without more.")
    samples: int = Field(default=1, ge=1, description="Answers for each clip; more than one measures agreement.")
    repair: bool = Field(default=True, description="Ask once more where the caption lint finds what can be mended.")

    def runs_on(self, device: Device) -> Device:
        return on_device(self.models if self.backend == "vlm" else (), device)

    @property
    def manner(self) -> captioning.Manner:
        return captioning.Manner(
            instructions=f"{self.rules}\n{caption_asks.STYLES[self.style]}",
            shown=self.model_dump(include={"frames", "frames_per_second", "frame_pixels"}),
            with_short=self.with_short,
            samples=self.samples,
            repair=self.repair,
        )

    @property
    def telling(self) -> captioning.Telling:
        looks = self.describe_looks and self.backend == "facts"
        return captioning.Telling(looks, self.name_places, self.examples, self.examples_shown)

    @property
    def lint_rules(self) -> Rules:
        return Rules(self.shortest, self.longest)


@step(version=2)
def run(
    config: Config,
    work: Workspace,
    *,
    step1_scenes: Scenes,
    step2_transcript_disambiguate: SettledTranscript,
    step2_shot_reference: ShotReferences,
    step2_scene_context: SceneContexts,
    step2_bible: Bible,
) -> Captions:
    known = captioning.known(
        config.telling, step1_scenes, step2_transcript_disambiguate, step2_shot_reference, step2_scene_context,
        step2_bible,
    )  # fmt: skip
    vlm = open_model(config, work)
    if vlm is None:
        captions = by_facts(work, known.facts)
    else:
        captions, _ = captioning.write_all(
            work,
            vlm,
            known.briefs,
            [clip.video.digest for clip in step1_scenes.clips],
            lambda indexes: perceived(config, work, vlm, [step1_scenes.clips[index] for index in indexes]),
            config.manner,
            lambda captions: known.faults(captions, config.lint_rules),
        )
    found = known.faults(captions, config.lint_rules)
    captions = [marked(caption, found.get(caption.clip, ())) for caption in captions]
    work.report(
        captions=len(captions),
        without_dialogue=sum(not caption.quotes for caption in captions),
        unnamed_speakers=sum(said.speaker is None for each in known.facts for said in each.said),
        with_faults=len(found),
    )
    backend = config.backend if vlm is None else f"vlm {vlm.name} {vlm.revision}"
    return Captions(episode=step1_scenes.episode, backend=backend, captions=tuple(captions))


def open_model(config: Config, work: Workspace) -> Vlm | None:
    if config.backend == "facts":
        return None
    from pipeline.models import vlm_chain

    return vlm_chain.opened(work, config.models)


def by_facts(work: Workspace, facts: Sequence[Facts]) -> list[Caption]:
    return work.memo(Caption).fill(
        [each.model_dump(mode="json") for each in facts], lambda indexes: (write(facts[index]) for index in indexes)
    )


def perceived(config: Config, work: Workspace, vlm: Vlm, clips: Sequence[Clip]) -> Iterator[Sequence[Part]]:
    """Of each clip, just what will be trained on: its frames at even times and its sound, if the model takes them."""

    def read(clip: Clip) -> Sequence[Part]:
        whole = [Span(start=0, end=clip.span.seconds)]
        rate, most, pixels = config.frames_per_second, config.frames, config.frame_pixels
        (excerpt,) = excerpts.excerpts(work.open(clip.video), whole, rate, most, pixels)
        parts: list[Part] = []
        if vlm.sees and len(excerpt.frames):
            parts.append(Video(excerpt.frames, excerpt.fps))
        if vlm.hears and clip.audio is not None:
            parts.append(Sound(excerpt.samples))
        return parts

    # The model takes clips by the window, and while it writes, the beginning of the next one is read.
    return read_ahead(clips, read, depth=READERS)
