"""`show.toml`, the one file that a show must have: what may stand in it, and all that can be wrong with it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from pipeline import dag, places
from pipeline.schemas import located
from pipeline.schemas.located import KeyPath
from pipeline.settings import Settings

NAME = "show.toml"


def _slug(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]{0,39}", name):
        raise ValueError(f"should be small letters, digits and _, as in `my_show` (at most 40), but is {name!r}")
    return name


Slug = Annotated[str, AfterValidator(_slug)]
"""Names stand in directory names between dashes, so they have none."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


_FIELDS: dict[str, Any] = {
    step.name.replace("-", "_"): (step.config, Field(default_factory=step.config, alias=step.name))
    for step in dag.STEPS
}
_Steps: Any = create_model("Steps", __base__=_Table, **_FIELDS)


_PLACES: dict[str, Any] = {name: (field.annotation, field) for name, field in Settings.model_fields.items()}
_Settings: Any = create_model("SettingsTable", __base__=_Table, **_PLACES)


class ReviewTable(_Table):
    """`[review]`: how people are asked. It changes no result, so it enters no fingerprint."""

    check_share: float = Field(
        default=0.03, ge=0, le=0.5, description="Of the transcript tasks, how many hide a known answer; 0: none."
    )


class ShowFile(_Table):
    """`show.toml`. Paths are relative to its folder."""

    name: Slug
    episodes: str = "episodes/*.mp4"
    exclude: tuple[str, ...] = ()
    bible: str = "bible.toml"
    steps: _Steps = Field(default_factory=_Steps)
    review: ReviewTable = Field(default_factory=ReviewTable)
    hosts: dict[places.HostName, places.HostTable] = Field(default_factory=dict)
    places: dict[str, str] = Field(default_factory=dict)
    settings: _Settings = Field(default_factory=_Settings)


def load(folder: Path) -> ShowFile:
    """The `show.toml` of `folder`. Raises ValueError naming all that is wrong with it, one line each."""
    path = folder / NAME
    if not path.is_file():
        raise ValueError(f"{folder} has no {NAME}: `dailies init` makes one, `--show DIR` names another folder")
    text = located.read(path, NAME)
    file = located.parse(text, ShowFile, NAME)
    _refuse(text, [*_misplaced(file), *_unusable(folder, file)])
    return file


def refuse(folder: Path, problems: list[tuple[KeyPath, str]]) -> None:
    """Raise ValueError where there are problems with the `show.toml` of `folder`: what is wrong, by where it stands."""
    _refuse(located.read(folder / NAME, NAME) if problems else "", problems)


def _refuse(text: str, problems: list[tuple[KeyPath, str]]) -> None:
    if problems:
        problems.sort(key=lambda problem: located.line_of(text, problem[0]))
        raise ValueError("\n".join(located.at(NAME, text, *problem) for problem in problems))


def _misplaced(file: ShowFile) -> Iterator[tuple[KeyPath, str]]:
    """What `[places]` says of steps and hosts that there are not."""
    steps = [step.name for step in dag.STEPS]
    there = [places.LOCAL, places.ANYWHERE, *file.hosts]
    for step, place in file.places.items():
        if step not in steps:
            yield ("places", step), located.unknown(step, steps, "step")
        if place not in there:
            yield ("places", step), f"there is no host {place!r}; there are {', '.join(there)}"


def _unusable(folder: Path, file: ShowFile) -> Iterator[tuple[KeyPath, str]]:
    """Files that settings name and nobody has, and addresses that are none."""
    told = file.settings.model_dump()
    mirror, config = told["mirror"], told["ssh_config"]
    if mirror and "://" not in mirror:
        ways = "sftp://user@host/~/folder, s3://… or file:///folder"
        yield ("settings", "mirror"), f"{mirror!r} is no address: write {ways}"
    if config and not (folder / config.expanduser()).is_file():
        yield ("settings", "ssh_config"), f"there is no file {str(config)!r}: write it, or leave the line out"
