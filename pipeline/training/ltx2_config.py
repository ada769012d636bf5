"""What the users of LTX-2's training may choose beside what every training offers."""

from typing import Literal

from pydantic import Field

from pipeline.training.training_config import SamplerName, TrainingConfig


class Ltx2TrainingConfig(TrainingConfig):
    model: str = Field(default="Lightricks/LTX-2", min_length=1, description="Its name on the hub, or a folder.")
    targets: tuple[str, ...] = Field(
        default=("to_q", "to_k", "to_v", "to_out.0"),
        min_length=1,
        description="Linears that get a LoRA, by how their names end; of all six attentions, those within the sound "
        "and between it and the video left out where only video is trained.",
    )
    modalities: Literal["video and audio", "video"] = Field(
        default="video and audio", description="What is learnt; with video, nothing is learnt of the voices."
    )
    sigmas: Literal["one", "separate"] = Field(
        default="one", description="one: video and sound share a noise level, as when a video is made; or each its own."
    )
    sampler: SamplerName = Field(
        default="shifted_logit_normal", description="Which noise levels are trained on; longer videos at higher ones."
    )
    shift: float = Field(default=1.0, gt=0, description="Of the sampler logit_normal: above 1, towards noise.")
    first_frame: float = Field(
        default=0.0, ge=0, le=1, description="Share of samples whose first frame is given, for image to video."
    )
    sound_guidance: float = Field(default=7.0, ge=1, description="The same for the sound of samples.")
