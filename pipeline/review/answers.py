"""From an annotation back to what its reviewer decided, in seconds of the episode and ids of the bible."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from pipeline.review import checks
from pipeline.review.shown import Kind, Shown
from pipeline.schemas.captions import CaptionAnswer, Line, RawAnswer, ReviewDecision, TranscriptAnswer
from pipeline.schemas.story import UNKNOWN
from pipeline.schemas.timeline import Span

TOUCH_SECONDS = 0.0015
"""Ends that differ less than this were not moved: Label Studio's editor rounds times to the millisecond."""


def decision(
    kind: Kind, data: Mapping[str, Any], meta: Mapping[str, Any], annotation: Mapping[str, Any], by: str
) -> ReviewDecision:
    """Read one annotation of a task. Raises ValueError naming the task where it cannot be read.

    `meta["shown"]` lists the revisions that were shown. An annotation that bears no revision was started from an empty
    screen, not from the prediction; it answers the task as it stands now, or as its `rev` says where it was put back.
    """
    try:
        key, episode, clip = str(data["key"]), str(data["episode"]), str(data["clip_id"])
    except KeyError as missing:
        raise ValueError(f"task {annotation.get('task')} has no {missing}: it was not made by Dailies") from None
    items = [item for item in annotation["result"] or () if "from_name" in item]
    rev = str(revision_of(annotation) or annotation.get("rev") or data["rev"])
    remembered = {entry["rev"]: entry for entry in meta.get("shown", ())}
    if rev not in remembered:
        raise ValueError(f"{key}: the answer by {by} is to revision {rev}, which the task does not remember")
    try:
        shown = Shown.model_validate(remembered[rev]["shown"])
    except ValidationError as error:
        raise ValueError(f"{key}: what revision {rev} showed is damaged ({error.error_count()} errors)") from None
    answer = None
    if not annotation["was_cancelled"]:
        try:
            answer = _transcript(items, shown) if kind == "transcripts" else _caption(items, shown)
        except ValueError as error:
            raise ValueError(f"{key}, answered by {by}: {error}") from error
    return ReviewDecision(
        key=key,
        episode=episode,
        clip=clip,
        span=shown.clip,
        revision=rev,
        by=by,
        at=_moment(annotation["updated_at"]),
        seconds=max(0.0, round(annotation["lead_time"] or 0.0, 3)),
        skipped=bool(annotation["was_cancelled"]),
        answer=answer,
        raw=RawAnswer(result=tuple(annotation["result"] or ()), shown=remembered[rev]["shown"]),
    )


def revision_of(annotation: Mapping[str, Any]) -> str | None:
    """The revision of the task that an annotation, or a draft, began with."""
    return next(iter(_texts([item for item in annotation["result"] or () if "from_name" in item], "rev")), None)


def _transcript(items: list[dict[str, Any]], shown: Shown) -> TranscriptAnswer:
    regions: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        if item["from_name"] in ("speaker", "text", "flag"):
            regions.setdefault(item["id"], []).append(item)
    seen = {line.id: line for line in shown.lines}
    lines = sorted(
        (_line(id_, region, seen.get(id_), shown) for id_, region in regions.items()),
        key=lambda line: (line.span.start, line.span.end, line.id),
    )
    answers, asked = {}, []
    for slot, question in shown.questions.items():
        for label in _choices(items, slot):
            if label not in question.options:
                raise ValueError(f"{label!r} is no answer to question {slot}: {', '.join(question.options)}")
            answers[question.doubt] = question.options[label]
            asked += [question.asked] if question.asked else []
    known, left, result = shown.lines, tuple(lines), None
    if shown.check:
        known, left, result = checks.taken_out(shown.check, known, left)
    return TranscriptAnswer(
        seen=known,
        lines=left,
        answers=answers,
        asked=tuple(asked),
        flags=tuple(sorted(_choices(items, "clip_flag"))),
        note=" ".join(_texts(items, "note")).strip(),
        check=result,
    )


def _line(id_: str, region: list[dict[str, Any]], seen: Line | None, shown: Shown) -> Line:
    label = next(iter(_values(region, "speaker", "labels")), UNKNOWN)
    if label not in shown.people:
        raise ValueError(f"line {id_} has the speaker {label!r}, who is not in the cast: {', '.join(shown.people)}")
    person = shown.people[label]
    value = region[0]["value"]
    start = _placed(value["start"], shown.clip, seen.span.start if seen else None)
    end = _placed(value["end"], shown.clip, seen.span.end if seen else None)
    if end <= start:
        raise ValueError(f"line {id_} ends at {end} s, before it starts at {start} s")
    return Line(
        id=id_,
        span=Span(start=start, end=end),
        speaker=None if person == UNKNOWN else person,
        text=" ".join(" ".join(_texts(region, "text")).split()),
        flags=tuple(sorted(_choices(region, "flag"))),
    )


def _placed(moment: float, clip: Span, seen: float | None) -> float:
    """Seconds of the episode of a moment of the clip; just what was shown where nobody moved it."""
    place = clip.start + moment
    if seen is not None and abs(place - seen) < TOUCH_SECONDS:
        return seen
    return max(0.0, round(place, 3))


def _caption(items: list[dict[str, Any]], shown: Shown) -> CaptionAnswer:
    verdict = _choices(items, "decision")
    if not verdict:
        raise ValueError("neither keep, drop nor second look is chosen")
    strangers = [label for label in _choices(items, "characters") if label not in shown.people]
    if strangers:
        raise ValueError(f"{strangers[0]!r} is not in the cast: {', '.join(shown.people)}")
    return CaptionAnswer.model_validate(
        {
            "seen": shown.caption,
            "text": " ".join(_texts(items, "caption")).strip(),
            "verdict": verdict[0],
            "reasons": tuple(sorted(_choices(items, "drop_reason"))) if verdict[0] == "drop" else (),
            "characters": tuple(id_ for label, id_ in shown.people.items() if label in _choices(items, "characters")),
            "note": " ".join(_texts(items, "note")).strip(),
        }
    )


def _values(items: list[dict[str, Any]], name: str, field: str) -> list[str]:
    return [value for item in items if item["from_name"] == name for value in item["value"].get(field) or ()]


def _texts(items: list[dict[str, Any]], name: str) -> list[str]:
    return _values(items, name, "text")


def _choices(items: list[dict[str, Any]], name: str) -> list[str]:
    return _values(items, name, "choices")


def _moment(written: datetime | str) -> datetime:
    return written if isinstance(written, datetime) else datetime.fromisoformat(written)
