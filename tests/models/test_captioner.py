import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.captioner import Facts, Look, Person, Said, write
from pipeline.models.quoting import requote, unmatched

WIDE = Look(scale="wide shot", camera="pan", brightness=0.2, warmth=0.2, faces=0)
CLOSE = Look(scale="extreme close-up", camera="static", brightness=0.4, warmth=0, faces=1)
REYES = Person(id="reyes", name="Reyes")
PRYCE = Person(id="pryce", name="Pryce")


def said(text, speaker=None, to=None, segment="s", sure=1):
    return Said(segment=segment, text=text, speaker=speaker, spoken_to=to, sure=sure)


def facts(*lines, looks=(WIDE,), clip="c1", place=None, **more):
    return Facts(clip=clip, looks=looks, place=place, said=lines, has_sound=more.pop("has_sound", True), **more)


def test_a_question_is_asked_of_the_one_it_names_and_answered():
    caption = write(facts(said("Any sign, Pryce?", REYES, PRYCE, "a"), said("No.", PRYCE, segment="b"), looks=()))
    assert caption.text == 'Reyes asks Pryce, "Any sign, Pryce?" Pryce answers, "No."'
    assert caption.characters == ("reyes", "pryce")
    assert [quote.text for quote in caption.quotes] == ["Any sign, Pryce?", "No."]


def test_the_absence_of_speech_and_of_sound_is_stated():
    assert write(facts(looks=())).text in {
        "No one speaks.", "Nobody speaks.", "There is no dialogue.", "Not a word is spoken."
    }  # fmt: skip
    assert write(facts(looks=(), has_sound=False)).text == "There is no sound."


def test_a_speaker_nobody_knows_is_someone():
    assert write(facts(said("Over here"))).text.endswith('Someone says, "Over here".')
    assert 'One face is in view. Someone says, "Over here".' in write(facts(said("Over here"), looks=(CLOSE,))).text


def test_a_pause_mark_at_the_end_is_not_quoted_and_inner_quotation_marks_become_single():
    caption = write(facts(said('And I said, "No",', REYES), looks=()))
    assert caption.text == "Reyes says, \"And I said, 'No'\"."
    assert unmatched(caption) == ()


def test_the_picture_is_told_in_several_wordings_that_all_say_the_same():
    texts = {write(facts(clip=f"c{number}", place="Lantern Street")).text for number in range(40)}
    pictures = {re.split(r"\. (?=N|There)", text)[0] for text in texts}
    assert pictures == {
        "A wide shot at Lantern Street in dim, warm light, the camera panning",
        "In dim, warm light, the camera pans: a wide shot at Lantern Street",
        "In dim, warm light, a wide shot at Lantern Street, the camera panning",
        "A wide shot at Lantern Street; the camera pans, and the picture is in dim, warm light",
    }


def test_a_shot_of_no_known_scale_is_told_by_what_the_camera_does():
    look = WIDE.model_copy(update={"scale": None, "heading": "left"})
    texts = {write(facts(looks=(look,), clip=f"c{number}", place="Lantern Street")).text for number in range(40)}
    assert {re.split(r"\. (?=N|There)", text)[0] for text in texts} == {
        "The camera pans left at Lantern Street, in dim, warm light",
        "In dim, warm light, the camera pans left at Lantern Street",
        "At Lantern Street, in dim, warm light, the camera pans left",
    }


def test_several_shots_are_told_in_their_order():
    text = write(facts(looks=(WIDE, CLOSE, WIDE), clip="c")).text
    assert re.match(
        r"A wide shot in dim, warm light, the camera panning; (then|next,|the film cuts to) an extreme close-up, "
        r"the camera still; (then|next,|the film cuts to) a wide shot, the camera panning\.",
        text,
    )


@pytest.mark.parametrize(("faces", "told"), [(1, "One face is"), (2, "Two faces are"), (9, "Several faces are")])
def test_faces_are_counted_in_words(faces, told):
    text = write(facts(looks=(CLOSE.model_copy(update={"faces": faces}),))).text
    assert f"{told} in view." in text


def test_looks_are_told_only_where_they_are_given():
    dressed = REYES.model_copy(update={"looks": "black bob, yellow coat"})
    line = said("No.", dressed)
    assert "Reyes: black bob, yellow coat. Reyes says" in write(facts(line)).text
    assert "coat" not in write(facts(said("No.", REYES))).text


def test_the_score_falls_with_unsure_words_and_unknown_speakers():
    clear, unsure = write(facts(said("No.", REYES))).score, write(facts(said("No.", REYES, sure=0.5))).score
    assert clear > unsure > write(facts(said("No.", sure=0.5))).score


NAMES = st.sampled_from([None, REYES, PRYCE])
LINES = st.lists(
    st.tuples(st.text("ab .,?!\"'", min_size=1, max_size=9).filter(lambda t: any(map(str.isalpha, t))), NAMES, NAMES)
)


@given(LINES, st.sampled_from([(), (WIDE,), (WIDE, CLOSE)]), st.integers(0, 50))
def test_every_quote_stands_in_the_text_once_in_order_and_can_be_taken_out(lines, looks, number):
    heard = [said(text.strip(), who, to, f"s{i}") for i, (text, who, to) in enumerate(lines)]
    caption = write(facts(*heard, looks=looks, clip=f"c{number}"))
    assert unmatched(caption) == ()
    assert [quote.segment for quote in caption.quotes] == [line.segment for line in heard]
    bare = requote(caption, {quote.segment: None for quote in caption.quotes})
    assert bare.quotes == ()
    assert '"' not in bare.text
    assert caption == write(facts(*heard, looks=looks, clip=f"c{number}"))
