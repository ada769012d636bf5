"""What the users of Wan2.1's training may choose beside what every training offers."""

from pydantic import Field

from pipeline.training.training_config import SamplerName, TrainingConfig


class Wan21TrainingConfig(TrainingConfig):
    model: str = Field(
        default="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        min_length=1,
        description="Its name on the hub (`Wan-AI/Wan2.1-T2V-14B-Diffusers` is the large one), or a folder.",
    )
    targets: tuple[str, ...] = Field(
        default=("to_q", "to_k", "to_v", "to_out.0", "ffn.net.0.proj", "ffn.net.2"),
        min_length=1,
        description="Linears that get a LoRA, by how their names end; of both attentions.",
    )
    sampler: SamplerName = Field(
        default="logit_normal", description="Which noise levels are trained on; the default and shift 3 as ai-toolkit."
    )
    shift: float = Field(default=3.0, gt=0, description="Of the sampler logit_normal: above 1, towards noise.")
    guidance: float = Field(default=5.0, ge=1, description="How closely samples follow their prompts; 1: unguided.")
