"""A look at an episode's first captions before all are made: what they say, what is wrong with them, what they cost.

A sample is a run with a limit: its items are kept for the whole run, which makes the others. What is read here is the
newest sample of exactly the recipe that a run would have now; after any change there is none until the next one.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from pipeline import jobs
from pipeline.engine import explain
from pipeline.engine.events import Reader
from pipeline.engine.plan import Node, Plan, record_type, run_name
from pipeline.engine.records import File
from pipeline.jobs import Job
from pipeline.models import captioning
from pipeline.models.caption_lint import Finding, marked
from pipeline.models.captioning import Drafted, Known
from pipeline.schemas.captions import Caption, Captions
from pipeline.schemas.timeline import Scenes, Span
from pipeline.show import Show
from pipeline.steps.step2_caption import Config

STEP, VERB = "step2-caption", "spot-check"
MOST = 12
"""Clips at once: more are no glance any more, and each may cost a minute."""
_RUNS_READ = 100  # the newest; a sample older than these is made anew within moments, its items are kept

Event = Mapping[str, Any]
_Item: TypeAdapter[Caption | Drafted] = TypeAdapter(Caption | Drafted)


@dataclass(frozen=True, slots=True)
class Checked:
    """A clip and its caption. `said` are (who, words); `notes` are the caption's own, without the `faults`."""

    clip: str
    span: Span
    video: File
    said: tuple[tuple[str, str], ...]
    caption: Caption
    faults: tuple[Finding, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """What was measured while `clips` captions were made; loading the model is not in `seconds`. Without a model there
    are no tokens.
    """

    clips: int
    seconds: float
    tokens_in: int = 0
    tokens_out: int = 0
    peak_memory_gib: float = 0.0

    def seconds_for(self, clips: int) -> float:
        return self.seconds / self.clips * clips


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """How an episode's captions stand. `whole`: all of its `clips` are captioned, and `checked` are the first of them.

    `waits` are the jobs that a sample would have to run first. `by` says who wrote the captions, `will_repair` whether
    a whole run asks about faults once more. `show_clips` are all episodes' clips, as far as they are cut: `uncut`
    episodes are not.
    """

    episode: str
    waits: tuple[Node, ...]
    whole: bool
    checked: tuple[Checked, ...]
    clips: int
    by: tuple[str, ...]
    will_repair: bool
    cost: Cost | None
    show_clips: int
    uncut: int


def begin(show: Show, episode: str, clips: int, *, by: str) -> Job:
    """Caption an episode's first clips in a process of its own; one that runs is the answer.

    Raises ValueError for an episode that the show does not have, or for more clips than a glance can take.
    """
    if episode not in show.episodes():
        raise ValueError(f"there is no episode {episode!r}; there are {', '.join(show.episodes())}")
    if not 1 <= clips <= MOST:
        raise ValueError(f"a spot check is of 1 to {MOST} clips, not of {clips}: `dailies run` makes them all")
    return jobs.start(show.state, show.folder, VERB, by=by, more=("--episode", episode, "--limit", str(clips)))


def look(show: Show, episode: str, most: int) -> SpotCheck:
    """The episode's captions as they stand now, `most` of them at most."""
    what = show.plan()
    explain.survey(what)
    return stands(show, what, episode, most)


def stands(show: Show, what: Plan, episode: str, most: int) -> SpotCheck:
    """`look`, by a plan whose `outputs` hold what is fresh."""
    node = (STEP, episode)
    config = what.configs[STEP]
    assert isinstance(config, Config)
    clips = {name: _clips(show, name) for name in what.episodes}
    recipe, whole = what.recipe(node), node in what.outputs
    told = list(_told(show, node, run_name(what.show, node, recipe))) if recipe else []
    checked, by = _checked(what, node, config, told, most) if recipe else ([], [])
    return SpotCheck(
        episode=episode,
        waits=tuple(each for each in what.nodes([STEP], [episode]) if each not in what.outputs and each != node),
        whole=whole,
        checked=tuple(checked),
        clips=clips[episode] or 0,
        by=tuple(by),
        will_repair=config.backend == "vlm" and config.repair and not whole,
        cost=next(filter(None, map(cost_of, told)), None),
        show_clips=sum(filter(None, clips.values())),
        uncut=sum(each is None for each in clips.values()),
    )


@dataclass(frozen=True, slots=True)
class Doing:
    """A job of the newest run that has begun and not ended: items `done` of `total`, and the last that it said."""

    step: str
    unit: str
    done: int = 0
    total: int = 0
    note: str = ""


def doing(show: Show) -> list[Doing]:
    """What the newest run is at."""
    paths = sorted((show.state / "runs").glob("*/events.jsonl"))
    found: dict[Node, Doing] = {}
    for event in Reader(paths[-1]).poll() if paths else ():
        kind, node = event["event"], (event.get("step", ""), event.get("unit", ""))
        if kind == "job started":
            found[node] = Doing(*node)
        elif node in found and kind == "items":
            found[node] = replace(found[node], done=event["done"], total=event["total"])
        elif node in found and kind == "log":
            found[node] = replace(found[node], note=event["message"])
        elif kind in ("job finished", "job failed", "job sampled"):
            found.pop(node, None)
    return list(found.values())


def cost_of(told: Sequence[Event]) -> Cost | None:
    """What a job's captions cost, by its events; None where all of them were kept from before."""
    memos: list[list[Event]] = []  # The clips', and another one where faults are asked about again.
    for event in (event for event in told if event["event"] == "items"):
        if "kept" in event:
            memos.append([])
        if memos:
            memos[-1].append(event)
    clips = memos[0][-1]["done"] - memos[0][0]["done"] if memos else 0
    if not clips:
        return None
    asked: Event = next((event for event in reversed(told) if "tokens_out" in event), {})
    return Cost(
        clips=clips,
        seconds=sum(memo[-1]["t"] - memo[0]["t"] for memo in memos),
        tokens_in=asked.get("tokens_in", 0),
        tokens_out=asked.get("tokens_out", 0),
        peak_memory_gib=asked.get("peak_memory_gib", 0.0),
    )


def _checked(
    what: Plan, node: Node, config: Config, told: Sequence[Sequence[Event]], most: int
) -> tuple[list[Checked], list[str]]:
    """The first captions, from the whole output or else from the newest sample, and who wrote them."""
    recipe = what.recipe(node)
    assert recipe is not None
    needs = what.steps[STEP].needs.values()
    inputs = [what.store.get(recipe["inputs"][need.producer], record_type(need)) for need in needs]
    known = captioning.known(config.telling, *inputs)
    if node in what.outputs:
        output = what.store.get(what.outputs[node], Captions)
        captions, by = list(output.captions), [output.backend]
        faults = known.faults(captions, config.lint_rules)
    else:
        captions, by = _sampled(told, known)
        faults = known.faults(captions, config.lint_rules)
        captions = [marked(caption, faults.get(caption.clip, ())) for caption in captions]
    scenes: Scenes = inputs[0]
    found = []
    for clip, facts, caption in list(zip(scenes.clips, known.facts, captions, strict=False))[:most]:
        its = faults.get(clip.id, ())
        found.append(
            Checked(
                clip=clip.id,
                span=clip.span,
                video=clip.video,
                said=tuple((said.speaker.name if said.speaker else "", said.text) for said in facts.said),
                caption=caption,
                faults=its,
                notes=tuple(note for note in caption.notes if note not in {str(fault) for fault in its}),
            )
        )
    return found, by


def _sampled(told: Sequence[Sequence[Event]], known: Known) -> tuple[list[Caption], list[str]]:
    """The captions that the newest sample's items are, or make, and what its job said; nothing where there is none, or
    `dailies store gc` took it.
    """
    for job in told:
        at = next((index for index, event in enumerate(job) if event["event"] == "job sampled"), None)
        if at is None:
            continue
        paths = [Path(path) for path in job[at]["items"]]
        if not all(path.is_file() for path in paths):
            break
        items = [_Item.validate_json(path.read_bytes()) for path in paths]
        made = [
            item if isinstance(item, Caption) else captioning.caption(brief, item)
            for brief, item in zip(known.briefs, items, strict=False)
        ]
        return made, [event["message"] for event in job[:at] if event["event"] == "log"]
    return [], []


def _told(show: Show, node: Node, name: str) -> Iterator[list[Event]]:
    """What the jobs that ran exactly the run called `name` told of themselves, the newest first."""
    paths = sorted((show.state / "runs").glob("*/events.jsonl"), reverse=True)
    for path in paths[:_RUNS_READ]:
        if name in path.read_text():
            yield [event for event in Reader(path).poll() if (event.get("step"), event.get("unit")) == node]


def _clips(show: Show, episode: str) -> int | None:
    """How many clips an episode was last cut into; None before the first time."""
    run = show.store.head("step1-scenes", episode)
    return _count(show.store.object_path(run.output)) if run else None


@lru_cache(maxsize=4096)
def _count(scenes: Path) -> int:
    """The clips of the episode whose scenes lie there; only their number is wanted, so nothing is checked."""
    return len(json.loads(scenes.read_bytes())["clips"])
