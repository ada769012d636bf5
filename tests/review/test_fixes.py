"""Fix once: what people settled in one place is suggested where the machine has the same doubt, and nowhere else."""

from datetime import UTC, datetime, timedelta

import pytest

from pipeline.review import desk, fixes, interface, prefilled
from pipeline.review.answers import decision as read
from pipeline.review.merge import Machine
from pipeline.review.tasks import tasks_of
from pipeline.schemas.captions import Asked, Line, ReviewDecision, TranscriptAnswer
from pipeline.schemas.edits import BatchEdit
from pipeline.schemas.timeline import Span

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
CLASS = "cone (in a sentence)"


@pytest.fixture
def place(segment, doubt):
    """A line with a doubt about its second word, in a clip of its own; the fourth second of each clip is silent."""

    def make(
        clip: int, text="bring cone now", *, context=CLASS, candidates=(("Cohen", 0.6), ("cone", 0.3)), speaker="reyes"
    ):
        line = segment(clip * 4 + 1, text, speaker=speaker)
        return line, doubt(line, *candidates, at=1, context=context)

    return make


@pytest.fixture
def three(material, place):
    """The same doubt in three clips, and another class of it in a fourth."""
    found = [
        place(0),
        place(1, "is cone? here"),
        place(2),
        place(3, "a cone please", context="cone (after an article)"),
    ]
    return material([line for line, _ in found], [doubt for _, doubt in found], clips=4)


def answer(material, clip, value=None, text=None, *, by="margaux", minutes=0, speaker=None) -> ReviewDecision:
    """Somebody picks a value for the clip's doubt, or types another text, or names the speaker by hand."""
    cut = material.scenes.clips[clip]
    its = next(s for s in material.transcript.segments if cut.span.holds(s.span.middle))
    doubt = next(d for d in material.transcript.doubts if d.segment == its.id)
    seen = Line(id=its.id, span=its.span, speaker=its.speaker, text=its.text)
    left = seen.model_copy(update={"text": text or its.text, "speaker": speaker or its.speaker})
    asked = Asked(
        doubt=doubt.id, kind=doubt.kind, segment=its.id, span=doubt.span, heard=doubt.heard, context=doubt.context
    )
    picked = {"answers": {doubt.id: value}, "asked": (asked,)} if value else {}
    return ReviewDecision(
        key=f"s01e01/{cut.id}", episode="s01e01", clip=cut.id, span=cut.span, revision="r", by=by,
        at=NOON + timedelta(minutes=minutes), seconds=1,
        answer=TranscriptAnswer(seen=(seen,), lines=(left,), **picked),
    )  # fmt: skip


def suggested(material, *decisions, log=(), **rest):
    return fixes.suggestions({"s01e01": material.transcript}, decisions, log, **rest)


def clips(group) -> list[int]:
    return [int(each.place.span.start // 4) for each in group.suggestions]


@pytest.mark.parametrize("how", [{"value": "Cohen"}, {"text": "bring Cohen now"}])
def test_an_answer_and_a_correction_by_hand_are_suggested_wherever_the_doubt_is_the_same(three, how):
    (group,) = suggested(three, answer(three, 0, **how))
    assert (group.heard, group.value, group.origin.by, group.origin.key) == (
        "cone",
        "Cohen",
        "margaux",
        "s01e01/s01e01_0000000",
    )
    assert group.said == "margaux corrected “cone” to “Cohen” at s01e01 0:01"
    assert clips(group) == [1, 2]
    assert [(each.place.before, each.place.after) for each in group.suggestions] == [
        ("cone?", "Cohen?"),
        ("cone", "Cohen"),
    ]


def test_a_doubt_of_another_class_and_a_line_that_was_worded_anew_settle_nothing(three):
    assert suggested(three, answer(three, 3, "Cohen")) == []
    assert suggested(three, answer(three, 0, text="we had better leave at once")) == []
    assert suggested(three, answer(three, 0)) == []


def test_words_that_are_let_stand_by_an_answer_are_suggested_too(three):
    (group,) = suggested(three, answer(three, 0, "cone"))
    assert group.said == "margaux let “cone” stand at s01e01 0:01"
    assert [(each.place.before, each.place.after) for each in group.suggestions] == [
        ("cone?", "cone?"),
        ("cone", "cone"),
    ]


def test_of_people_who_disagree_most_count_then_the_newest_and_it_is_said(material, place):
    found = [place(clip) for clip in range(4)]
    four = material([line for line, _ in found], [doubt for _, doubt in found], clips=4)
    both = answer(four, 0, "Cohen"), answer(four, 1, "cone", by="bob", minutes=1)
    (newest,) = suggested(four, *both)
    assert newest.said == "bob let “cone” stand at s01e01 0:05; but 1 of 2 answers (margaux) said “Cohen”"
    (most,) = suggested(four, *both, answer(four, 2, "Cohen", minutes=-1))
    assert (most.value, clips(most)) == ("Cohen", [3])
    (changed_mind,) = suggested(four, *both, answer(four, 1, "Cohen", by="bob", minutes=2))
    assert "but" not in changed_mind.said


def test_what_anybody_has_answered_edited_or_refused_is_not_suggested(three):
    first = answer(three, 0, "Cohen")
    (group,) = suggested(three, first)
    assert clips(suggested(three, first, answer(three, 1))[0]) == [2]
    replaced = desk.replacing("s01e01", three.transcript.segments, "here", "there")
    others = desk.replacing("s01e01", three.transcript.segments[2:3], "cone", "Kohn")

    def entry(what, places, **more):
        return BatchEdit(id="1", what=what, by="ann", at=NOON, places=tuple(places), **more)

    assert clips(suggested(three, first, log=[entry("replace", others)])[0]) == [1]
    assert clips(suggested(three, first, log=[entry("replace", replaced)])[0]) == [1, 2]
    one = [group.suggestions[0].place]
    refused = entry("refusal", one, group=group.id)
    assert clips(suggested(three, first, log=[refused])[0]) == [2]
    assert suggested(three, first, log=[entry("refusal", one, group=group.id, whole=True)]) == []
    undo = BatchEdit(id="2", what="undo", by="ann", at=NOON, undoes="1")
    assert clips(suggested(three, first, log=[refused, undo])[0]) == [1, 2]
    assert clips(suggested(three, first, answer(three, 0, "cone", minutes=1), log=[refused])[0]) == [1, 2]


def test_a_skipped_task_is_still_open(three):
    skipped = answer(three, 1).model_copy(update={"skipped": True, "answer": None})
    assert clips(suggested(three, answer(three, 0, "Cohen"), skipped)[0]) == [1, 2]


@pytest.fixture
def voices(material, segment, doubt):
    lines = [segment(clip * 4 + 1, f"hello there {clip}", speaker=None) for clip in range(3)]
    doubts = [doubt(line, ("cohen", 0.4), ("UNKNOWN", 0.6), context=f"who says {line.id}") for line in lines]
    return material(lines, doubts, clips=3)


@pytest.mark.parametrize("how", [{"value": "pryce"}, {"speaker": "pryce"}])
def test_a_speaker_is_suggested_for_the_other_lines_of_the_voice(voices, how):
    first = answer(voices, 0, **how)
    assert suggested(voices, first) == []
    ids = [segment.id for segment in voices.transcript.segments]
    by_voice = {ids[0]: "v1", ids[1]: "v2", ids[2]: "v1"}
    (group,) = suggested(voices, first, voices=by_voice, names={"pryce": "Pryce"})
    assert (clips(group), group.value, group.said) == ([2], "pryce", "margaux said that Pryce speaks at s01e01 0:01")
    assert (group.suggestions[0].place.before, group.suggestions[0].place.after) == ("UNKNOWN", "pryce")


# In the tasks


def built(of, bible, *decisions, log=(), groups=None):
    found = suggested(of, *decisions, log=log) if groups is None else groups
    from dataclasses import replace

    with_it = replace(of, decisions=decisions, log=tuple(log), suggested=fixes.by_episode(found).get("s01e01", ()))
    tasks = tasks_of(with_it, bible, lambda file: f"/files/{file.name}").transcripts
    for task in tasks:
        interface.check(task)
    return tasks


def accepted(task):
    """What a reviewer decides who accepts the task as it is."""
    results = [dict(item) for item in task.result]
    annotation = {
        "result": results, "was_cancelled": False, "lead_time": 1, "updated_at": "2026-11-23T13:00:00Z", "task": 1,
    }  # fmt: skip
    meta = {"shown": [{"rev": task.rev, "shown": task.shown.model_dump(mode="json")}]}
    return read("transcripts", task.data, meta, annotation, "bob")


def test_a_suggestion_is_picked_in_its_slot_and_says_who_said_so(three, bible):
    plain = built(three, bible)
    tasks = built(three, bible, answer(three, 0, "Cohen"))
    assert [one.rev == other.rev for one, other in zip(plain, tasks, strict=True)] == [True, False, False, True]
    task = tasks[1]
    assert "Suggested: margaux corrected “cone” to “Cohen” at s01e01 0:01" in task.data["context"]
    assert task.data["q_a_ask"].endswith("Suggested: Cohen")
    answered = accepted(task).answer
    assert answered.answers == {three.transcript.doubts[1].id: "Cohen"}
    assert answered.lines[0].text == answered.seen[0].text == "is cone? here"
    assert answered.asked[0].context == CLASS


def test_a_value_that_no_option_has_becomes_one_and_the_likeliest_stay(material, place, bible):
    many = tuple((f"C{n}", 0.19 - n / 100) for n in range(5))
    found = [place(0, candidates=many), place(1, candidates=many)]
    two = material([line for line, _ in found], [doubt for _, doubt in found])
    task = built(two, bible, answer(two, 0, text="bring Kohn now"))[1]
    options = [option["value"] for option in task.data["q_a_options"]]
    assert len(options) == 5
    assert {"C0", "cone", "Kohn"} <= set(options)
    assert accepted(task).answer.answers == {two.transcript.doubts[1].id: "Kohn"}


def test_where_the_slots_are_full_the_line_itself_has_the_suggestion(material, segment, doubt, bible):
    """Accepting it is then a correction by hand, of what the machine said."""
    first = segment(1, "bring cone now")
    long = segment(5, "w1 w2 w3 w4 cone", end=7)
    sure = [doubt(long, ("x", 0.99), ("y", 0.01), at=at, context=f"c{at}") for at in range(4)]
    doubts = [doubt(first, ("Cohen", 0.6), at=1), *sure, doubt(long, ("Cohen", 0.5), ("cone", 0.5), at=4)]
    two = material([first, long], doubts)
    groups = suggested(two, answer(two, 0, "Cohen"))
    task = built(two, bible, answer(two, 0, "Cohen"), groups=groups)[1]
    assert [question.doubt for question in task.shown.questions.values()] == [each.id for each in sure]
    text = next(item for item in task.result if item["from_name"] == "text")["value"]["text"]
    assert text == ["w1 w2 w3 w4 Cohen"]
    decided = accepted(task).answer
    assert (decided.seen[0].text, decided.lines[0].text) == (long.text, "w1 w2 w3 w4 Cohen")


def test_a_batch_edit_stands_in_the_lines_and_its_doubt_is_not_asked(three, bible):
    places = tuple(desk.replacing("s01e01", three.transcript.segments[:2], "cone", "Cohen"))
    edit = BatchEdit(id="1", what="replace", by="ann", at=NOON, places=places)
    tasks = built(three, bible, log=[edit])
    assert [task.data["q_a_ask"] == "" for task in tasks] == [True, True, False, False]
    assert tasks[0].shown.edits == ("1",)
    assert "Changed by ann, 2026-11-23: “cone” → “Cohen”" in tasks[0].data["context"]
    decided = accepted(tasks[0])
    assert (decided.answer.seen[0].text, decided.answer.lines[0].text) == ("bring cone now", "bring Cohen now")
    assert decided.raw.shown["edits"] == ["1"]


def test_a_speaker_edit_stands_on_the_region(three, bible):
    places = tuple(desk.renaming("s01e01", three.transcript.segments[:1], "reyes", "pryce"))
    edit = BatchEdit(id="1", what="speaker", by="ann", at=NOON, places=places)
    task = built(three, bible, log=[edit])[0]
    assert next(item for item in task.result if item["from_name"] == "speaker")["value"]["labels"] == ["Pryce"]
    assert task.data["q_a_ask"]
    assert accepted(task).answer.lines[0].speaker == "pryce"


def test_a_line_that_an_edit_took_out_is_not_shown(three, bible):
    places = tuple(desk.replacing("s01e01", three.transcript.segments[:1], "bring cone now", ""))
    edit = BatchEdit(id="1", what="replace", by="ann", at=NOON, places=places)
    task = built(three, bible, log=[edit])[0]
    assert [item["from_name"] for item in task.result] == ["rev"]
    assert accepted(task).answer.lines == ()


def test_tasks_of_a_show_without_edits_and_suggestions_are_as_they_were(three, bible):
    machine = Machine(three.scenes, three.transcript, three.captions)
    nothing = prefilled.settled(machine, bible, (), (), ())
    for task in built(three, bible):
        assert prefilled.filled(task, nothing) is task


def test_a_place_moves_with_a_new_cut(three):
    """The suggestion is about words in time; which clip holds them does not matter."""
    moved = answer(three, 0, "Cohen").model_copy(update={"span": Span(start=0, end=3), "key": "s01e01/s01e01_other"})
    assert clips(suggested(three, moved)[0]) == [1, 2]
