"""What people settled elsewhere, filled into tasks before a reviewer opens them. Pure.

A suggestion stands in the question's slot, already picked, so that one key changes it; where the slots are full, and
for batch edits, it stands in the line itself. `Shown.lines` keep what the machine says: a reviewer who accepts has
then confirmed the new words, in the eyes of everything that reads the answer.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.review import panels
from pipeline.review.fixes import Suggestion
from pipeline.review.merge import Machine, stand
from pipeline.review.questions import OPTION_KEYS
from pipeline.review.shown import Question, ReviewTask, task
from pipeline.schemas.captions import ReviewDecision
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.story import UNKNOWN, Bible
from pipeline.schemas.timeline import Segment


@dataclass(slots=True)
class Settled:
    """What is known about an episode's lines that the machine does not know.

    `suggested` are by doubt; `lines` as batch edits left them, by their id (None: taken out), each with the edits;
    `answered` the doubts that such edits have settled.
    """

    suggested: dict[str, Suggestion] = field(default_factory=dict)
    lines: dict[str, Segment | None] = field(default_factory=dict)
    edits: dict[str, list[BatchEdit]] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)


def settled(
    machine: Machine,
    bible: Bible,
    decisions: Sequence[ReviewDecision],
    log: Sequence[BatchEdit],
    suggested: Iterable[Suggestion],
) -> Settled:
    """What `suggested` and the batch edits of `log` say of one episode. `decisions` may be those of the whole show."""
    episode = machine.scenes.episode
    found = Settled({each.doubt.id: each for each in suggested if each.place.episode == episode})
    if not any(place.episode == episode for edit in log for place in edit.places):
        return found
    ours = [decision for decision in decisions if decision.episode == episode]
    standing = stand(machine, bible, ours, log=log)
    for laid in standing.laid:
        if laid.state not in ("applied", "carried"):
            continue
        for name in laid.lines:
            found.lines[name] = standing.dialogue.segments.get(name)
            found.edits.setdefault(name, []).append(laid.edit)
        found.answered |= {
            doubt.id
            for doubt in machine.transcript.doubts
            if doubt.kind == laid.place.about and doubt.span.overlap(laid.place.span)
        }
    return found


def filled(fresh: ReviewTask, known: Settled) -> ReviewTask:
    """A task with what is settled in it; the task itself where nothing is, or where it hides a known answer."""
    shown, segments = fresh.shown, {line.id for line in fresh.shown.lines}
    suggested = [each for each in known.suggested.values() if each.doubt.segment in segments]
    changed = [name for name in known.lines if name in segments]
    if fresh.kind != "transcripts" or shown.check or not (suggested or changed):
        return fresh
    data = {name: value for name, value in fresh.data.items() if name != "rev"}
    result = [item for item in fresh.result if item["from_name"] != "rev"]
    asked = dict(shown.questions)
    for slot, question in shown.questions.items():
        if question.doubt in known.answered:
            del asked[slot]
            data |= {f"{slot}_ask": "", f"{slot}_options": []}
    labels = {id_: label for label, id_ in shown.people.items()}
    texts: dict[str, str] = {}
    speakers: dict[str, str] = {}
    for name in changed:
        segment = known.lines[name]
        texts[name] = segment.text if segment else ""
        if segment:
            speakers[name] = segment.speaker or UNKNOWN
    told, picked = [], []
    for each in sorted(suggested, key=lambda each: (each.doubt.span.start, each.doubt.id)):
        told.append(f"Suggested: {each.said}")
        slots = [slot for slot, question in asked.items() if question.doubt == each.doubt.id]
        if slots:
            slot = slots[0]
            asked[slot], data[f"{slot}_options"], label = _with_option(slot, asked[slot], data, each, labels)
            data[f"{slot}_ask"] += f" Suggested: {label}"
            picked.append(_choice(slot, label))
        elif each.place.about == "speaker":
            speakers[each.doubt.segment] = each.value
        else:
            before = texts.get(each.doubt.segment, each.place.line)
            texts[each.doubt.segment] = _reworded(before, each)
    edits = {edit.id: edit for name in changed for edit in known.edits[name]}
    told += [f"Changed by {edit.by}, {edit.at:%Y-%m-%d}: {_done(edit, segments, labels)}" for edit in edits.values()]
    result = [
        _overlaid(item, texts, speakers, labels)
        for item in result
        if texts.get(item["id"]) != "" or item["id"] not in segments
    ]
    data["context"] = panels.hints(told).replace("⚠", "✎") + data["context"]
    asks = [data[f"{slot}_ask"] for slot in asked]
    data["why"] = " · ".join(asks) or f"settled elsewhere: {len(told)}"
    new = shown.model_copy(update={"questions": asked, "edits": tuple(edits)})
    return task(fresh.kind, data, [*result, *picked], fresh.score, new)


def _with_option(
    slot: str, question: Question, data: Mapping[str, Any], suggestion: Suggestion, labels: Mapping[str, str]
) -> tuple[Question, list[dict[str, Any]], str]:
    """The slot's question with the suggested answer among its options, and that answer's label."""
    options = list(data[f"{slot}_options"])
    for label, value in question.options.items():
        if value == suggestion.value:
            return question, options, label
    label = labels.get(suggestion.value, suggestion.value) if suggestion.place.about == "speaker" else suggestion.value
    keys = OPTION_KEYS[slot]
    if len(options) == len(keys):  # The least likely one makes room, but for what stands now.
        standing = next((o for o, value in question.options.items() if value == suggestion.place.before), None)
        gone = next(option for option in reversed(options) if option["value"] != standing)
        options.remove(gone)
    free = next(key for key in keys if key not in {option["hotkey"] for option in options})
    options.append({"value": label, "hotkey": free})
    kept = {option["value"] for option in options}
    meaning = {name: value for name, value in question.options.items() if name in kept} | {label: suggestion.value}
    return question.model_copy(update={"options": meaning}), options, label


def _choice(slot: str, label: str) -> dict[str, Any]:
    return {
        "id": slot,
        "from_name": slot,
        "to_name": "audio",
        "type": "choices",
        "value": {"choices": [label]},
    }


def _overlaid(
    item: dict[str, Any], texts: Mapping[str, str], speakers: Mapping[str, str], labels: Mapping[str, str]
) -> dict[str, Any]:
    if item["from_name"] == "text" and item["id"] in texts:
        return {**item, "value": {**item["value"], "text": [texts[item["id"]]]}}
    if item["from_name"] == "speaker" and item["id"] in speakers:
        return {**item, "value": {**item["value"], "labels": [labels[speakers[item["id"]]]]}}
    return item


def _reworded(text: str, suggestion: Suggestion) -> str:
    return text.replace(suggestion.place.before, suggestion.place.after, 1)


def _done(edit: BatchEdit, segments: Iterable[str], labels: Mapping[str, str]) -> str:
    mine = set(segments)
    changes = dict.fromkeys(
        (labels.get(place.before, place.before), labels.get(place.after, place.after))
        if place.about == "speaker"
        else (place.before, place.after)
        for place in edit.places
        if place.segment in mine
    )
    return ", ".join(f"“{before}” → “{after}”" for before, after in changes) or "a line that was cut otherwise then"
