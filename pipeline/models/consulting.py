"""Asking an open model about scenes: which requests, what of each is kept, and what the record says of an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from pipeline.engine import fingerprint
from pipeline.engine.records import Record
from pipeline.engine.work import Workspace
from pipeline.models import scene_asks
from pipeline.models.scene_asks import Answer, Ask
from pipeline.models.scene_material import NOTHING, Evidence
from pipeline.models.vlm import Part, Picture, Reply, Request, Sound, Text, Usage, Video, Vlm
from pipeline.schemas.story import Consulted
from pipeline.schemas.timeline import Probability

BACKENDS = {"vlm_transformers": "transformers", "vlm_served": "openai", "vlm_fake": "fake"}

Withheld = tuple[Literal["pictures", "sound"], ...]


class Replied(Record):
    """One request's answer, as the memo keeps it: `data` fits the schema, or is None and `problem` says why."""

    data: dict[str, str | list[str]] | None
    confidence: dict[str, Probability] = {}
    problem: str = ""


def withheld(vlm: Vlm) -> Withheld:
    """What the model cannot perceive, so that it is not in its requests."""
    found: list[Literal["pictures", "sound"]] = []
    if not vlm.sees:
        found.append("pictures")
    if not vlm.hears:
        found.append("sound")
    return tuple(found)


def backend(vlm: Vlm) -> str:
    """How the model is reached, by the module that reaches it: vlm_transformers, vlm_served, vlm_fake."""
    return BACKENDS.get(type(vlm).__module__.rpartition(".")[2], type(vlm).__name__)


def ask_all(
    work: Workspace,
    vlm: Vlm,
    asks: Sequence[Ask],
    write: Callable[[Ask], tuple[Request, Evidence]],
    cast: Sequence[str],
) -> tuple[dict[str, Consulted], Usage]:
    """What the model answers to each doubt of `asks`, by the doubt's id, and what that cost.

    Requests are made twice, to be named and to be sent, so that their pictures and sound are never all in memory. What
    the memo holds under the same content and the same weights is not asked again.
    """
    prompts, shown = [], []
    for ask in asks:
        request, evidence = write(ask)
        prompts.append(digest(request))
        shown.append(evidence)
    usage = Usage()

    def answered(missing: Sequence[int]) -> Iterator[Replied]:
        nonlocal usage
        for reply in vlm.answer(write(asks[index])[0] for index in missing):
            usage = usage.and_of(reply)
            yield _kept(reply)

    items = [[vlm.name, vlm.revision, prompt] for prompt in prompts]
    replies = work.memo(Replied).fill(items, answered, batch=max(1, len(items)))
    found: dict[str, Consulted] = {}
    for ask, reply, prompt, evidence in zip(asks, replies, prompts, shown, strict=True):
        found |= recorded(vlm, ask, cast, reply, prompt, evidence)
    return found, usage


def recorded(
    vlm: Vlm,
    ask: Ask,
    cast: Sequence[str],
    reply: Reply | Replied,
    prompt: str = "",
    evidence: Evidence = NOTHING,
) -> dict[str, Consulted]:
    """What one reply says to each doubt of its ask, by the doubt's id."""
    answers = scene_asks.read(ask, cast, reply.data, reply.confidence, reply.problem)
    common = Consulted(
        backend=backend(vlm),
        model=vlm.name,
        revision=vlm.revision,
        prompt=prompt,
        lines=tuple(segment.id for segment in ask.lines),
        frames=evidence.frames,
        sounds=tuple(evidence.sounds.values()),
        withheld=withheld(vlm),
    )
    return {doubt.id: common.model_copy(update=_of(answer)) for doubt, answer in zip(ask.doubts, answers, strict=True)}


def digest(request: Request) -> str:
    """All that a model is told by a request, named by its content."""
    parts = [_part(part) for part in request.parts]
    rest = [dict(request.schema), list(request.measured), request.max_tokens, request.samples, request.seed]
    return fingerprint.of_value("request", [request.system, parts, *rest])


def _kept(reply: Reply) -> Replied:
    sure = {name: min(max(float(value), 0.0), 1.0) for name, value in reply.confidence.items()}
    return Replied(data=None if reply.data is None else dict(reply.data), confidence=sure, problem=reply.problem)


def _of(answer: Answer) -> dict[str, Any]:
    return {
        "chosen": answer.value,
        "confidence": None if answer.confidence is None else round(answer.confidence, 4),
        "reason": answer.reason,
        "alternatives": answer.alternatives,
        "problem": answer.problem,
    }


def _part(part: Part) -> list[object]:
    match part:
        case Text(text):
            return ["text", text]
        case Picture(pixels):
            return ["picture", list(pixels.shape), fingerprint.of_bytes(pixels.tobytes())]
        case Video(frames, fps):
            return ["video", list(frames.shape), fps, fingerprint.of_bytes(frames.tobytes())]
        case Sound(samples):
            return ["sound", len(samples), fingerprint.of_bytes(samples.tobytes())]
