"""What the users of a dataset may choose, and what its model takes."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.engine.step import StepConfig
from pipeline.media.cut import Shape
from pipeline.media.windows import Frames


class SampleConfig(StepConfig):
    """What both datasets let their users choose. Subclasses say what their model takes and give the defaults."""

    FPS: ClassVar[int]
    FRAME_STEP: ClassVar[int]
    SIDE_STEP: ClassVar[int]
    SOUND: ClassVar[bool]

    width: int = Field(ge=64, title="width, pixels")
    height: int = Field(ge=64, title="height, pixels")
    min_frames: int = Field(ge=1, description="Shorter clips are left out.")
    max_frames: int = Field(ge=1, description="Longer clips are cut to this many frames.")
    windows_per_clip: int = Field(default=1, ge=1, description="How many pieces a long clip may give.")
    allow_enlarging: bool = Field(default=True, description="Else episodes smaller than width x height are left out.")
    holdout_share: float = Field(default=0.1, ge=0, lt=1, description="Of the clips, kept from training.")
    trigger: str = Field(default="", description="The word that calls the LoRA.")
    trigger_in_captions: bool = Field(default=False, description="Else the trainer is to put it in front.")
    crf: int = Field(default=17, ge=0, le=30, description="x264's constant rate factor; 17 looks like the original.")
    # Measured at this crf: fast looks like medium (SSIM 0.9940 both) for a sixth to a third less time.
    preset: Literal["veryfast", "fast", "medium", "slow"] = "fast"

    @field_validator("width", "height")
    @classmethod
    def _side(cls, side: int) -> int:
        if side % cls.SIDE_STEP:
            below = side // cls.SIDE_STEP * cls.SIDE_STEP
            raise ValueError(f"{side} is no multiple of {cls.SIDE_STEP}: take {below} or {below + cls.SIDE_STEP}")
        return side

    @field_validator("min_frames", "max_frames")
    @classmethod
    def _count(cls, count: int) -> int:
        if count % cls.FRAME_STEP != 1:
            below = (count - 1) // cls.FRAME_STEP * cls.FRAME_STEP + 1
            raise ValueError(
                f"{count} is no multiple of {cls.FRAME_STEP} plus 1: take {below} or {below + cls.FRAME_STEP}"
            )
        return count

    @field_validator("trigger")
    @classmethod
    def _one_line(cls, trigger: str) -> str:
        if "\n" in trigger:
            raise ValueError("the trigger is one line of text")
        return trigger.strip()

    @model_validator(mode="after")
    def _agree(self) -> "SampleConfig":
        if self.min_frames > self.max_frames:
            raise ValueError(f"min_frames = {self.min_frames} is more than max_frames = {self.max_frames}")
        if self.trigger_in_captions and not self.trigger:
            raise ValueError("trigger_in_captions is set, but trigger is empty: give the word")
        return self

    @property
    def frames(self) -> Frames:
        return Frames(self.FPS, self.FRAME_STEP, self.min_frames, self.max_frames)

    @property
    def shape(self) -> Shape:
        return Shape(
            width=self.width, height=self.height, fps=self.FPS, crf=self.crf, preset=self.preset, sound=self.SOUND
        )

    def written(self, text: str) -> str:
        """`text` as the dataset says it: with the trigger in front, once, where that is wanted."""
        text = " ".join(text.split())
        if not self.trigger_in_captions or text.startswith(self.trigger):
            return text
        return f"{self.trigger} {text}"
