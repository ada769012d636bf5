"""step2-transcript-disambiguate: which names were really said and who said them; what is not sure becomes a question.

A reading is taken only where it leads by `margin`, and each change is on record with the words it replaced, the reason
and the score. All other words stay byte for byte as they were heard, and doubtful ones go to the reviewer.
"""

from typing import Literal

from pydantic import Field

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.models.disambiguation import draft, finish
from pipeline.models.lexical_settling import Rules
from pipeline.models.sightings import Limits
from pipeline.schemas.story import KnownNames, SettledTranscript
from pipeline.schemas.timeline import Transcript


class Config(StepConfig):
    backend: Literal["lexical"] = "lexical"
    margin: float = Field(default=0.8, ge=0, le=1, description="A reading is taken if its score leads by this much.")
    min_alike: float = Field(default=0.7, ge=0, le=1, description="How alike a word must sound to be asked about.")
    low_probability: float = Field(default=0.25, ge=0, le=1, description="Below it, a word of meaning is asked about.")
    max_candidates: int = Field(default=5, ge=2, le=9, description="Answers offered; a reviewer's keys are 1 to 9.")

    @property
    def rules(self) -> Rules:
        return Rules(self.margin, Limits(self.min_alike, self.low_probability, self.max_candidates))


@step(version=1)
def run(
    config: Config, work: Workspace, *, step2_transcript_base: Transcript, step2_bible: KnownNames
) -> SettledTranscript:
    settled = settle(config, step2_transcript_base, step2_bible)
    kinds = [doubt.kind for doubt in settled.doubts]
    work.report(
        decisions=len(settled.decisions), text_doubts=kinds.count("text"), speaker_doubts=kinds.count("speaker")
    )
    return settled


def settle(config: Config, transcript: Transcript, known: KnownNames) -> SettledTranscript:
    """The transcript with every sure reading in place; all the rest as it was, with its questions."""
    return finish(draft(transcript, known, config.rules), {}, None)
