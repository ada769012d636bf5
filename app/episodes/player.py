"""The player: an episode played from its clips, with its scenes, shots, clips, doubts and lines under one playhead."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from app import marks, media, sound
from pipeline.schemas.story import UNKNOWN
from pipeline.timelines import Outcome, Said, Shown, Timeline

DOUBTS = {"text": "words are doubted", "speaker": "the speaker is doubted"}

_here = Path(__file__).parent
_player = st.components.v2.component(
    "dailies_player",
    html=(_here / "player.html").read_text(encoding="utf-8"),
    css=(_here / "player.css").read_text(encoding="utf-8"),
    js=(_here / "player.js").read_text(encoding="utf-8"),
)

KEY = "player"


def chosen() -> dict[str, Any] | None:
    """What the player reported when it was asked: `why` ("clip" or "link") and the moment `t`, in seconds."""
    state = st.session_state.get(KEY)
    found = state.get("chosen") if state else None
    return dict(found) if found else None


def player(data: dict[str, Any], on_chosen: Any) -> None:
    _player(data=data, key=KEY, on_chosen_change=on_chosen)


def data(
    timeline: Timeline, outcome: Outcome, names: Mapping[str, str], places: Mapping[str, str], at: float, seek: str
) -> dict[str, Any]:
    """All that the browser draws. `seek` names the wish to be at `at`: each is followed once."""
    lines = [
        {
            "start": line.span.start,
            "text": line.text,
            "speaker": names.get(line.speaker or "", line.speaker) or "not known",
            "known": (line.speaker or UNKNOWN) != UNKNOWN,
            "doubts": list(line.doubts),
            "reviewed": reviewed,
        }
        for line, reviewed in standing(timeline, outcome)
    ]
    here = timeline.clip_at(at)
    return {
        "episode": timeline.episode,
        "seconds": timeline.seconds,
        "scenes": [
            {
                "start": scene.span.start,
                "end": scene.span.end,
                "label": f"Scene {number + 1}" + (f" · {places.get(scene.place, scene.place)}" if scene.place else ""),
            }
            for number, scene in enumerate(timeline.scenes)
        ],
        "shots": [
            {"start": shot.start, "end": shot.end, "label": f"shot {number + 1}"}
            for number, shot in enumerate(timeline.shots)
        ],
        "sound": sound.url(timeline.episode),
        "clips": [_clip(each, outcome) for each in timeline.clips],
        "doubts": [{"at": moment, "kind": kind, "label": DOUBTS[kind]} for moment, kind in timeline.doubts],
        "lines": lines,
        "stamp": f"{id(timeline)} {id(outcome)}",
        "chosen": here.id if here else "",
        "t": at,
        "seek": seek,
    }


def standing(timeline: Timeline, outcome: Outcome) -> Iterator[tuple[Said, bool]]:
    """The lines of an episode as they stand, each with whether people reviewed its clip."""
    for clip in timeline.clips:
        after = outcome.settled.get(clip.id)
        yield from ((line, after is not None) for line in (after.lines if after else clip.lines))


def state(clip: Shown, outcome: Outcome) -> str:
    """How a clip is coloured: `reviewed`, `out`, `doubtful` or `plain`."""
    if clip.id in outcome.settled:
        return "reviewed"
    if clip.id in outcome.left_out and not outcome.left_out[clip.id].startswith("not reviewed"):
        return "out"
    return "doubtful" if any(line.doubts for line in clip.lines) else "plain"


WORDS = {
    "reviewed": "reviewed",
    "out": "left out",
    "doubtful": "people are to answer",
    "plain": "not reviewed",
}


def _clip(clip: Shown, outcome: Outcome) -> dict[str, Any]:
    kind = state(clip, outcome)
    return {
        "id": clip.id,
        "start": clip.span.start,
        "end": clip.span.end,
        "video": media.url(clip.video),
        "still": media.url(clip.still) if clip.still else "",
        "kind": kind,
        "label": f"{marks.clock(clip.span.end)} {WORDS[kind]}",
    }
