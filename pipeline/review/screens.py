"""What the two review screens show of one clip: its lines with the doubts about them, and its caption. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.review import gains, panels, questions
from pipeline.review.gains import Unreviewed
from pipeline.review.panels import Url, clock
from pipeline.review.shown import SLOTS, Check, Question, ReviewTask, Shown, task
from pipeline.schemas.captions import Asked, Caption, Line
from pipeline.schemas.story import UNKNOWN, Bible, Doubt, SceneContext, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Clip, Segment, Span

# Names are written in these colours too, so each stands out 3 to 1 (WCAG 2.1, 1.4.11) from the light and from the dark
# page; else they are the ten of Tableau 10, which stay apart for most colour-blind people. A larger cast shares them.
COLOURS = (
    "#4e79a7", "#cc6d12", "#59a14f", "#e15759", "#b07aa1", "#2f9e96", "#a68a00", "#9c755f", "#d9608a", "#7d78d8",
)  # fmt: skip
GREY = "#868686"

LINES_BEFORE = 3
MIN_REGION_SECONDS = 0.02


def transcript_task(
    clip: Clip,
    segments: Sequence[Segment],
    before: Sequence[Segment],
    context: SceneContext,
    transcript: SettledTranscript,
    bible: Bible,
    people: Mapping[str, str],
    url: Url,
    unreviewed: Unreviewed,
    check: Check | None = None,
    again: bool = False,
) -> ReviewTask:
    """The lines of one clip as audio regions, and its doubts as questions, the most valuable first.

    `before` are the scene's lines before the clip; `check` is the known answer that `segments` hide. What people have
    answered of the clip, as it was cut and heard before, promises no gain, unless it is asked `again`.
    """
    key = f"{transcript.episode}/{clip.id}"
    labels = {**people, UNKNOWN: UNKNOWN}
    ids = {segment.id for segment in segments}
    gain = {
        doubt.id: gains.of_doubt(doubt, unreviewed.places(doubt, key))
        for doubt in transcript.doubts
        if doubt.segment in ids
    }
    doubts = sorted(
        (doubt for doubt in transcript.doubts if doubt.id in gain),
        key=lambda doubt: questions.rank(doubt, gain[doubt.id]),
    )
    texts = {segment.id: segment.text for segment in segments}
    slots, asked = _slots(doubts, texts, clip, labels)
    lines = tuple(_line(segment, clip) for segment in segments)
    # Only what the first slots cannot ask is told in words, so that nothing the machine doubts goes unsaid.
    warnings = [f"Also unsure: {questions.ask(doubt, texts[doubt.segment], clip)}" for doubt in doubts[len(SLOTS) :]]
    warnings += [f"Maybe {' and '.join(s.marks)}: “{s.text}”" for s in segments if s.marks]
    data = {
        "key": key,
        **_about(clip, transcript.episode, url),
        **slots,
        "audio": url(clip.audio or clip.video),
        "context": panels.context(context, bible, dict(people), before[-LINES_BEFORE:], warnings, url),
        "speakers": _speakers(people),
        "why": " · ".join(slots[f"{slot}_ask"] for slot in asked) or "no doubts",
    }
    result = [
        item
        for line, segment in zip(lines, segments, strict=True)
        for item in _region(line, _label(line, labels), clip, _sureness(segment))
    ]
    episode = transcript.episode
    new = [each for each in segments if again or not unreviewed.has_answer(episode, each.span.middle)]
    gained = sum(gain[doubt.id] for doubt in doubts if doubt.segment in {segment.id for segment in new})
    shown = Shown(clip=clip.span, lines=lines, people=_turned(labels), questions=asked, check=check)
    return task("transcripts", data, result, gains.score(gained + gains.of_lines(new)), shown)


def caption_task(
    clip: Clip,
    caption: Caption,
    segments: Sequence[Segment],
    context: SceneContext,
    references: ShotReferences,
    bible: Bible,
    people: Mapping[str, str],
    url: Url,
) -> ReviewTask:
    """A clip with its caption to keep, mend or drop."""
    data = {
        "key": f"{references.episode}/{clip.id}#caption",
        **_about(clip, references.episode, url),
        "why_html": panels.hints(caption.notes),
        "frames_html": panels.frames(clip, references.shots, url),
        "dialogue_html": panels.dialogue(segments, dict(people)),
        "bible_html": panels.bible_page(context, bible, dict(people), url),
        "characters": [
            {key: speaker[key] for key in speaker if key != "background"} for speaker in _speakers(people)[:-1]
        ],
        "why": " · ".join(caption.notes) or "no doubts",
    }
    unknown = [character for character in caption.characters if character not in people]
    if unknown:
        raise ValueError(
            f"{clip.id}: the caption names {unknown[0]!r}, whom the bible does not have; run step2-caption again"
        )
    result = [
        _answer("caption", "video", "textarea", "text", [caption.text]),
        _answer("decision", "video", "choices", "choices", ["keep"]),
    ]
    if caption.characters:
        present = [people[character] for character in people if character in caption.characters]
        result.append(_answer("characters", "video", "choices", "choices", present))
    shown = Shown(clip=clip.span, caption=caption.text, people=_turned(people))
    return task("captions", data, result, gains.score(1 - caption.score), shown)


def _slots(
    doubts: Sequence[Doubt], texts: Mapping[str, str], clip: Clip, labels: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, Question]]:
    """The fields of all four slots, the unused ones empty (the config hides them), and what each used one asks."""
    data: dict[str, Any] = {f"{slot}_ask": "" for slot in SLOTS} | {f"{slot}_options": [] for slot in SLOTS}
    asked = {}
    for slot, doubt in zip(SLOTS, doubts, strict=False):
        keys = questions.OPTION_KEYS[slot]
        options = questions.options(doubt, labels, len(keys))
        data[f"{slot}_ask"] = questions.ask(doubt, texts[doubt.segment], clip)
        data[f"{slot}_options"] = [{"value": label, "hotkey": key} for label, key in zip(options, keys, strict=False)]
        put = Asked(
            doubt=doubt.id,
            kind=doubt.kind,
            segment=doubt.segment,
            span=doubt.span,
            heard=doubt.heard,
            context=doubt.context,
        )
        asked[slot] = Question(doubt=doubt.id, options=options, asked=put)
    return data, asked


def _label(line: Line, labels: Mapping[str, str]) -> str:
    if line.speaker is not None and line.speaker not in labels:
        raise ValueError(
            f"{line.id}: the bible has no character {line.speaker!r}; run step2-transcript-disambiguate again"
        )
    return labels[line.speaker or UNKNOWN]


def _about(clip: Clip, episode: str, url: Url) -> dict[str, Any]:
    title = f"{episode} · scene {clip.scene + 1} · {clock(clip.span.start)} to {clock(clip.span.end)}"
    return {
        "episode": episode,
        "clip_id": clip.id,
        "title": title,
        "video": url(clip.video),
        "fps": f"{clip.fps:.6g}",
    }


def _speakers(people: Mapping[str, str]) -> list[dict[str, str]]:
    """Label Studio's dynamic labels: colour and key by the place in the bible, so that they never move."""
    speakers = []
    for index, label in enumerate(people.values()):
        speaker = {"value": label, "background": COLOURS[index % len(COLOURS)]}
        if index < 9:
            speaker["hotkey"] = str(index + 1)
        speakers.append(speaker)
    return [*speakers, {"value": UNKNOWN, "background": GREY, "hotkey": "0"}]


def _line(segment: Segment, clip: Clip) -> Line:
    """The segment as it lies in its clip: what sticks out is cut off, to the millisecond."""
    start = round(max(segment.span.start, clip.span.start), 3)
    end = round(min(segment.span.end, clip.span.end), 3)
    span = Span(start=start, end=max(end, round(start + MIN_REGION_SECONDS, 3)))
    return Line(id=segment.id, span=span, speaker=segment.speaker, text=segment.text)


def _region(line: Line, label: str, clip: Clip, sure: float) -> list[dict[str, Any]]:
    times = {"start": round(line.span.start - clip.span.start, 3), "end": round(line.span.end - clip.span.start, 3)}
    return [
        _answer("speaker", "audio", "labels", "labels", [label], times, line.id) | {"score": sure},
        _answer("text", "audio", "textarea", "text", [line.text], times, line.id),
    ]


def _answer(
    name: str,
    target: str,
    kind: str,
    field: str,
    values: list[str],
    times: dict[str, float] | None = None,
    id_: str = "",
) -> dict[str, Any]:
    """One item of a prediction, in Label Studio's JSON."""
    value = {**(times or {}), field: values}
    return {"id": id_ or name, "from_name": name, "to_name": target, "type": kind, "value": value}


def _sureness(segment: Segment) -> float:
    return round(_mean([word.probability for word in segment.words]), 3)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _turned(labels: Mapping[str, str]) -> dict[str, str]:
    return {label: id_ for id_, label in labels.items()}
