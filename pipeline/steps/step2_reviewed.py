"""step2-reviewed: the clips that may be trained on, as people corrected them, and each episode's subtitles.

A pure function of what the machines made and of the last snapshot: the newest answer to a place counts, edited text
wins over a chosen candidate and a candidate over the machine's own, and batch edits lie above older answers. Decisions
made before the machines' output changed are carried to where their words and pictures lie now. What is left out says
why, and every decision ever made has an account: applied, carried, queued again, superseded or waiting.
"""

from collections import Counter
from typing import Literal

from pydantic import Field, model_validator

from pipeline.engine.step import StepConfig, step
from pipeline.engine.work import Workspace
from pipeline.models.quoting import requote
from pipeline.review.carry import SURE_ENOUGH
from pipeline.review.merge import Machine, Merged, merge
from pipeline.review.subtitles import write
from pipeline.schemas.captions import Captions, Reviewed, ReviewSnapshot, Subtitles
from pipeline.schemas.story import Bible, SettledTranscript
from pipeline.schemas.timeline import Scenes


class Config(StepConfig):
    policy: Literal["reviewed-only", "machine-above", "agreement"] = Field(
        default="reviewed-only",
        description="machine-above takes unreviewed clips too; agreement leaves out what two reviewers disagree on.",
    )
    threshold: float | None = Field(
        default=None, ge=0, le=1, description="machine-above takes unreviewed captions that score more than this."
    )
    sure_enough: float = Field(
        default=SURE_ENOUGH,
        ge=0,
        le=1,
        description="What a reviewer decided is carried to changed output with this sureness, else asked again.",
    )

    @model_validator(mode="after")
    def _needs_a_threshold(self) -> "Config":
        if (self.policy == "machine-above") != (self.threshold is not None):
            raise ValueError('set threshold (0 to 1) with policy = "machine-above", and only there')
        return self


@step(version=3, per="show")
def run(
    config: Config,
    work: Workspace,
    *,
    step1_scenes: dict[str, Scenes],
    step2_transcript_disambiguate: dict[str, SettledTranscript],
    step2_caption: dict[str, Captions],
    step2_bible: Bible,
    review: ReviewSnapshot,
) -> Reviewed:
    machine = {
        name: Machine(scenes, step2_transcript_disambiguate[name], step2_caption[name])
        for name, scenes in step1_scenes.items()
    }
    threshold = 1.0 if config.threshold is None else config.threshold
    merged = merge(
        machine, step2_bible, review.decisions, requote, config.policy, threshold, config.sure_enough, review.edits
    )
    tell(work, merged)
    return Reviewed(
        clips=tuple(merged.clips),
        left_out=tuple(merged.left_out),
        subtitles=tuple(subtitles(work, merged, step2_bible)),
        outdated=tuple(merged.outdated),
        accounts=merged.accounts,
        edits=merged.edits,
        policy=config.policy,
    )


def subtitles(work: Workspace, merged: Merged, bible: Bible) -> list[Subtitles]:
    """The whole transcript of each episode, in clips or not, as files."""
    names = {character.id: character.short for character in bible.characters}
    made = []
    for episode, dialogue in sorted(merged.dialogue.items()):
        srt, vtt = work.scratch / f"{episode}.srt", work.scratch / f"{episode}.vtt"
        write(dialogue.spoken(), names, srt, vtt)
        made.append(Subtitles(episode=episode, srt=work.keep(srt), vtt=work.keep(vtt)))
    return made


def tell(work: Workspace, merged: Merged) -> None:
    by_people = sum(clip.reviewed for clip in merged.clips)
    became = Counter(account.state for account in merged.accounts)
    work.report(
        reviewed=by_people,
        machine=len(merged.clips) - by_people,
        left_out=len(merged.left_out),
        decisions=len(merged.accounts),
        applied=became["applied"],
        carried=became["carried"],
        queued_again=became["queued again"],
        superseded=became["superseded"],
        waiting=became["waiting"],
        edited=sum(each.applied + each.carried for each in merged.edits),
    )
    for reason, count in sorted(Counter(clip.reason for clip in merged.left_out).items()):
        work.log(f"{count} clips left out: {reason}")
    for decision in merged.outdated:
        work.log(f"not applied: {decision}")
