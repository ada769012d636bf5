"""New words over an old stretch of speech."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipeline.schemas.timeline import Span, Word
from pipeline.schemas.wording import retimed


def words(*said: tuple[str, float, float]) -> list[Word]:
    return [Word(text=text, span=Span(start=start, end=end), probability=0.5) for text, start, end in said]


LINE = words(("Are", 1.0, 1.2), ("you", 1.2, 1.5), ("doctor", 1.5, 2.0), ("cone?", 2.0, 2.6))
SPAN = Span(start=1.0, end=2.6)


def texts(found) -> list[str]:
    return [word.text for word in found]


def spans(found) -> list[tuple[float, float]]:
    return [(word.span.start, word.span.end) for word in found]


def test_unchanged_words_keep_their_times_and_a_replaced_word_takes_its_predecessors():
    found = retimed("Are you Doctor Cohen?", LINE, SPAN)
    assert texts(found) == ["Are", "you", "Doctor", "Cohen?"]
    assert spans(found) == spans(LINE)
    assert [word.probability for word in found] == [0.5, 0.5, 0.5, 1.0]


def test_more_words_share_the_time_of_those_they_replace():
    found = retimed("Are you Aaron B. Cohen?", LINE, SPAN)
    assert spans(found)[:2] == spans(LINE)[:2]
    assert found[2].span.start == 1.5
    assert found[-1].span.end == 2.6
    assert all(a.span.end == b.span.start for a, b in pairwise(found[1:]))


def test_an_added_word_fills_a_pause_or_else_shares_the_time_of_the_word_before():
    gap = words(("Wait", 0.0, 0.5), ("here", 1.5, 2.0))
    assert spans(retimed("Wait right here", gap, Span(start=0, end=2)))[1] == (0.5, 1.5)
    tight = retimed("Are you really doctor cone?", LINE, SPAN)
    assert texts(tight)[2] == "really"
    assert tight[1].span.start == 1.2
    assert tight[2].span.end == 1.5
    assert spans(tight)[3:] == spans(LINE)[2:]


def test_a_word_added_in_front_takes_the_first_half_of_the_first_word_where_there_is_no_pause():
    found = retimed("And are you doctor cone?", LINE, SPAN)
    assert found[0].span == Span(start=1.0, end=1.1)


def test_a_moved_line_moves_its_words():
    found = retimed("Are you doctor cone?", LINE, Span(start=2.0, end=3.6))
    assert [round(start, 6) for start, _ in spans(found)] == [2.0, 2.2, 2.5, 3.0]


def test_a_line_without_old_words_is_shared_by_letters():
    assert spans(retimed("Oh nooo", (), Span(start=0, end=6))) == [(0, 2), (2, 6)]


@given(
    st.lists(st.sampled_from(["a", "b", "c", "dd", "eee", ",", "f."]), min_size=1, max_size=8),
    st.lists(st.sampled_from(["a", "b", "c", "dd", "xyz", ",", "f?"]), min_size=1, max_size=8),
)
def test_every_new_word_is_timed_within_the_line(old, new):
    line = words(*((text, float(i), i + 0.9) for i, text in enumerate(old)))
    span = Span(start=0, end=line[-1].span.end)
    found = retimed(" ".join(new), line, span)
    assert texts(found) == new
    assert all(span.start <= w.span.start < w.span.end <= span.end for w in found)
    assert [w.span.start for w in found] == sorted(w.span.start for w in found)
