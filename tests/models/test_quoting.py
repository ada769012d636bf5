import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.quoting import requote, unmatched
from pipeline.schemas.captions import Caption, Quote
from pipeline.schemas.wording import quotable


def caption(text, *quotes):
    told = tuple(Quote(segment=segment, speaker=speaker, text=said) for segment, speaker, said in quotes)
    return Caption(clip="c", text=text, quotes=told, characters=(), score=1)


def quote(segment, speaker, text):
    return Quote(segment=segment, speaker=speaker, text=text)


A = ("a", "Reyes", "So where is Dr. Cone?")
B = ("b", "an unseen voice", "Well. This one is pistachio!")
C = ("c", "Pryce", "No.")
TEXT = (
    'A wide shot, at night. Reyes asks, "So where is Dr. Cone?" '
    'An unseen voice answers, "Well. This one is pistachio!" Pryce shakes his head: "No." Nobody moves.'
)


def test_a_line_is_replaced_and_all_else_stays_byte_for_byte():
    new = requote(caption(TEXT, A, B, C), {"a": quote("a", "Reyes", "So where is Dr. Cohen?")})
    assert new.text == TEXT.replace("Cone", "Cohen")
    assert new.quotes[0].text == "So where is Dr. Cohen?"
    assert new.quotes[1:] == caption(TEXT, A, B, C).quotes[1:]


def test_a_line_that_is_taken_out_takes_its_sentence_with_it():
    whole = caption(TEXT, A, B, C)
    assert requote(whole, {"a": None}).text == TEXT.replace('Reyes asks, "So where is Dr. Cone?" ', "")
    assert requote(whole, {"b": None}).text == TEXT.replace(
        'An unseen voice answers, "Well. This one is pistachio!" ', ""
    )
    assert requote(whole, {"a": None, "b": None, "c": None}).text == "A wide shot, at night. Nobody moves."


@pytest.mark.parametrize("text", ['Night. Pryce says, "No."', 'Night. "No." Pryce says.', "Night. “No.” says Pryce."])
def test_the_last_sentence_goes_with_the_space_before_it(text):
    assert requote(caption(text, C), {"c": None}) == caption("Night.")


def test_a_new_speaker_is_named_where_the_old_one_was():
    whole = caption(TEXT, A, B, C)
    new = requote(whole, {"b": quote("b", "Pryce", B[2]), "c": quote("c", "a woman off screen", "No.")})
    assert new.text == TEXT.replace("An unseen voice", "Pryce").replace("Pryce shakes", "A woman off screen shakes")
    back = requote(new, {"b": quote("b", "an unseen voice", B[2]), "c": quote("c", "Pryce", "No.")})
    assert back == whole


def test_a_name_inside_a_quote_is_not_taken_for_the_speaker():
    said = ("a", "Pryce", "Pryce is here.")
    new = requote(caption('"Pryce is here." says Pryce.', said), {"a": quote("a", "Reyes", said[2])})
    assert new.text == '"Pryce is here." says Reyes.'


def test_a_title_does_not_end_a_sentence():
    said = ("a", "Dr. Cohen", "Good evening.")
    assert requote(caption('It rains. Dr. Cohen says, "Good evening." A pan.', said), {"a": None}).text == (
        "It rains. A pan."
    )


def test_two_quotes_in_one_sentence_go_one_by_one():
    text = 'Dusk. Reyes asks, "Where?" and Pryce says, "No." Then rain.'
    whole = caption(text, ("a", "Reyes", "Where?"), C)
    assert requote(whole, {"a": None}).text == 'Dusk. Pryce says, "No." Then rain.'
    assert requote(whole, {"c": None}).text == 'Dusk. Reyes asks, "Where?" Then rain.'
    assert requote(whole, {"a": None, "c": None}).text == "Dusk. Then rain."


def test_equal_lines_are_told_apart_by_their_order():
    whole = caption('Reyes says, "No." Pryce says, "No."', ("a", "Reyes", "No."), ("b", "Pryce", "No."))
    assert requote(whole, {"b": quote("b", "Pryce", "Yes.")}).text == 'Reyes says, "No." Pryce says, "Yes."'
    assert requote(whole, {"a": None}).text == 'Pryce says, "No."'


def test_what_a_person_rewrote_is_found_in_any_order_and_between_any_marks():
    edited = caption("“No.” growls the inspector. Then «So where is Dr. Cone?» is heard.", A, C)
    assert unmatched(edited) == ()
    assert requote(edited, {"c": quote("c", "Pryce", "Never.")}).text == (
        "“Never.” growls the inspector. Then «So where is Dr. Cone?» is heard."
    )
    assert requote(edited, {"c": None}).text == "Then «So where is Dr. Cone?» is heard."


def test_a_line_that_a_person_removed_is_reported_and_changes_nothing():
    edited = caption("No. Nobody says so where is Dr. Cone? here.", A, C)
    assert [q.segment for q in unmatched(edited)] == ["a", "c"]
    assert requote(edited, {"a": None, "c": quote("c", "x", "y")}) == edited


def test_a_line_with_quotation_marks_of_its_own_can_be_quoted():
    said = quotable('And I said, "I\'m not afraid."')
    whole = caption(f'She says, "{said}" Rain.', ("a", "she", said))
    assert unmatched(whole) == ()
    assert requote(whole, {"a": None}).text == "Rain."


LINE = st.text("abc .,?!'é", min_size=1, max_size=12).map(str.strip).filter(bool)


@given(st.lists(LINE, max_size=4), st.lists(LINE, max_size=4), st.data())
def test_replacing_lines_and_putting_them_back_gives_the_same_caption(old, new, data):
    ids = [str(index) for index in range(len(old))]
    text = "Dusk. " + " ".join(f'Pryce says, "{line}"' for line in old)
    whole = caption(text, *((i, "Pryce", line) for i, line in zip(ids, old, strict=True)))
    assert unmatched(whole) == ()
    changed = {i: quote(i, "Pryce", line) for i, line in zip(ids, new, strict=False)}
    there = requote(whole, changed)
    assert unmatched(there) == ()
    assert requote(there, {q.segment: q for q in whole.quotes}) == whole
    gone = data.draw(st.sets(st.sampled_from(ids))) if ids else set()
    left = requote(whole, dict.fromkeys(gone))
    assert [q.segment for q in left.quotes] == [i for i in ids if i not in gone]
    assert unmatched(left) == ()
