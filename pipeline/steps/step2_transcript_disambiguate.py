"""step2-transcript-disambiguate: which names were really said and who said them; what is not sure becomes a question.

The words alone settle what they can, the voices name whoever is heard in several lines, and with
`backend = "multimodal"` a model that sees and hears is asked about the rest, scene by scene. A reading is taken only
where it leads by `margin` (pipeline/models/settling.py says how it is weighed), and each change is on record with what
it replaced and why. All other words stay byte for byte as they were heard, and doubtful ones go to the reviewer.
"""

from typing import Literal

from pydantic import Field

from pipeline.engine.step import Device, StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.media import audio, evidence
from pipeline.models import consulting, scene_asks, scene_material, vlm_chain
from pipeline.models.disambiguation import Draft, draft, finish
from pipeline.models.lexical_settling import Rules
from pipeline.models.scene_asks import Budget
from pipeline.models.scene_material import Manner, Material, Writer
from pipeline.models.sightings import Limits
from pipeline.models.vlm import Vlm
from pipeline.schemas.story import Bible, Consulted, KnownNames, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Episode, SceneSpans, Transcript
from pipeline.schemas.voices import EpisodeVoices
from pipeline.schemas.weights import Choice, on_device


class Config(StepConfig):
    backend: Literal["lexical", "multimodal"] = "lexical"
    margin: float = Field(default=0.8, ge=0, le=1, description="A reading is taken if its score leads by this much.")
    min_alike: float = Field(default=0.7, ge=0, le=1, description="How alike a word must sound to be asked about.")
    low_probability: float = Field(default=0.25, ge=0, le=1, description="Below it, a word of meaning is asked about.")
    max_candidates: int = Field(default=5, ge=2, le=9, description="Answers offered; a reviewer's keys are 1 to 9.")
    models: tuple[Choice, ...] = Field(default=(), description="asked if multimodal: the first that can be had answers")
    instructions: str = Field(default=scene_asks.INSTRUCTIONS, description="what a model is told that it is to do")
    samples: int = Field(default=1, ge=1, description="answers to each question; more than one measures agreement")
    lines: int = Field(default=24, ge=3, description="lines that a model reads at once")
    overlap: int = Field(default=6, ge=0, description="of these, lines before and after the doubtful ones")
    questions: int = Field(default=8, ge=1, description="questions that a model is asked at once")
    pictures: int = Field(default=8, ge=0, description="stills of the shots that a model is shown at once")
    reference_pictures: int = Field(default=1, ge=0, description="of each character, shown with every request")
    picture_pixels: int = Field(default=200_704, ge=4096, description="of each, at most; 448 x 448 without more")
    sound_seconds: float = Field(
        default=40, ge=0, description="of the doubtful lines' sound, played at once", title="sound, s"
    )

    def runs_on(self, device: Device) -> Device:
        return on_device(self.models if self.backend == "multimodal" else (), device)

    @property
    def rules(self) -> Rules:
        return Rules(self.margin, Limits(self.min_alike, self.low_probability, self.max_candidates))

    @property
    def manner(self) -> Manner:
        budget = Budget(self.lines, self.overlap, self.questions, self.pictures, self.sound_seconds)
        return Manner(self.instructions, budget, self.reference_pictures, self.samples)


@step(version=2)
def run(
    config: Config,
    work: Workspace,
    *,
    episode: Episode,
    step1_scenes: SceneSpans,
    step2_transcript_base: Transcript,
    step2_shot_reference: ShotReferences,
    step2_voices: EpisodeVoices,
    step2_bible: Bible,
) -> SettledTranscript:
    made = draft(step2_transcript_base, KnownNames.project(step2_bible), config.rules)
    answers: dict[str, Consulted] = {}
    if config.backend == "multimodal" and made.askable:
        samples = audio.decode_mono(work.open(episode.video))
        material = Material(
            scenes=step1_scenes.scenes,
            shots=step2_shot_reference.shots,
            voices=step2_voices,
            bible=step2_bible,
            picture=lambda file: evidence.picture(work.open(file), config.picture_pixels),
            sound=lambda span: evidence.sound(samples, span),
            seconds=len(samples) / audio.SAMPLE_RATE_HZ,
        )
        vlm = vlm_chain.opened(work, config.models)
        answers = consult(config, work, made, vlm, material) if vlm else {}
    settled = finish(made, answers, step2_voices)
    by = [decision.reason.partition(":")[0] for decision in settled.decisions]
    kinds = [doubt.kind for doubt in settled.doubts]
    work.report(
        decisions=len(by),
        **{f"decided_{each}": by.count(each) for each in sorted(set(by))},
        text_doubts=kinds.count("text"),
        speaker_doubts=kinds.count("speaker"),
        without_answer=sum(answer.chosen is None for answer in answers.values()),
    )
    return settled


def consult(config: Config, work: Workspace, made: Draft, vlm: Vlm, material: Material) -> dict[str, Consulted]:
    """What a model answers to the doubts of a draft, by the doubt's id."""
    asks = scene_material.asks(made, material.scenes, config.manner.budget)
    write = Writer(vlm, material, config.manner).request
    found, usage = consulting.ask_all(work, vlm, asks, write, [c.id for c in material.bible.characters])
    work.report(**usage.figures())
    return found
