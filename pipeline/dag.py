"""The pipeline's table of contents: a step may need only what stands above it."""

import sys

from pipeline.engine.step import Source, Step, StepConfig, check
from pipeline.schemas.captions import ReviewSnapshot
from pipeline.schemas.story import BibleSource
from pipeline.schemas.timeline import Episode
from pipeline.steps import (
    step1_scenes,
    step2_bible,
    step2_caption,
    step2_reviewed,
    step2_scene_context,
    step2_shot_reference,
    step2_transcript_base,
    step2_transcript_disambiguate,
    step2_voiceprints,
    step2_voices,
    step3_ltx2_data,
    step3_wan21_package,
    step4_ltx2_preprocess,
    step5_ltx2_train,
    step5_wan21_train,
)

SOURCES = (
    Source("episode", Episode),
    Source("bible-source", BibleSource, per="show"),
    Source("review", ReviewSnapshot, per="show"),
)

STEPS: tuple[Step, ...] = (
    step1_scenes.run,
    step2_bible.run,
    step2_transcript_base.run,
    step2_shot_reference.run,
    step2_voiceprints.run,
    step2_voices.run,
    step2_transcript_disambiguate.run,
    step2_scene_context.run,
    step2_caption.run,
    step2_reviewed.run,
    step3_ltx2_data.run,
    step3_wan21_package.run,
    step4_ltx2_preprocess.run,
    step5_ltx2_train.run,
    step5_wan21_train.run,
)

check(SOURCES, STEPS)


def table() -> str:
    """The DAG as a Markdown table: one line a step, in the order in which they may run."""
    lines = ["| step | what it makes | for each | runs on | reads |", "| --- | --- | --- | --- | --- |"]
    for step in STEPS:
        module = sys.modules[step.function.__module__]
        what = (module.__doc__ or "").splitlines()[0].partition(": ")[2].rstrip(".:")
        reads = ", ".join(need.producer for need in step.needs.values())
        device = step.device if step.config.runs_on is StepConfig.runs_on else f"{step.device}, a model in it cuda"
        lines.append(f"| `{step.name}` | {what} | {step.per} | {device} | {reads} |")
    return "\n".join(lines)
