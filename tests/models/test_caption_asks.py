import json

import pytest

from pipeline.models import caption_asks, captioner
from pipeline.models.caption_asks import Brief, Role
from pipeline.models.captioner import Facts, Look, Person, Said
from pipeline.models.quoting import unmatched
from pipeline.models.vlm import Text
from pipeline.models.vlm_parsing import parse

REYES = Person(id="reyes", name="Reyes")
PRYCE = Person(id="pryce", name="Pryce")
LOOK = Look(scale="close-up", camera="static", brightness=0.2, warmth=0.1, faces=1)


def said(number, text, speaker=None, sure=0.9):
    return Said(segment=f"e@{number}", text=text, speaker=speaker, spoken_to=None, sure=sure)


LINES = (said(1, "Any sign, Pryce?", REYES), said(2, "No.", PRYCE), said(3, "Wait,"))


def brief(lines=LINES, **more):
    facts = Facts(clip="c", looks=(LOOK,), place="Lantern Street", said=lines, has_sound=True)
    cast = (Role(id="reyes", name="Reyes", looks="mustard coat"), Role(id="pryce", name="Pryce", looks="grey hat"))
    return Brief(facts=facts, cast=cast, place_looks="narrow and cobbled", **more)


def answer(caption, **more):
    seen = {"characters": ["pryce"], "shot": "close-up", "camera": "static", "light": "warm  light", "sounds": "rain"}
    return {**seen, "caption": caption, **more}


def read(caption, lines=LINES, confidence=None):
    return caption_asks.caption(brief(lines), answer(caption), confidence or {"characters": 0.8, "shot": 0.5}, "")


def test_the_lines_stand_where_their_numbers_stood_word_for_word():
    made = read("Reyes peers down the street and asks, [1]. Pryce shakes his head: [2]. Someone calls, [3], and runs.")
    assert made.text == (
        'Reyes peers down the street and asks, "Any sign, Pryce?" Pryce shakes his head: "No." '
        'Someone calls, "Wait", and runs.'
    )
    assert [quote.segment for quote in made.quotes] == ["e@1", "e@2", "e@3"]
    assert unmatched(made) == ()


def test_quotes_are_listed_as_they_stand_and_lines_left_out_follow_at_the_end():
    made = read('Pryce says "[2]" to Reyes.')
    assert made.text.startswith('Pryce says "No." to Reyes. ')
    assert [quote.segment for quote in made.quotes] == ["e@2", "e@1", "e@3"]
    assert unmatched(made) == ()


def test_a_number_that_stands_twice_or_is_nobodys_is_taken_out():
    made = read("Reyes asks, [1]. Again, [1]. Pryce, [2]. Someone, [3]. A ghost, [9].")
    assert made.text == 'Reyes asks, "Any sign, Pryce?" Again. Pryce, "No." Someone, "Wait". A ghost.'
    assert unmatched(made) == ()


def test_who_is_seen_and_who_is_heard_are_both_in_it():
    made = read("Reyes asks, [1].", LINES[:1])
    assert made.characters == ("pryce", "reyes")
    assert (made.observed.light, made.observed.sounds) == ("warm light", "rain")


def test_the_score_is_the_surety_of_the_words_times_the_least_sure_thing_seen():
    assert read("[1]", LINES[:1]).score == pytest.approx(0.9 * 0.5)
    assert read("[3]", LINES[2:]).score == pytest.approx(0.9 * 0.7 * 0.5)


def test_where_the_model_gave_nothing_the_measured_caption_stands_and_says_so():
    told = brief()
    made = caption_asks.caption(told, None, {}, "the answer was cut off")
    plain = captioner.write(told.facts)
    assert made.text == plain.text
    assert made.notes[-1] == "no caption by a model (the answer was cut off): written from what was measured"
    assert made.score < plain.score / 2


def test_a_request_tells_the_scene_first_and_the_clip_last():
    asked = caption_asks.request(brief(examples=("An example.",)), [], instructions="Do.", with_short=False, samples=1)
    scene, examples, clip = [part.text for part in asked.parts if isinstance(part, Text)]
    assert "Lantern Street: narrow and cobbled." in scene
    assert "- pryce: Pryce, grey hat" in scene
    assert examples.endswith("An example.")
    assert "[1] Reyes: Any sign, Pryce?\n[2] Pryce: No.\n[3] someone: Wait," in clip
    assert "A close-up" in clip or "close-up" in clip
    other = brief(LINES[:1], examples=("An example.",))
    assert caption_asks.request(other, [], instructions="Do.", with_short=False, samples=1).parts[0] == asked.parts[0]


def test_faults_are_told_where_a_clip_is_asked_about_again():
    asked = caption_asks.request(
        brief(), [], instructions="", with_short=False, samples=1, findings="unknown name: “X”"
    )
    assert "unknown name: “X”" in asked.parts[-1].text


@pytest.mark.parametrize("with_short", [False, True])
def test_the_answer_of_the_schema_is_one_that_can_be_read(with_short):
    told = brief()
    schema = caption_asks.schema(told, with_short)
    given = answer("Reyes asks, [1].", short="Reyes asks [1] about it.") if with_short else answer("Reyes asks, [1].")
    parsed = parse(json.dumps(given), schema)
    assert parsed.problem == ""
    made = caption_asks.caption(told, parsed.data, {}, "")
    assert made.short == ("Reyes asks about it." if with_short else "")
    strangers = parse(json.dumps(given | {"characters": ["ghost"]}), schema)
    assert strangers.data is None


def test_a_scene_without_anybody_allows_no_character():
    told = brief().model_copy(update={"cast": ()})
    assert parse('{"characters": []}', caption_asks.schema(told, False)).data is None  # The rest is missing.
    made = caption_asks.caption(told, answer("Rain.", characters=[]), {}, "")
    assert made.characters == ("reyes", "pryce")


def test_the_examples_shown_are_those_most_like_the_clip():
    chosen = caption_asks.alike(
        brief(), ["A beach at noon.", "On Lantern Street, Pryce waits.", "Cohen eats a cone at the diner."], 1
    )
    assert chosen == ("On Lantern Street, Pryce waits.",)
