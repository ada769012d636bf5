"""A reviewer without a person, for demos and tests: answers every task in the queue as the browser would."""

import copy
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pipeline.review.client import Client, our_prediction
from pipeline.review.errors import LabelStudioError
from pipeline.review.queries import Project
from pipeline.review.shown import SLOTS

Item = dict[str, Any]


@dataclass(slots=True)
class Answered:
    """What the scripted reviewer did: `corrected` and `picked` say what and where, `dropped` are clips."""

    corrected: list[str] = field(default_factory=list)
    picked: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    accepted: int = 0
    tasks: int = 0


def review(
    client: Client,
    show: str,
    *,
    corrections: Mapping[str, str] | None = None,
    picks: Mapping[str, str] | None = None,
    drop: Mapping[str, str] | None = None,
) -> Answered:
    """Empty the queues of both projects; a second call finds them empty and does nothing.

    `corrections`: words of a line -> what is typed in their place ("Bring cone" -> "Bring Cohen"; enough words that
    only the wrong place matches). `picks`: words of a question -> the answer that is picked where it is offered
    ("cone" -> "Cohen", "Over here, both of you" -> "Margaux"). `drop`: clip -> the reason it is dropped for. All else
    is accepted as it is.
    """
    done = Answered()

    def transcript(data: Mapping[str, Any], result: list[Item]) -> bool:
        typed = [f"{data['key']}: {change}" for change in _type(result, corrections or {})]
        picked = [f"{data['key']}: {choice}" for choice in _pick(result, data, picks or {})]
        done.corrected += typed
        done.picked += picked
        return bool(typed or picked)

    def caption(data: Mapping[str, Any], result: list[Item]) -> bool:
        reason = (drop or {}).get(data["clip_id"])
        if reason is None:
            return False
        verdict = next(item for item in result if item["from_name"] == "decision")
        verdict["value"]["choices"], verdict["origin"] = ["drop"], "prediction-changed"
        result.append(_new("drop_reason", "video", reason))
        done.dropped.append(data["clip_id"])
        return True

    _work_off(client, client.need_project(show, "transcripts"), transcript, done)
    _work_off(client, client.need_project(show, "captions"), caption, done)
    return done


def _work_off(
    client: Client, project: Project, change: Callable[[Mapping[str, Any], list[Item]], bool], done: Answered
) -> None:
    """Take what the queue gives until it is empty; send the prediction's copy as `change` leaves it."""
    seen: set[int] = set()
    began = time.monotonic()
    while task := client.next_task(project):
        if task["id"] in seen:
            raise LabelStudioError(f"{project.url} gives task {task['id']} again after it was answered")
        seen.add(task["id"])
        result = [item | {"origin": "prediction"} for item in copy.deepcopy(our_prediction(task)["result"])]
        done.accepted += not change(task["data"], result)
        done.tasks += 1
        client.submit(task, result, round(time.monotonic() - began, 3))
        began = time.monotonic()


def _type(result: list[Item], corrections: Mapping[str, str]) -> list[str]:
    """Type corrections into the lines; what was changed, in words."""
    changes = []
    for item in result:
        if item["from_name"] != "text":
            continue
        (text,) = item["value"]["text"]
        for wrong, right in corrections.items():
            new = right.join(re.split(rf"(?<!\w){re.escape(wrong)}(?!\w)", text))
            if new != text:
                changes.append(f"“{wrong}” → “{right}”")
                text = new
        if [text] != item["value"]["text"]:
            item["value"]["text"] = [text]
            # Label Studio marks whole regions, not the field that was edited.
            for other in result:
                if other["id"] == item["id"]:
                    other["origin"] = "prediction-changed"
    return changes


def _pick(result: list[Item], data: Mapping[str, Any], picks: Mapping[str, str]) -> list[str]:
    """Press the key of a right answer where a question offers it."""
    choices = []
    for slot in SLOTS:
        labels = [option["value"] for option in data[f"{slot}_options"]]
        for heard, right in picks.items():
            if heard in data[f"{slot}_ask"] and right in labels:
                result.append(_new(slot, "audio", right))
                choices.append(f"{data[f'{slot}_ask']} {right}")
                break
    return choices


def _new(name: str, target: str, choice: str) -> Item:
    """A choice that was not in the prediction, as the editor writes it."""
    return {
        "id": secrets.token_urlsafe(7),
        "from_name": name,
        "to_name": target,
        "type": "choices",
        "origin": "manual",
        "value": {"choices": [choice]},
    }
