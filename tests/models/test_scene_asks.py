import json

import jsonschema
import numpy as np
import pytest

from pipeline.models.scene_asks import INSTRUCTIONS, Ask, Budget, Clip, Still, plan, read, request, schema, told
from pipeline.models.vlm import Picture, Sound, Text
from pipeline.schemas.story import UNKNOWN, Bible, Candidate, Character, Doubt, Place, Term
from pipeline.schemas.timeline import Segment, Span, Word

CAST = ["ann", "bo"]
BIBLE = Bible(
    title="Toy",
    characters=(
        Character(id="ann", name="Ann Marr", short="Ann", aliases=("Annie",), role="the lead", looks="red coat"),
        Character(id="bo", name="Bo", short="Bo"),
    ),
    places=(Place(id="pier", name="The Pier", looks="wet planks"),),
    terms=(Term(term="Halcyon", kind="operation", note="a party"),),
)


def line(number, text="Is it late?", speaker=None):
    at = 10.0 * number
    words = tuple(
        Word(text=word, span=Span(start=at + i / 2, end=at + i / 2 + 0.4), probability=0.9)
        for i, word in enumerate(text.split())
    )
    return Segment(id=f"e@{number}", shot=0, words=words, speaker=speaker)


def doubt(number, kind="text", values=("late?", "Kate?")):
    return Doubt(
        id=f"e@{number}:{kind}", kind=kind, segment=f"e@{number}", span=Span(start=number, end=number + 1),
        first_word=2, last_word=2, heard="late?", context="", evidence=("secret: 0.73",),
        candidates=tuple(Candidate(value=value, score=0.4) for value in values),
    )  # fmt: skip


LINES = [line(number) for number in range(30)]
ASK = Ask(0, tuple(LINES[:3]), (doubt(1), doubt(1, "speaker", ("ann", UNKNOWN))))


def texts(made):
    return [part.text for part in made.parts if isinstance(part, Text)]


def asked(**more):
    return request(ASK, BIBLE, instructions=INSTRUCTIONS, voices={"e@0": "A", "e@1": "A"}, **more)


def test_doubts_near_each_other_are_asked_together_with_the_lines_around_them():
    (ask,) = plan(0, LINES, [doubt(12), doubt(10)], Budget(lines=24, overlap=6))
    assert [each.segment for each in ask.doubts] == ["e@10", "e@12"]
    assert (ask.lines[0].id, ask.lines[-1].id) == ("e@4", "e@18")


def test_doubts_far_apart_or_too_many_are_asked_one_after_the_other_and_each_once():
    far = [doubt(number, kind) for number in range(30) for kind in ("text", "speaker")]
    asks = list(plan(0, LINES, far, Budget(lines=10, overlap=3, questions=4)))
    assert [each.id for ask in asks for each in ask.doubts] == [each.id for each in far]
    assert all(len(ask.doubts) <= 4 and len(ask.lines) <= 10 for ask in asks)
    assert all({each.segment for each in ask.doubts} <= {s.id for s in ask.lines} for ask in asks)


def test_what_is_equal_for_the_whole_show_comes_first_and_names_everybody():
    first, last = texts(asked())[0], texts(asked())[-1]
    assert first == told(BIBLE)
    assert "- ann: Ann Marr; called Ann, Annie; the lead; looks: red coat" in first
    assert "- Halcyon (operation): a party" in first
    assert "The Pier: wet planks" in first
    assert "2. 10.0 s [voice A] ?:" in last


def test_a_question_shows_the_answers_and_nothing_of_how_they_are_scored():
    last = texts(asked())[-1]
    assert 'Question 1: in line 2, what is said where "late?" was heard? late? | Kate? | other' in last
    assert "Question 2: who says line 2?" in last
    assert not any("secret" in text or "0.4" in text for text in texts(asked()))


def test_pictures_and_sound_stand_behind_words_that_say_what_they_are():
    made = asked(
        references=[("ann", np.zeros((4, 4, 3), np.uint8))],
        stills=[Still(12.34, np.ones((4, 4, 3), np.uint8))],
        clips=[Clip("e@1", np.zeros(16, np.float32))],
    )
    before = [made.parts[at - 1].text for at, part in enumerate(made.parts) if isinstance(part, Picture | Sound)]
    assert before == ["ann looks like this:", "The picture at 12.3 s:", "Line 2 sounds like this:"]


def test_every_answer_is_bounded_and_measured():
    made = asked()
    assert made.measured == ("answer1", "answer2")
    rules = made.schema["properties"]
    assert list(rules) == ["why1", "answer1", "other1", "also1", "why2", "answer2", "also2"]
    assert rules["answer1"]["enum"] == ["late?", "Kate?", "other"]
    assert rules["answer2"]["enum"] == ["ann", "bo", UNKNOWN, "OTHER"]
    assert all("maxLength" in each or "enum" in each or "maxItems" in each for each in rules.values())
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(schema(ASK, CAST))))


def answer(**changed):
    data = {"why1": "it rhymes", "answer1": "Kate?", "other1": "", "also1": ["late?", "Kate?"], "why2": "",
            "answer2": "ann", "also2": []} | changed  # fmt: skip
    return read(ASK, CAST, data, {"answer1": 0.9, "answer2": 0.8})


def test_a_whole_answer_is_read():
    first, second = answer()
    assert (first.value, first.confidence, first.reason, first.alternatives) == ("Kate?", 0.9, "it rhymes", ("late?",))
    assert (second.value, second.confidence) == ("ann", 0.8)


def test_other_words_are_taken_as_they_are_without_control_characters():
    assert answer(answer1="other", other1=" fate\x00\n? ")[0].value == "fate ?"
    assert answer(answer1="other", other1="")[0].problem == 'question 1 was answered "other", without words'


def test_somebody_whom_the_bible_does_not_know_is_unknown():
    assert answer(answer2="OTHER")[1].value == UNKNOWN


@pytest.mark.parametrize("wrong", [{"answer1": "Bob"}, {"answer1": None}, {"answer1": 3}, {"answer1": ["Kate?"]}])
def test_an_answer_that_is_none_of_those_allowed_is_a_problem_of_that_question_alone(wrong):
    first, second = answer(**wrong)
    assert (first.value, first.confidence, first.problem) == (
        None, None, "question 1 was not answered with one of its answers",
    )  # fmt: skip
    assert second.value == "ann"


def test_no_answer_at_all_is_a_problem_of_every_question():
    assert [each.problem for each in read(ASK, CAST, None, {}, "cut off")] == ["cut off", "cut off"]
