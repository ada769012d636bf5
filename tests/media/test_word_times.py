from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.lines import shot_of
from pipeline.media.word_times import FARTHEST_SECONDS, mended
from pipeline.schemas.timeline import Shot, Span, Word


def words(*timed):
    return [Word(text=text, span=Span(start=start, end=end), probability=0.5) for text, start, end in timed]


def spans(*pairs):
    return [Span(start=start, end=end) for start, end in pairs]


def shots(*cuts, end=1000.0):
    return [Shot(index=i, span=Span(start=a, end=b)) for i, (a, b) in enumerate(pairwise([0.0, *cuts, end]))]


def times(found):
    return [(word.text, word.span.start, word.span.end) for word in found]


EVENING = words(
    ("followed", 29.09, 29.53), ("me", 29.53, 29.75), ("home.", 29.75, 30.07), ("Good", 30.07, 30.15),
    ("evening,", 30.15, 31.25), ("I", 31.47, 31.73),
)  # fmt: skip
"""What Whisper base hears in the bundled s01e01, where Cohen begins to speak at 30.735 s, after the cut at 30.5 s."""

VOICED = spans((28.896, 30.176), (30.784, 31.392), (31.648, 32.704))


def test_a_word_begins_where_a_voice_is_heard_to_begin():
    [word] = mended(words(("So", 58.29, 58.89)), spans((58.784, 60.064)), shots())  # Said at 58.755 s.
    assert word.span == Span(start=58.752, end=58.89)


def test_a_word_ends_where_the_voice_ends():
    [word] = mended(words(("home.", 1.0, 2.0)), spans((0.0, 1.5)), shots())
    assert word.span == Span(start=1.0, end=1.532)


def test_the_end_of_the_voice_before_is_no_part_of_a_word():
    [word] = mended(words(("evening,", 30.15, 31.25)), VOICED, shots())
    assert word.span == Span(start=30.752, end=31.25)


def test_a_word_with_a_short_pause_inside_stays_whole():
    said = words(("this", 45.05, 45.99))
    assert mended(said, spans((44.8, 45.344), (45.856, 48.0)), shots()) == tuple(said)


def test_a_word_in_which_no_voice_is_heard_stays_where_it_is():
    said = words(("Don't", 30.48, 30.76))
    assert mended(said, spans((30.88, 31.68)), shots()) == tuple(said)


def test_a_word_that_would_move_far_stays_where_it_is():
    said = words(("Oh", 0.0, 3.0))
    assert mended(said, spans((2.5, 4.0)), shots()) == tuple(said)


def test_a_sentence_begins_after_the_pause_with_all_its_words():
    found = times(mended(EVENING, VOICED, shots(30.5)))
    assert found[:3] == times(EVENING[:3])
    assert found[3:] == [("Good", 30.752, 30.93), ("evening,", 30.93, 31.25), ("I", 31.616, 31.73)]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({3: ("Good.", 30.07, 30.15)}, "it is a sentence of its own"),
        ({3: ("Well,", 30.07, 30.15)}, "people pause at commas"),
        ({2: ("home", 29.75, 30.07)}, "it is in the middle of a sentence"),
        ({2: ("home.", 29.75, 29.95)}, "it is heard apart from the sentence before"),
        ({3: ("Good", 29.87, 30.15), 2: ("home.", 29.75, 29.87)}, "it is longer than a short word"),
        ({4: ("evening,", 30.60, 31.25)}, "the recogniser heard the pause too"),
    ],
)
def test_a_word_before_a_pause_stays_there_where(change, why):
    said = EVENING.copy()
    for index, timed in change.items():
        [said[index]] = words(timed)
    assert mended(said, VOICED, shots())[3] == said[3], why


def test_the_first_word_of_a_phrase_goes_with_the_rest_over_a_cut():
    said = words(("He", 49.92, 50.01), ("came", 50.01, 50.29), ("slowly.", 50.29, 51.15))
    found = mended(said, (), shots(50.125))
    assert times(found) == [("He", 50.125, 50.187), ("came", 50.187, 50.29), ("slowly.", 50.29, 51.15)]


def test_the_last_word_of_a_phrase_goes_with_the_rest_over_a_cut():
    said = words(("in", 1.0, 1.2), ("the", 1.2, 1.4), ("cone.", 1.4, 1.65))
    assert times(mended(said, (), shots(1.5))) == [("in", 1.0, 1.2), ("the", 1.2, 1.4), ("cone.", 1.4, 1.5)]
    assert times(mended(said, (), shots(1.4))) == [("in", 1.0, 1.2), ("the", 1.2, 1.28), ("cone.", 1.28, 1.4)]


def test_words_stay_on_their_side_of_a_cut_where_they_are_really_heard_there():
    for said in (
        words(("an", 1.5, 1.7), ("awful", 1.7, 2.1), ("fear.", 2.16, 2.56)),  # The last word is long.
        words(("I'll", 1.3, 1.6), ("be", 1.6, 1.9), ("down", 1.9, 2.1), ("to", 2.15, 2.3), ("take", 2.3, 2.5)),
        words(("Yes.", 1.9, 2.1), ("No", 2.15, 2.3), ("way", 2.3, 2.5)),  # Another sentence.
        words(("now", 1.9, 2.0), ("and", 2.2, 2.3), ("then", 2.3, 2.5)),  # A pause.
    ):
        assert mended(said, (), shots(2.12)) == tuple(said)


def test_words_that_overlap_never_change_their_order_over_a_cut():
    said = words(("a", 0.25, 1.25), ("b", 0.5, 1.5), ("c", 0.5, 1.0))
    starts = [start for _, start, _ in times(mended(said, (), shots(1.0)))]
    assert starts == sorted(starts)


TEXTS = st.sampled_from(["a", "so", "Good", "evening,", "home.", "well-known", "Dr.", "pistachio!"])
WORDS = st.lists(st.tuples(TEXTS, st.floats(0, 0.8), st.floats(0.02, 1.5)), max_size=30)
STEPS = st.lists(st.floats(0.01, 3), max_size=30)


@given(WORDS, STEPS, STEPS)
def test_words_keep_order_and_text_and_move_only_so_far(said, noises, cuts):
    starts = accumulate(step for _, step, _ in said)
    before = words(*((text, round(at, 3), round(at + s, 3)) for (text, _, s), at in zip(said, starts, strict=True)))
    bounds = [round(at, 3) for at in accumulate(noises)]
    voiced = spans(*((a, b) for a, b in list(pairwise(bounds))[::2] if a < b))
    some = shots(*sorted({round(at, 3) for at in accumulate(cuts)}))
    after = mended(before, voiced, some)
    assert [(w.text, w.probability) for w in after] == [(w.text, w.probability) for w in before]
    assert all(a.span.start <= b.span.start for a, b in pairwise(after))
    for old, new in zip(before, after, strict=True):
        assert abs(new.span.start - old.span.start) <= FARTHEST_SECONDS
        assert abs(new.span.end - old.span.end) <= FARTHEST_SECONDS
    homes = [shot_of(word.span.middle, some) for word in after]
    if all(a.span.end <= b.span.start for a, b in pairwise(after)):
        assert homes == sorted(homes)


@given(WORDS)
def test_where_a_voice_never_pauses_and_the_picture_is_not_cut_nothing_moves(said):
    starts = accumulate(step for _, step, _ in said)
    before = words(*((text, at, at + s) for (text, _, s), at in zip(said, starts, strict=True)))
    assert [times([w]) for w in mended(before, spans((0, 1000)), shots())] == [
        [(w.text, round(w.span.start, 3), pytest.approx(w.span.end, abs=0.02))] for w in before
    ]
