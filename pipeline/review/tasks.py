"""From what the machine made of an episode to the tasks reviewers see, one transcript and one caption for each clip."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.review import again, checks, prefilled
from pipeline.review.carry import SURE_ENOUGH
from pipeline.review.fixes import Suggestion
from pipeline.review.gains import Unreviewed
from pipeline.review.merge import Machine, Policy
from pipeline.review.panels import Url
from pipeline.review.screens import caption_task, transcript_task
from pipeline.review.shown import ReviewTask, people_of
from pipeline.schemas.captions import Captions, ReviewDecision
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.story import Bible, SceneContexts, SettledTranscript, ShotReferences
from pipeline.schemas.timeline import Clip, Scenes, Segment


@dataclass(frozen=True, slots=True)
class Material:
    """What one episode's tasks are made of: the outputs of its steps, and what people decided so far (of the whole
    show, if that is at hand), which is shown with the tasks that must be asked again. `check_share` of the transcript
    tasks hide a known answer. `suggested` answers and the batch edits of `log` are filled into the tasks; `policy`
    and `sure_enough` are those of step2-reviewed: what is carried with less is asked again.
    `voices` names the voice of a line, by its id, where it is known.
    """

    scenes: Scenes
    transcript: SettledTranscript
    references: ShotReferences
    contexts: SceneContexts
    captions: Captions
    decisions: tuple[ReviewDecision, ...] = ()
    check_share: float = 0.0
    suggested: tuple[Suggestion, ...] = ()
    log: tuple[BatchEdit, ...] = ()
    policy: Policy = "reviewed-only"
    sure_enough: float = SURE_ENOUGH
    voices: Mapping[str, str] = field(default_factory=dict)

    @property
    def episode(self) -> str:
        return self.scenes.episode


@dataclass(frozen=True, slots=True)
class Tasks:
    """All tasks of an episode; `left_out` says what no reviewer will see, and why."""

    transcripts: tuple[ReviewTask, ...]
    captions: tuple[ReviewTask, ...]
    left_out: tuple[str, ...]


def unreviewed_of(materials: Sequence[Material]) -> Unreviewed:
    """What is still to be answered in all these episodes together."""
    decisions = {id(decision): decision for material in materials for decision in material.decisions}
    voices = {line: voice for material in materials for line, voice in material.voices.items()}
    return Unreviewed([material.transcript for material in materials], list(decisions.values()), voices)


def tasks_of(material: Material, bible: Bible, url: Url, unreviewed: Unreviewed | None = None) -> Tasks:
    """One transcript task for each clip in which somebody speaks, or did when people reviewed it; one caption task for
    each clip.

    A segment belongs to the clip that holds its middle. `unreviewed` is that of the whole show; left out, the episode
    is all of it. Raises ValueError where the records do not fit together.
    """
    unreviewed = unreviewed or unreviewed_of([material])
    people = people_of(bible)
    contexts = {context.scene: context for context in material.contexts.scenes}
    captions = {caption.clip: caption for caption in material.captions.captions}
    # An episode has thousands of words, so where a segment lies is asked of each once.
    middles = [(segment.span.middle, segment) for segment in material.transcript.segments]
    spoken = by_clip(material.scenes.clips, middles)
    machine = Machine(material.scenes, material.transcript, material.captions)
    answered = again.earlier(
        machine, bible, material.decisions, material.sure_enough, policy=material.policy, log=material.log
    )
    done = {decision.key for decision in material.decisions if not decision.skipped}
    known = prefilled.settled(machine, bible, material.decisions, material.log, material.suggested)
    hidden = checks.choose(material.episode, spoken, material.transcript, material.check_share, answered)
    in_scene = {
        context.scene: [(middle, segment) for middle, segment in middles if context.span.holds(middle)]
        for context in material.contexts.scenes
    }
    transcripts, written = [], []
    for clip in material.scenes.clips:
        if clip.scene not in contexts:
            raise ValueError(f"{clip.id}: step2-scene-context says nothing of scene {clip.scene}; run it again")
        if clip.id not in captions:
            raise ValueError(f"{clip.id}: step2-caption has no caption for this clip; run it again")
        context, segments = contexts[clip.scene], spoken[clip.id]
        asks_again = f"{material.episode}/{clip.id}" in answered
        if segments or asks_again:
            before = [segment for middle, segment in in_scene[clip.scene] if middle < clip.span.start]
            check, transcript = hidden.get(clip.id), material.transcript
            said = checks.misheard(segments, check)
            transcripts.append(
                transcript_task(
                    clip, said, before, context, transcript, bible, people, url, unreviewed, check, asks_again
                )
            )
        written.append(
            caption_task(clip, captions[clip.id], segments, context, material.references, bible, people, url)
        )
    in_a_clip = {segment.id for segments in spoken.values() for segment in segments}
    left_out = tuple(
        f"{segment.id} lies in no clip: “{segment.text}”"
        for segment in material.transcript.segments
        if segment.id not in in_a_clip
    )
    shown = [
        [again.asking_again(prefilled.filled(task, known), answered.get(task.key, ())) for task in tasks]
        for tasks in (transcripts, written)
    ]
    # Where nobody is asked any more, it is no use to keep a place in the queue up to date.
    waiting = [[replace(task, waits=task.again or task.key not in done) for task in tasks] for tasks in shown]
    return Tasks(tuple(waiting[0]), tuple(waiting[1]), left_out)


def by_clip(clips: Sequence[Clip], middles: Sequence[tuple[float, Segment]]) -> dict[str, list[Segment]]:
    """The segments whose middle each clip holds; clips do not overlap."""
    found: dict[str, list[Segment]] = {clip.id: [] for clip in clips}
    ordered = sorted(clips, key=lambda clip: clip.span.start)
    starts = [clip.span.start for clip in ordered]
    for middle, segment in middles:
        place = bisect_right(starts, middle) - 1
        if place >= 0 and ordered[place].span.holds(middle):
            found[ordered[place].id].append(segment)
    return found
