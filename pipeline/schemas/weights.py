"""How a step's settings name the weights of a model."""

import re
from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.engine.step import Device

FOLDER = ("/", "./", "../", "~")
"""What a name begins with that is a folder; a relative one is found from the show's folder."""


class Weights(BaseModel):
    """Part of a step's settings, by itself or as one of several base classes of its Config.

    Whoever runs the step fills in `revision`: of a model on the hub the commit that `models.lock` pins, of a folder
    `sha256:` and the digest of its files. So it enters the fingerprint, and what a model says never changes silently.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, description="a name on the model hub, or a folder (absolute, `./` or `~/`)")
    revision: str | None = Field(default=None, description="a commit on the hub; models.lock pins it where none is set")

    def folder(self) -> str | None:
        """The folder that is meant, as it was written; None for everything else."""
        return self.model if self.model.startswith(FOLDER) else None

    def repository(self) -> str | None:
        """Its name on the hub; None where it does not come from there."""
        return None if self.folder() else self.model

    def source(self) -> str:
        """Where the weights come from, for people."""
        return "folder" if self.folder() else "hub" if self.repository() else "packages"

    def shipped(self) -> str | None:
        """The commit that this release of Dailies was made with, for models that it names by default."""
        return None


class Foundation(Weights):
    """Part of the settings of preprocessing and training: the video model that the LoRA is for.

    A folder or a repository of the hub in diffusers' layout: `model_index.json`, and one folder for each component.
    """

    profile: Literal["full", "tiny"] = Field(
        default="full",
        description="tiny: small random weights of the true architecture, made here, to try everything on a CPU.",
    )

    def folder(self) -> str | None:
        return super().folder() if self.profile == "full" else None

    def repository(self) -> str | None:
        return super().repository() if self.profile == "full" else None

    def source(self) -> str:
        return super().source() if self.profile == "full" else "made here"


class Choice(Weights):
    """One of the models that a step may ask, e.g. `"Qwen/Qwen2.5-Omni-7B"`.

    As a text it is a name on the hub (`NAME@REVISION` for a certain commit) or a folder, run in this process;
    `server:NAME` is a model that the model server serves; `none` stands for what the step does without a model.
    """

    backend: Literal["transformers", "openai", "none"] = "transformers"
    sees: bool | None = Field(default=None, description="whether it takes pictures; asked, where not said")
    hears: bool | None = Field(default=None, description="whether it takes sound; asked, where not said")
    video: Literal["frames", "url"] = Field(
        default="frames", description="how a server gets video: pictures with their times, or (vLLM) whole"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_text(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given == "none":
            return {"backend": "none", "model": "none"}
        if given.startswith("server:"):
            return {"backend": "openai", "model": given.removeprefix("server:")}
        name, at, revision = given.rpartition("@")
        named = at and not given.startswith(FOLDER) and re.fullmatch(r"[\w.-]+", revision)
        return {"model": name, "revision": revision} if named else {"model": given}

    def folder(self) -> str | None:
        return super().folder() if self.backend == "transformers" else None

    def repository(self) -> str | None:
        return super().repository() if self.backend == "transformers" else None

    def source(self) -> str:
        return {"openai": "server", "none": "nothing"}.get(self.backend) or super().source()


def on_device(choices: Iterable[Choice], device: Device) -> Device:
    """Where a step runs that may ask one of `choices`: a model in its process wants the GPU's slot to itself, a server
    does not.
    """
    return "cuda" if any(choice.backend == "transformers" for choice in choices) else device
