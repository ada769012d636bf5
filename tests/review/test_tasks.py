"""From records to tasks and back, without a server."""

import copy

import pytest

from pipeline.review import answers, interface
from pipeline.review.screens import COLOURS, GREY
from pipeline.review.shown import people_of
from pipeline.review.tasks import tasks_of
from pipeline.schemas.captions import CaptionAnswer, TranscriptAnswer
from pipeline.schemas.story import Bible, Character

KEY, CLIP = "s01e01/s01e01_0000000", "s01e01_0000000"


@pytest.fixture
def built(material, bible):
    """The tasks of an episode with these lines and doubts."""

    def build(*args, **options):
        return tasks_of(material(*args, **options), bible, lambda file: f"/files/{file.digest[:8]}/{file.name}")

    return build


def annotation(task, **changes):
    """What Label Studio gives back for a task that was accepted as it is."""
    given = {
        "task": 7,
        "result": copy.deepcopy(task.result),
        "was_cancelled": False,
        "updated_at": "2026-01-02T03:04:05.600000Z",
        "lead_time": 4.25,
    }
    return given | changes


def read(task, given, *older):
    meta = {"shown": [{"rev": t.rev, "shown": t.shown.model_dump(mode="json")} for t in (*older, task)]}
    return answers.decision(task.kind, task.data, meta, given, "ann@example.com")


def item(result, name, id_=None):
    return next(i for i in result if i["from_name"] == name and id_ in (None, i["id"]))


# Records to tasks


def test_a_segment_belongs_to_the_clip_that_holds_its_middle_and_is_cut_to_it(built, segment):
    tasks = built([segment(3.5, "across the cut", end=4.2)])
    (task,) = tasks.transcripts
    assert task.key == KEY
    assert item(task.result, "speaker")["value"] == {"start": 3.5, "end": 4.0, "labels": ["Reyes"]}


def test_a_silent_clip_has_a_caption_task_only(built, segment):
    tasks = built([segment(1, "hello there")])
    assert [task.key for task in tasks.transcripts] == [KEY]
    assert [task.key for task in tasks.captions] == [f"{KEY}#caption", "s01e01/s01e01_0004000#caption"]


def test_a_segment_outside_all_clips_is_told_and_not_lost(built, segment):
    assert built([segment(50, "after the end")]).left_out == ("s01e01@0050000 lies in no clip: “after the end”",)


def test_regions_keep_the_segments_ids_and_say_how_sure_the_words_are(built, segment):
    (task,) = built([segment(1, "hello there", sure=0.75)]).transcripts
    assert [(i["id"], i["from_name"]) for i in task.result] == [
        ("s01e01@0001000", "speaker"),
        ("s01e01@0001000", "text"),
        ("rev", "rev"),
    ]
    assert item(task.result, "speaker")["score"] == 0.75


def test_a_line_without_a_speaker_is_unknown_and_grey(built, segment):
    (task,) = built([segment(1, "who am I", speaker=None)]).transcripts
    assert item(task.result, "speaker")["value"]["labels"] == ["UNKNOWN"]
    assert task.data["speakers"][-1] == {"value": "UNKNOWN", "background": GREY, "hotkey": "0"}


def test_speakers_have_keys_and_colours_by_their_place_in_the_bible(built, segment):
    (task,) = built([segment(1, "hello")]).transcripts
    assert [(s["value"], s["hotkey"]) for s in task.data["speakers"][:-1]] == [
        ("Reyes", "1"),
        ("Cohen", "2"),
        ("Pryce", "3"),
    ]


def test_the_question_that_promises_most_comes_first_and_of_equal_ones_that_about_words(built, segment, doubt):
    a, b = segment(0.5, "bring cone here", speaker=None), segment(2, "the price is cone")
    elsewhere = segment(5, "cone again")
    doubts = [
        doubt(a, ("cohen", 0.5), ("pryce", 0.2)),
        doubt(b, ("price", 0.5), ("Pryce", 0.5), at=1, context="price"),
        doubt(a, ("cone", 0.5), ("Cohen", 0.5), at=1, context="cone"),
        doubt(elsewhere, ("cone", 0.5), ("Cohen", 0.5), at=0, context="cone"),
    ]
    task = built([a, b, elsewhere], doubts).transcripts[0]
    assert [task.data[f"q_{slot}_ask"] for slot in "abcd"] == [
        "0:00.8 · “cone” or “Cohen”?",
        "0:00.5 · Who says “bring cone here”?",
        "0:02.2 · “price” or “Pryce”?",
        "",
    ]
    assert task.data["q_d_options"] == []


def test_what_stands_can_always_be_picked_and_punctuation_is_not_shown(built, segment, doubt):
    line = segment(1, "where is cone?")
    (task,) = built([line], [doubt(line, ("Cohen?", 0.8), at=2)]).transcripts
    assert task.data["q_a_options"] == [{"value": "Cohen", "hotkey": "q"}, {"value": "cone", "hotkey": "w"}]
    assert task.shown.questions["q_a"].options == {"Cohen": "Cohen?", "cone": "cone?"}


def test_everybody_of_a_small_cast_is_one_key_away_and_nobody_knows_comes_last(built, segment, doubt):
    line = segment(1, "over here", speaker=None)
    cast = [("UNKNOWN", 0.4), ("pryce", 0.3), ("cohen", 0.2), ("reyes", 0.1)]
    (task,) = built([line], [doubt(line, *cast)]).transcripts
    options = [(option["hotkey"], option["value"]) for option in task.data["q_a_options"]]
    assert options == [("q", "Pryce"), ("w", "Cohen"), ("e", "Reyes"), ("r", "UNKNOWN")]


def test_the_last_slot_has_fewer_keys_and_offers_the_likeliest(built, segment, doubt):
    line = segment(0.5, "one two three four", end=3)
    many = [(f"x{i}", 0.5 - i / 10) for i in range(5)]
    (task,) = built([line], [doubt(line, *many, at=i, context=str(i)) for i in range(4)]).transcripts
    assert [option["value"] for option in task.data["q_c_options"]] == ["x0", "x1", "x2", "x3", "three"]
    assert [option["value"] for option in task.data["q_d_options"]] == ["x0", "x1", "x2", "four"]


def contrast(one, other):
    """WCAG 2.1's ratio of two colours like #4e79a7."""

    def luminance(colour):
        parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_speakers_stand_out_from_the_light_and_the_dark_page():
    assert len(set(COLOURS)) == 10
    for page in ("#fdfdfc", "#262521"):  # Label Studio's two backgrounds
        assert min(contrast(colour, page) for colour in (*COLOURS, GREY)) >= 3


def test_doubts_beyond_four_are_said_in_words(built, segment, doubt):
    line = segment(0.5, "one two three four five six", end=3)
    doubts = [doubt(line, (f"x{i}", 0.5), at=i, context=str(i)) for i in range(5)]
    (task,) = built([line], doubts).transcripts
    assert "Also unsure: 0:02.1 · “five” or “x4”?" in task.data["context"]


def test_odd_lines_are_pointed_out_and_no_flag_is_set_for_the_reviewer(built, segment):
    (task,) = built([segment(1, "thanks for watching", marks=("hallucination",))]).transcripts
    assert "Maybe hallucination: “thanks for watching”" in task.data["context"]
    assert not any(i["from_name"] == "flag" for i in task.result)


def test_the_doubtful_clip_comes_first(built, segment, doubt):
    sure, unsure = segment(1, "sure words"), segment(5, "bring cone")
    tasks = built([sure, unsure], [doubt(unsure, ("Cohen", 0.6), at=1)]).transcripts
    assert tasks[0].score == pytest.approx(1 / (1 + 0.1), abs=1e-6)
    assert tasks[1].score == pytest.approx(1 / (1 + 0.1 + 1), abs=1e-6)


def test_text_from_outside_cannot_become_markup(built, segment):
    tasks = built([segment(1, "a<b> &c"), segment(2.5, "later")], captions={CLIP: "<b>bold</b>"})
    assert "<b>: a&lt;b&gt; &amp;c" not in tasks.captions[0].data["dialogue_html"]
    assert "a&lt;b&gt; &amp;c" in tasks.captions[0].data["dialogue_html"]
    assert item(tasks.captions[0].result, "caption")["value"]["text"] == ["<b>bold</b>"]


def test_characters_of_one_short_name_are_told_apart():
    twins = [Character(id=f"t{i}", name=f"Thom{'p' * i}son", short="Thom") for i in (0, 1)]
    same = [Character(id=f"s{i}", name="John Smith", short="John") for i in (0, 1)]
    labels = people_of(Bible(title="x", characters=(*twins, *same)))
    assert list(labels.values()) == ["Thomson", "Thompson", "John Smith (s0)", "John Smith (s1)"]


def test_the_revision_follows_what_is_shown_and_nothing_else(built, segment):
    first = built([segment(1, "hello there")]).transcripts[0]
    again = built([segment(1, "hello there")]).transcripts[0]
    other = built([segment(1, "hello their")]).transcripts[0]
    assert first.rev == again.rev != other.rev
    assert item(first.result, "rev")["value"]["text"] == [first.rev]


def test_the_revision_of_a_task_is_stable_across_releases(built, segment, doubt):
    line = segment(1, "bring cone")
    (task,) = built([line], [doubt(line, ("Cohen", 0.6), at=1)]).transcripts
    assert task.rev == "4a24f372454dff59", "all tasks of all shows would be updated: is that meant?"


def test_records_that_do_not_fit_are_refused_with_the_clip(material, bible, segment, doubt):
    line = segment(1, "hello there", speaker=None)
    whole = material([line])
    no_caption = whole.captions.model_copy(update={"captions": ()})
    with pytest.raises(ValueError, match=f"{CLIP}: step2-caption has no caption"):
        tasks_of(type(whole)(whole.scenes, whole.transcript, whole.references, whole.contexts, no_caption), bible, str)
    with pytest.raises(ValueError, match="no character 'nobody'"):
        tasks_of(material([line], [doubt(line, ("nobody", 0.5))]), bible, lambda file: file.name)
    with pytest.raises(ValueError, match="no character 'ghost'"):
        tasks_of(material([segment(1, "boo", speaker="ghost")]), bible, lambda file: file.name)


# Answers back to decisions


def test_a_clip_accepted_as_it_is_reads_as_it_was_shown(built, segment):
    (task,) = built([segment(1.0004, "hello there"), segment(3.6, "over", end=4.1, speaker=None)]).transcripts
    decision = read(task, annotation(task))
    assert isinstance(decision.answer, TranscriptAnswer)
    assert decision.answer.lines == decision.answer.seen == task.shown.lines
    assert (decision.key, decision.episode, decision.clip, decision.by) == (KEY, "s01e01", CLIP, "ann@example.com")
    assert (decision.revision, decision.seconds, decision.skipped) == (task.rev, 4.25, False)


def test_edited_lines_come_back_in_seconds_of_the_episode(built, segment):
    task = built([segment(5, "bring cone", end=6)]).transcripts[0]
    given = annotation(task)
    for each in given["result"]:
        if each["id"] == "s01e01@0005000":
            each["value"] |= {"start": 1.25, "end": 2.0}
    item(given["result"], "text")["value"]["text"] = ["Bring  Cohen "]
    item(given["result"], "speaker")["value"]["labels"] = ["Cohen"]
    times = {"start": 1.25, "end": 2.0}
    given["result"].append(
        {"id": "s01e01@0005000", "from_name": "flag", "type": "choices", "value": times | {"choices": ["overlap"]}}
    )
    (line,) = read(task, given).answer.lines
    assert (line.span.start, line.span.end, line.speaker, line.text, line.flags) == (
        5.25,
        6.0,
        "cohen",
        "Bring Cohen",
        ("overlap",),
    )


def test_new_and_removed_lines_come_back(built, segment):
    task = built([segment(0.5, "one two"), segment(2, "three")]).transcripts[0]
    given = annotation(task)
    given["result"] = [i for i in given["result"] if i["id"] != "s01e01@0000500"]
    times = {"start": 3.0, "end": 3.5}
    given["result"] += [
        {"id": "x1", "from_name": "speaker", "type": "labels", "value": times | {"labels": ["UNKNOWN"]}},
        {"id": "x1", "from_name": "text", "type": "textarea", "value": times | {"text": ["four"]}},
    ]
    answer = read(task, given).answer
    assert [(line.id, line.text, line.speaker) for line in answer.lines] == [
        ("s01e01@0002000", "three", "reyes"),
        ("x1", "four", None),
    ]
    assert len(answer.seen) == 2


def test_answers_come_back_by_doubt_with_what_they_mean(built, segment, doubt):
    line = segment(1, "where is cone?", speaker=None)
    doubts = [doubt(line, ("Cohen?", 0.8), at=2), doubt(line, ("cohen", 0.5))]
    (task,) = built([line], doubts).transcripts
    given = annotation(task)
    for slot, label in (("q_a", "Cohen"), ("q_b", "UNKNOWN"), ("clip_flag", "second look")):
        given["result"].append({"id": slot, "from_name": slot, "type": "choices", "value": {"choices": [label]}})
    given["result"].append({"id": "n", "from_name": "note", "type": "textarea", "value": {"text": ["hm"]}})
    answer = read(task, given).answer
    assert answer.answers == {"s01e01@0001000/2": "Cohen?", "s01e01@0001000/who": "UNKNOWN"}
    assert (answer.flags, answer.note) == (("second look",), "hm")


def test_a_dropped_caption_comes_back_with_its_reasons(built):
    task = built().captions[0]
    given = annotation(task)
    item(given["result"], "decision")["value"]["choices"] = ["drop"]
    item(given["result"], "caption")["value"]["text"] = ["Better."]
    item(given["result"], "characters")["value"]["choices"] = ["Cohen", "Reyes"]
    given["result"].append({"id": "d", "from_name": "drop_reason", "type": "choices", "value": {"choices": ["blurry"]}})
    answer = read(task, given).answer
    assert isinstance(answer, CaptionAnswer)
    assert (answer.verdict, answer.reasons, answer.text) == ("drop", ("blurry",), "Better.")
    assert (answer.seen, answer.characters) == ("A close-up of Reyes in s01e01_0000000.", ("reyes", "cohen"))


def test_a_reason_chosen_before_keeping_after_all_does_not_count(built):
    task = built().captions[0]
    given = annotation(task)
    given["result"].append({"id": "d", "from_name": "drop_reason", "type": "choices", "value": {"choices": ["blurry"]}})
    assert read(task, given).answer.reasons == ()


def test_a_skipped_task_is_a_decision_without_an_answer(built):
    task = built().captions[0]
    decision = read(task, annotation(task, result=[], was_cancelled=True, lead_time=None))
    assert (decision.skipped, decision.answer, decision.revision, decision.seconds) == (True, None, task.rev, 0.0)


def test_an_answer_is_read_against_the_revision_its_reviewer_saw(built, segment):
    old = built([segment(1, "bring cone")]).transcripts[0]
    new = built([segment(1.5, "bring Cohen")]).transcripts[0]
    decision = read(new, annotation(old), old)
    assert decision.revision == old.rev
    assert decision.answer.seen == decision.answer.lines == old.shown.lines


def test_an_answer_started_from_nothing_is_to_the_task_as_it_stands(built, segment):
    task = built([segment(1, "hello there")]).transcripts[0]
    decision = read(task, annotation(task, result=[]))
    assert (decision.revision, decision.answer.lines) == (task.rev, ())
    assert decision.answer.seen == task.shown.lines


def test_what_cannot_be_read_names_the_task(built, segment):
    task = built([segment(1, "hello there")]).transcripts[0]
    stranger = annotation(task)
    item(stranger["result"], "speaker")["value"]["labels"] = ["Nobody"]
    with pytest.raises(ValueError, match=f"{KEY}, answered by ann@example.com: .*'Nobody', who is not in the cast"):
        read(task, stranger)
    forgotten = annotation(task)
    item(forgotten["result"], "rev")["value"]["text"] = ["0123"]
    with pytest.raises(ValueError, match=f"{KEY}: .* revision 0123, which the task does not remember"):
        read(task, forgotten)
    with pytest.raises(ValueError, match="task 7 has no 'key': it was not made by Dailies"):
        answers.decision("captions", {}, {}, annotation(task), "ann@example.com")
    caption = built().captions[0]
    undecided = annotation(caption)
    undecided["result"].remove(item(undecided["result"], "decision"))
    with pytest.raises(ValueError, match="neither keep, drop nor second look"):
        read(caption, undecided)


# The proof that a task fits its config


def test_every_task_fits_its_labeling_config(built, segment, doubt):
    line = segment(1, "where is cone?", speaker=None)
    tasks = built([line], [doubt(line, ("Cohen?", 0.8), at=2), doubt(line, ("cohen", 0.5))])
    for task in (*tasks.transcripts, *tasks.captions):
        interface.check(task)


def test_a_prediction_that_does_not_fit_is_refused_with_clip_and_field(built, segment):
    (task,) = built([segment(1, "hello there")]).transcripts
    broken = {"speaker": ("labels", ["Nobody"]), "text": ("text", "no list"), "rev": ("text", None)}
    for name, (field, value) in broken.items():
        bad = copy.deepcopy(task)
        item(bad.result, name)["value"][field] = value
        with pytest.raises(ValueError, match=f"{KEY}: the prediction does not fit transcript.xml: {name} of "):
            interface.check(bad)
    lacking = copy.deepcopy(task)
    del lacking.data["q_c_ask"]
    with pytest.raises(ValueError, match=f"{KEY}: transcript.xml shows \\$q_c_ask, which the task lacks"):
        interface.check(lacking)
