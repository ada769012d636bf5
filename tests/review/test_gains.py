"""Which task is served first, and how little a few answers move the others."""

from types import SimpleNamespace

import pytest

from pipeline.review import gains
from pipeline.review.gains import Unreviewed
from pipeline.review.tasks import tasks_of, unreviewed_of
from pipeline.schemas.captions import CaptionAnswer, ReviewDecision, TranscriptAnswer
from pipeline.schemas.timeline import Span

NOW = "2026-03-04T10:00:00Z"
LINES = TranscriptAnswer(seen=(), lines=())
CAPTION = CaptionAnswer(seen="", text="", verdict="keep")


@pytest.fixture
def answered():
    """A person's answer to a stretch of the episode: to its lines, if nothing else is said."""

    def make(start, end, *, skipped=False, answer=LINES):
        return ReviewDecision(
            key="s01e01/clip",
            episode="s01e01",
            clip="clip",
            span=Span(start=start, end=end),
            revision="r",
            by="ann@example.com",
            at=NOW,
            seconds=1,
            skipped=skipped,
            answer=None if skipped else answer,
        )

    return make


def transcript(*doubts, episode="s01e01"):
    return SimpleNamespace(episode=episode, doubts=doubts)


def test_a_doubt_counts_wherever_nobody_has_answered_in_the_whole_show(segment, doubt, answered):
    doubts = [doubt(segment(start, "bring cone"), ("cone", 0.5), at=1) for start in (1, 5, 9, 13)]
    far = doubt(segment(1, "the cone"), ("cone", 0.5), at=1)
    show = [transcript(*doubts), transcript(far, far, far, far, episode="s01e02")]
    assert Unreviewed(show, ()).places(doubts[0], "k") == 8
    assert Unreviewed(show, [answered(0, 4), answered(3, 12)]).places(doubts[0], "k") in (4, 8)
    assert Unreviewed(show[:1], [answered(0, 8)]).places(doubts[3], "k") == 2
    assert Unreviewed(show[:1], [answered(0, 12)]).places(doubts[3], "k") == 1
    # What nobody decided, and what was said of a picture, settles no word.
    beside = [answered(0, 12, skipped=True), answered(0, 12, answer=CAPTION)]
    assert Unreviewed(show[:1], beside).places(doubts[3], "k") == 4


def test_lines_of_one_voice_are_one_doubt_wherever_they_are(segment, doubt):
    lines = [segment(start, "over here", speaker=None) for start in (1, 5, 9, 13)]
    doubts = [doubt(line, ("cohen", 0.6), context=f"who says {line.id}") for line in lines]
    assert Unreviewed([transcript(*doubts)], ()).places(doubts[0], "k") == 1
    assert Unreviewed([transcript(*doubts)], (), {line.id: "v1" for line in lines}).places(doubts[0], "k") == 4


def test_the_chance_that_what_stands_is_wrong_is_what_all_other_answers_share(segment, doubt):
    line = segment(1, "bring cone")
    assert gains.wrong(doubt(line, ("Cohen", 0.7), ("cone", 0.2), at=1)) == pytest.approx(0.8)
    assert gains.wrong(doubt(line, ("cohen", 0.7), ("UNKNOWN", 0.1))) == pytest.approx(0.9)


def test_the_more_is_to_be_gained_the_lower_the_score():
    scores = [gains.score(gain) for gain in (0, 0.1, 0.4, 3, 50, 4000)]
    assert scores[0] == 1
    assert scores == sorted(scores, reverse=True)
    assert len({round(score, 6) for score in scores}) == len(scores)


def test_ten_more_answers_move_a_handful_of_three_thousand_tasks(segment, doubt, answered):
    doubts = [doubt(segment(10.0 * i, "bring cone"), ("cone", 0.5), at=1) for i in range(3000)]
    before, after = (
        Unreviewed([transcript(*doubts)], [answered(0, 10.0 * count)] if count else []) for count in (40, 50)
    )
    moved = sum(before.places(each, each.id) != after.places(each, each.id) for each in doubts[50:])
    assert 0 < moved < 30
    rounded = [after.places(each, each.id) for each in doubts[50:]]
    assert set(rounded) == {2048, 4096}


def test_a_name_that_occurs_more_often_is_asked_first_and_what_was_answered_before_a_cut_last(
    material, bible, segment, doubt, answered
):
    often = [segment(start, "bring cone") for start in (5, 9, 13)]
    rare = segment(1, "the price")
    doubts = [doubt(line, ("cone", 0.4), ("Cohen", 0.6), at=1, context="cone") for line in often]
    doubts.append(doubt(rare, ("price", 0.3), ("Pryce", 0.7), at=1, context="price"))
    episode = material([rare, *often], doubts, clips=4)
    line = segment(1, "cone")
    other = material([line], [doubt(line, ("cone", 0.4), at=0, context="cone")], episode="s01e02")

    def order(*decisions):
        whole = Unreviewed([episode.transcript, other.transcript], decisions)
        tasks = tasks_of(episode, bible, lambda file: file.name, whole).transcripts
        return [task.data["clip_id"][-7:] for task in sorted(tasks, key=lambda task: task.score)]

    assert order()[-1] == "0000000"
    assert order(answered(4.5, 8), answered(8, 12.5))[-2:] == ["0004000", "0008000"]
    assert unreviewed_of([episode, other]).places(doubts[0], "k") == 4
