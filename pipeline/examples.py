"""Approved captions of a show as examples for the model that captions it: chosen, shown as lines of show.toml, written.

They are a setting like any other, so they enter the fingerprint, and nothing changes before somebody writes them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import unified_diff
from typing import Any

from pipeline import standing
from pipeline.engine import explain
from pipeline.engine.plan import SHOW, Node
from pipeline.models.caption_examples import Approved, chosen
from pipeline.models.caption_lint import About, lint
from pipeline.review import glossary_lines
from pipeline.schemas import located
from pipeline.schemas.captions import Reviewed, ReviewedClip
from pipeline.schemas.story import SceneContext, SceneContexts
from pipeline.show import Show
from pipeline.show_file import ShowFile
from pipeline.steps.step2_caption import Config

STEP = "step2-caption"
FILE = "show.toml"


@dataclass(frozen=True, slots=True)
class Offer:
    """`examples` are (clip, caption), chosen of `approved` captions, of which `faulty` ones were no choice. `text` is
    show.toml with them, `diff` what that changes ("" for nothing), and `stale` what stands and would be made anew.
    """

    examples: tuple[tuple[str, str], ...]
    approved: int
    faulty: int
    text: str
    diff: str
    stale: tuple[Node, ...]


def offer(show: Show, most: int) -> Offer:
    """Choose at most so many. Raises ValueError where no caption was reviewed yet."""
    run = show.store.head("step2-reviewed", SHOW)
    clips = [clip for clip in show.store.get(run.output, Reviewed).clips if clip.reviewed] if run else []
    if not clips:
        raise ValueError("no caption was approved yet: `dailies pull`, then `dailies run step2-reviewed`")
    now = standing.now(show)
    config = show.configs()[STEP]
    assert isinstance(config, Config)
    contexts = _contexts(show, now)
    about = {clip.clip: _about(clip, contexts.get(clip.clip)) for clip in clips}
    faults = lint([clip.caption for clip in clips], about, now.bible, config.lint_rules)
    machine = {caption.clip: caption.text for its in now.machines.values() for caption in its.captions.captions}
    approved = [
        Approved(
            clip=clip.clip,
            text=clip.caption.text,
            place=(context.place or "") if (context := contexts.get(clip.clip)) else "",
            cast=frozenset(clip.caption.characters),
            edited=clip.caption.text != machine.get(clip.clip),
        )
        for clip in clips
        if clip.clip not in faults
    ]
    examples = tuple((each.clip, each.text) for each in chosen(approved, most))
    text = (show.folder / FILE).read_bytes().decode("utf-8")
    new = with_examples(text, examples) if tuple(each for _, each in examples) != config.examples else text
    after = replace(show, file=located.parse(new, ShowFile, FILE))
    return Offer(
        examples=examples,
        approved=len(clips),
        faulty=len(clips) - len(approved),
        text=new,
        diff="".join(unified_diff(text.splitlines(True), new.splitlines(True), FILE, FILE, n=2)),
        stale=tuple(sorted(_fresh(show) - _fresh(after))) if new != text else (),
    )


def write(show: Show, offered: Offer) -> None:
    """Put the offered lines into show.toml, whole or not at all; all else in the file stays as it is."""
    glossary_lines.rewrite(show.folder / FILE, offered.text)


def with_examples(text: str, examples: Sequence[tuple[str, str]]) -> str:
    """show.toml with these examples in place of those that it has; comments and layout are kept."""
    import tomlkit

    document: Any = tomlkit.parse(text)
    array = tomlkit.array()
    for clip, caption in examples:
        array.add_line(caption, comment=clip)
    array.add_line(indent="")
    steps = document.get("steps")
    if steps is not None and STEP in steps:
        steps[STEP]["examples"] = array
        return tomlkit.dumps(document)
    table = tomlkit.table()
    table.add("examples", array)
    alone = tomlkit.document()
    alone.add("steps", tomlkit.table(is_super_table=True))
    alone["steps"].add(STEP, table)
    return f"{text.rstrip()}\n\n{tomlkit.dumps(alone)}"


def _contexts(show: Show, now: standing.Now) -> dict[str, SceneContext]:
    """The scene of each clip, where that step ever ran."""
    found = {}
    for episode, machine in now.machines.items():
        if run := show.store.head("step2-scene-context", episode):
            scenes = {scene.scene: scene for scene in show.store.get(run.output, SceneContexts).scenes}
            found.update({clip.id: scenes[clip.scene] for clip in machine.scenes.clips if clip.scene in scenes})
    return found


def _about(clip: ReviewedClip, context: SceneContext | None) -> About:
    """Whom people approved in a clip is there."""
    speakers = [line.speaker for line in clip.lines if line.speaker]
    present = frozenset([*clip.caption.characters, *speakers, *(context.cast if context else ())])
    return About(heard=" ".join(line.text for line in clip.lines), present=present)


def _fresh(show: Show) -> set[Node]:
    return {(each.step, each.unit) for each in explain.survey(show.plan()) if each.state == "fresh"}
