"""Tasks that are queued again show what their reviewers had answered."""

from datetime import UTC, datetime

import pytest

from pipeline.review import interface
from pipeline.review.again import earlier
from pipeline.review.merge import Machine
from pipeline.review.tasks import tasks_of
from pipeline.schemas.captions import CaptionAnswer, Line, ReviewDecision, TranscriptAnswer
from pipeline.schemas.timeline import Span

KEY, CLIP = "s01e01/s01e01_0000000", "s01e01_0000000"
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLIP_SPAN = Span(start=0, end=4)


@pytest.fixture
def corrected(segment):
    """A reviewer heard "bring cone" and wrote "bring Cohen", said by Pryce."""
    old = segment(1, "bring cone")
    seen = Line(id=old.id, span=old.span, speaker=old.speaker, text=old.text)
    left = seen.model_copy(update={"text": "bring Cohen", "speaker": "pryce"})
    return decision(KEY, TranscriptAnswer(seen=(seen,), lines=(left,)))


def decision(key, answer) -> ReviewDecision:
    return ReviewDecision(
        key=key, episode="s01e01", clip=CLIP, span=CLIP_SPAN, revision="r", by="ann@example.com", at=NOON,
        seconds=1, skipped=answer is None, answer=answer,
    )  # fmt: skip


KEPT = decision(
    f"{KEY}#caption", CaptionAnswer(seen="A door.", text="A red door.", verdict="keep", characters=("reyes",))
)
SKIPPED = decision(f"{KEY}#caption", None)


def of(material) -> Machine:
    return Machine(material.scenes, material.transcript, material.captions)


def test_the_old_answer_is_told_with_what_has_changed(material, segment, bible, corrected):
    (found,) = earlier(of(material([segment(1, "who is it")])), bible, [corrected])[KEY]
    assert found.said == "“bring cone” was changed to “bring Cohen”, said by Pryce"
    assert found.why == "the machine now hears 'who is it' where the reviewer saw 'bring cone'"
    assert (found.by, found.at) == ("ann@example.com", NOON)


def test_what_counts_or_was_skipped_or_is_of_another_episode_is_not_asked_again(material, segment, bible, corrected):
    assert earlier(of(material([segment(1, "bring cone")])), bible, [corrected, SKIPPED]) == {}
    other = corrected.model_copy(update={"episode": "s01e02"})
    assert earlier(of(material([segment(1, "who is it")])), bible, [other]) == {}


def test_an_old_caption_is_shown_with_the_caption_task(material, bible):
    accepted = decision(f"{KEY}#caption", CaptionAnswer(seen="A door.", text="A door.", verdict="keep"))
    (found,) = earlier(of(material()), bible, [accepted])[f"{KEY}#caption"]
    assert found.said == "kept with the caption “A door.”"


def test_tasks_that_are_asked_again_say_so_and_fit_their_config(material, segment, bible, corrected):
    accepted = decision(f"{KEY}#caption", CaptionAnswer(seen="<b>", text="<b>", verdict="keep"))
    new = material([segment(1, "who is it")], decisions=(corrected, accepted))
    tasks = tasks_of(new, bible, lambda file: f"/files/{file.name}")
    (transcript,), caption = tasks.transcripts, tasks.captions[0]
    assert transcript.again
    assert caption.again
    assert not tasks.captions[1].again
    assert "“bring cone” was changed to “bring Cohen”, said by Pryce" in transcript.data["context"]
    assert "kept with the caption “&lt;b&gt;”" in caption.data["why_html"]
    assert [task.data["why"].partition(" · ")[0] for task in (transcript, caption)] == ["asked again"] * 2
    for task in (transcript, caption):
        interface.check(task)


def test_a_line_that_is_heard_no_more_is_asked_about_though_nobody_speaks(material, bible, corrected):
    (task,) = tasks_of(material(decisions=(corrected,)), bible, lambda file: file.name).transcripts
    assert (task.key, task.again, task.shown.lines) == (KEY, True, ())
    assert "the machine hears nothing any more where it was" in task.data["context"]
    interface.check(task)


def test_what_is_asked_again_stands_in_the_queue_as_if_nobody_had_answered(material, segment, bible, corrected):
    lines = [segment(1, "where is the case of the spy", sure=0.3), segment(5, "sure", sure=0.9)]
    first, second = tasks_of(material(lines, decisions=(corrected,)), bible, lambda file: file.name).transcripts
    assert (first.again, first.waits, second.again) == (True, True, False)
    assert first.score < second.score < 1


def test_decisions_that_fit_change_no_task(material, segment, bible, corrected):
    plain, reviewed = (
        tasks_of(material([segment(1, "bring cone")], decisions=decisions), bible, lambda file: file.name)
        for decisions in ((), (corrected,))
    )
    assert [[task.rev for task in tasks] for tasks in (plain.transcripts, plain.captions)] == [
        [task.rev for task in tasks] for tasks in (reviewed.transcripts, reviewed.captions)
    ]
    assert ([task.waits for task in plain.transcripts], [task.waits for task in reviewed.transcripts]) == (
        [True],
        [False],
    )
