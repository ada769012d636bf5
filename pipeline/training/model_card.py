"""A LoRA's README.md: what it is of, what it learnt from, how well, how it is used, and under which licence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.schemas.training import HoldoutLoss, Planned, Usage
from pipeline.training.export import About, Kind


@dataclass(frozen=True, slots=True)
class Family:
    """What is true of a model's LoRAs, whatever they learnt. `licence` is the hub's name for it, `terms` say it."""

    title: str
    hub: str
    licence: Mapping[str, str]
    terms: str
    pipeline: str
    call: str
    save: str


# The licences as their owners state them, 2026-11: https://github.com/Lightricks/LTX-2 (LICENSE.md, sections 1.9, 2.1,
# 3.2, 3.5) and https://github.com/Wan-Video/Wan2.1 (LICENSE.txt).
FAMILIES: Mapping[Kind, Family] = {
    "ltx2": Family(
        title="LTX-2",
        hub="Lightricks/LTX-2",
        licence={
            "license": "other",
            "license_name": "ltx-2-community-license-agreement",
            "license_link": "https://github.com/Lightricks/LTX-2/blob/main/LICENSE.md",
        },
        terms="LTX-2 is under Lightricks' LTX-2.x Community License, and a LoRA of it is a derivative: it may be "
        "passed on under the same agreement only, and users with a revenue of 10 million USD a year or more need a "
        "licence that they pay for. Read the agreement before you publish or sell anything.",
        pipeline="LTX2Pipeline",
        call='video, audio = pipe(prompt, width=768, height=512, num_frames=97, frame_rate=24.0, '
        'output_type="np", return_dict=False)',
        save='encode_video(video[0], fps=24.0, audio=audio[0].float().cpu(), output_path="video.mp4",\n'
        "             audio_sample_rate=pipe.vocoder.config.output_sampling_rate)",
    ),
    "wan21": Family(
        title="Wan2.1",
        hub="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        licence={"license": "apache-2.0"},
        terms="Wan2.1 is under the Apache License 2.0, which asks nothing of its LoRAs but that notices stay.",
        pipeline="WanPipeline",
        call="video = pipe(prompt, width=832, height=480, num_frames=81).frames[0]",
        save='export_to_video(video, "video.mp4", fps=16)',
    ),
}  # fmt: skip


def card(
    about: About,
    *,
    file: str,
    rank: int,
    steps: int,
    usage: Sequence[Usage],
    holdout: Sequence[HoldoutLoss] = (),
    planned: Planned | None = None,
) -> str:
    """The card in Markdown, with the hub's metadata in front.

    `file` is the weights' name, `about.step` the step that they are of, of `steps` in all; `usage` has one entry for
    each training sample.
    """
    family = FAMILIES[about.kind]
    trigger = f"`{about.trigger}`, at the beginning of the prompt" if about.trigger else "none"
    revision = f" at `{about.revision}`" if about.revision else ""
    facts = [
        ("base model", f"`{about.base}`{revision}"),
        ("trigger", trigger),
        ("rank", f"{rank}; alpha is folded in, so the scale is 1"),
        ("steps", f"{about.step} of {steps}{_why(about.step, holdout)}"),
        ("learnt from", _learnt_from(usage)),
        ("data", f"`{about.dataset}`" if about.dataset else ""),
        ("trained on", f"{planned.card}: {planned.setting}" if planned else ""),
    ]
    parts = [
        _front(about, family),
        f"# {about.trigger or 'A LoRA'} for {family.title}\n",
        *_table(("", ""), [(name, value) for name, value in facts if value]),
        *_curve(about.step, holdout),
        "## How to use it\n",
        f"**ComfyUI**: put `{file}` into `models/loras` and load it with the node *LoraLoaderModelOnly*, strength 1.\n",
        "**diffusers**:\n",
        f"```python\n{_example(about, family, file)}\n```\n",
        "## Settings\n",
        *_table(("setting", "value"), [(name, f"`{value}`") for name, value in sorted(_flat(about.config).items())]),
        "## Licence\n",
        f"{family.terms}\n",
        "What it learnt from has its own owner: the model's licence does not say that you may train on a show.\n",
        "Made by Dailies.",
    ]
    return "\n".join(parts) + "\n"


def _front(about: About, family: Family) -> str:
    """The hub reads these lines; a folder on somebody's disk is no model that it knows."""
    base = about.base if _on_hub(about.base) else family.hub
    lines = [f"base_model: {base}", "base_model_relation: adapter", "library_name: diffusers"]
    lines += [f"{name}: {value}" for name, value in family.licence.items()]
    lines += ["pipeline_tag: text-to-video", "tags: [lora, text-to-video]"]
    lines += [f"instance_prompt: {_quoted(about.trigger)}"] if about.trigger else []
    return "\n".join(("---", *lines, "---\n"))


def _why(step: int, holdout: Sequence[HoldoutLoss]) -> str:
    if not any(each.step for each in holdout):
        return "; no clip was held out to choose by"
    return "; the best of the checkpoints by the clips held out" if any(each.step == step for each in holdout) else ""


def _learnt_from(usage: Sequence[Usage]) -> str:
    times = [each.times for each in usage if each.times]
    if not times:
        return ""
    seen = f"{len(times)} clips" + (f" of {len(usage)}" if len(times) < len(usage) else "")
    often = f"{min(times)}" if min(times) == max(times) else f"{min(times)} to {max(times)}"
    return f"{seen}, each used {often} times"


def _curve(best: int, holdout: Sequence[HoldoutLoss]) -> list[str]:
    if not holdout:
        return []
    rows = [
        (f"{each.step}" + (" (the base model)" if each.step == 0 else " **this one**" if each.step == best else ""),
         f"{each.loss:.4f}")
        for each in sorted(holdout, key=lambda each: each.step)
    ]  # fmt: skip
    return [
        "## How well it learnt\n",
        "Loss on clips that were held out, at noise that is the same for each step; less is better.\n",
        *_table(("step", "hold-out loss"), rows),
    ]


def _example(about: About, family: Family, file: str) -> str:
    prompt = f"{about.trigger} ..." if about.trigger else "..."
    saver = family.save.partition("(")[0]
    return "\n".join((
        "import torch",
        f"from diffusers import {family.pipeline}",
        f"from diffusers.utils import {saver}",
        "",
        f"pipe = {family.pipeline}.from_pretrained({_quoted(about.base)}, torch_dtype=torch.bfloat16)",
        f"pipe.load_lora_weights(\".\", weight_name={_quoted(file)})",
        "pipe.enable_model_cpu_offload()",
        f"prompt = {_quoted(prompt)}",
        family.call,
        family.save,
    ))  # fmt: skip


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings in one level, as show.toml writes them: `speed.base`; those that are not set are left out."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[prefix + name] = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return found


def _table(head: tuple[str, str], rows: Sequence[tuple[str, str]]) -> list[str]:
    lines = [head, ("---", "---"), *rows]
    return [*(f"| {' | '.join(line)} |" for line in lines), ""] if rows else []


def _on_hub(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "~", "/"))


def _quoted(text: str) -> str:
    """Good for Python and for YAML alike."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
