"""The labeling configs, and the proof that a task fits its config before it leaves."""

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from pipeline.review.shown import SLOTS, Kind, ReviewTask

if TYPE_CHECKING:
    from label_studio_sdk.label_interface.interface import LabelInterface

FOLDER = Path(__file__).parents[2] / "labeling_configs"
_FILES: dict[Kind, str] = {"transcripts": "transcript.xml", "captions": "caption.xml"}

DISARMED = {
    "regions:region:delete-all": "ctrl+backspace",
    "regions:region:delete": "backspace",
    "regions:segment:delete": "delete",
}
"""Keys that throw work away: a writer's delete-word and delete keys, pressed while the text box lacks the focus.

Section and name as Label Studio's page of hotkeys has them; without the section it stores and ignores them.
"""

# What the page of tasks shows at first: the queue's order and what tells tasks apart; not what is archived, nor what
# only the editor and Dailies read.
_HIDDEN = [
    *("tasks:" + name for name in ("inner_id", "annotations_results", "annotations_ids", "predictions_model_versions")),
    *("tasks:" + name for name in ("predictions_results", "file_upload", "storage_filename", "created_at")),
    *("tasks:" + name for name in ("updated_at", "updated_by", "total_predictions", "completed_at")),
    *("tasks:" + name for name in ("avg_lead_time", "data.episode")),
    *(f"tasks:data.{slot}_{field}" for slot in SLOTS for field in ("ask", "options")),
    *("tasks:data." + name for name in ("video", "audio", "fps", "context", "speakers", "key", "rev", "clip_id")),
    *("tasks:data." + name for name in ("frames_html", "dialogue_html", "bible_html", "why_html", "characters")),
]
VIEW: dict[str, Any] = {
    "title": "To review",
    "filters": {
        "conjunction": "and",
        "items": [{"filter": "filter:tasks:data.archived", "operator": "empty", "type": "String", "value": "true"}],
    },
    "ordering": ["tasks:predictions_score"],
    "hiddenColumns": {"explore": _HIDDEN, "labeling": _HIDDEN},
}


@cache
def config(kind: Kind) -> str:
    """The labeling config of a project, without surrounding space (Label Studio strips it too)."""
    return (FOLDER / _FILES[kind]).read_text(encoding="utf-8").strip()


@cache
def instruction(kind: Kind) -> str:
    """What reviewers read under "Instructions": how to work and which keys there are, as HTML."""
    return (FOLDER / _FILES[kind]).with_suffix(".html").read_text(encoding="utf-8").strip()


def check(task: ReviewTask) -> None:
    """Raise ValueError naming the clip and the field if the task does not fit its labeling config.

    Label Studio itself takes nearly anything and then shows an empty or a broken screen.
    """
    missing = sorted(name for name in fields(config(task.kind)) if name not in task.data)
    if missing:
        raise ValueError(f"{task.key}: {_FILES[task.kind]} shows ${missing[0]}, which the task lacks")
    options = tuple((name, tuple(option["value"] for option in task.data[name])) for name in lists(task.kind))
    interface = _parsed(config(task.kind), options)
    prediction = {"model_version": "", "score": task.score, "result": task.result}
    for problem in interface.validate_prediction(prediction, return_errors=True):  # type: ignore[no-untyped-call]
        raise ValueError(f"{task.key}: the prediction does not fit {_FILES[task.kind]}: {_named(problem, task)}")


@lru_cache(maxsize=64)
def _parsed(xml: str, options: tuple[tuple[str, tuple[str, ...]], ...]) -> "LabelInterface":
    """Parsing takes longer than validating, and most tasks of a show have the same lists."""
    from label_studio_sdk.label_interface.interface import LabelInterface

    return LabelInterface(expanded(xml, {name: [{"value": value} for value in values] for name, values in options}))


@cache
def lists(kind: Kind) -> tuple[str, ...]:
    """The task fields that hold the options of a list."""
    elements = [each for each in ElementTree.fromstring(config(kind)).iter() if each.tag in ("Choices", "Labels")]
    return tuple(value[1:] for each in elements if (value := each.get("value", "")).startswith("$"))


@cache
def fields(xml: str) -> set[str]:
    """The task fields that a config reads (`value="$title"` reads `title`)."""
    values = (value for element in ElementTree.fromstring(xml).iter() for value in element.attrib.values())
    return {value[1:] for value in values if value.startswith("$")}


def expanded(xml: str, data: Mapping[str, Any]) -> str:
    """The config with the lists that come from the task written out, since only static choices are validated."""
    root = ElementTree.fromstring(xml)
    for element in root.iter():
        if element.tag in ("Choices", "Labels") and element.get("value", "").startswith("$"):
            options = data[element.attrib.pop("value")[1:]]
            for option in options:
                ElementTree.SubElement(element, element.tag[:-1], value=option["value"])
    return ElementTree.tostring(root, encoding="unicode")


def _named(problem: str, task: ReviewTask) -> str:
    """Put the control's name to "Region 3: ..." where the message counts instead of naming."""
    number, _, rest = problem.removeprefix("Region ").partition(":")
    if number.isdigit() and int(number) < len(task.result):
        item = task.result[int(number)]
        return f"{item['from_name']} of {item['id']}:{rest}"
    return problem
