from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.lines import MAX_CHARACTERS, MAX_SECONDS, Breaks, cut, ends_sentence, numbered, shot_of
from pipeline.schemas.timeline import Shot, Span, Word

BREAKS = Breaks(gap=0.8, sentence_gap=0.1)


def words(text, start=0.0, seconds=0.3, pause=0.0):
    """Words of `seconds` each, `pause` apart; "|" waits a second."""
    result = []
    for part in text.split():
        if part == "|":
            start += 1.0
            continue
        result.append(Word(text=part, span=Span(start=round(start, 3), end=round(start + seconds, 3)), probability=1))
        start += seconds + pause
    return result


def shots(*cuts, end=1000.0):
    bounds = [0.0, *cuts, end]
    return [Shot(index=i, span=Span(start=a, end=b)) for i, (a, b) in enumerate(pairwise(bounds))]


def texts(found):
    return [" ".join(word.text for word in line.words) for line in found]


def test_a_pause_ends_a_line():
    assert texts(cut(words("where is | the file"), shots(), BREAKS)) == ["where is", "the file"]


def test_the_end_of_a_sentence_ends_a_line_where_there_is_a_breath():
    assert texts(cut(words("It is. So what?", pause=0.15), shots(), BREAKS)) == ["It is.", "So what?"]
    assert texts(cut(words("It is. So what?"), shots(), BREAKS)) == ["It is. So what?"]


def test_a_word_belongs_to_the_shot_that_holds_its_middle():
    found = list(cut(words("over here both of you"), shots(0.7), BREAKS))
    assert texts(found) == ["over here", "both of you"]
    assert [line.shot for line in found] == [0, 1]


def test_the_first_word_of_the_next_sentence_is_no_part_of_the_line_before_a_cut():
    found = texts(cut(words("Nobody followed me home. Good evening, I am Dr. Cohen."), shots(1.5), BREAKS))
    assert found == ["Nobody followed me home.", "Good", "evening, I am Dr. Cohen."]


def test_a_long_line_is_cut_where_the_sense_allows():
    said = "I have been waiting here for the whole evening, and the file that you want is in the hands of the other man"
    found = texts(cut(words(said), shots(), BREAKS))
    assert found[0].endswith("evening,")
    assert " ".join(found) == said


def test_titles_and_initials_end_no_sentence():
    assert all(ends_sentence(text) for text in ("here.", 'here?"', "I.", "no.", "はい。"))
    assert not any(ends_sentence(text) for text in ("Dr.", "J.", "Mr.", "word", "word,"))


def test_sound_before_the_first_shot_and_after_the_last_is_theirs():
    some = [Shot(index=3, span=Span(start=1, end=2)), Shot(index=4, span=Span(start=2, end=3))]
    assert [shot_of(at, some) for at in (0.0, 1.0, 1.999, 2.0, 9.0)] == [3, 3, 3, 4, 4]


def test_segments_are_named_by_their_start_and_never_alike():
    lines = [line for at in (12.34, 5.0, 5.0) for line in cut(words("yes", start=at), shots(), BREAKS, "reyes")]
    found = numbered("s01e01", lines)
    assert [segment.id for segment in found] == ["s01e01@0005000", "s01e01@0005001", "s01e01@0012340"]
    assert {segment.speaker for segment in found} == {"reyes"}


@given(
    st.lists(
        st.tuples(st.text("ab.,?", min_size=1, max_size=12), st.floats(0.02, 1.5), st.floats(0, 1.2)), max_size=60
    ),
    st.lists(st.floats(0.1, 90), max_size=6, unique=True),
)
def test_every_word_is_in_one_line_of_one_shot_and_lines_are_short_enough(said, cuts):
    at, spoken = 0.0, []
    for text, seconds, pause in said:
        spoken.append(Word(text=text, span=Span(start=at, end=at + seconds), probability=1))
        at += seconds + pause
    some = shots(*sorted(cuts))
    found = list(cut(spoken, some, BREAKS))
    assert [word for line in found for word in line.words] == spoken
    for line in found:
        assert {shot_of(word.span.middle, some) for word in line.words} == {line.shot}
        if len(line.words) > 1:
            assert line.words[-1].span.end - line.words[0].span.start <= MAX_SECONDS
            assert sum(len(word.text) + 1 for word in line.words) - 1 <= MAX_CHARACTERS
    assert len({segment.id for segment in numbered("e", found)}) == len(found)


@pytest.mark.parametrize("shots_", [shots(), shots(0.1)])
def test_silence_has_no_lines(shots_):
    assert list(cut([], shots_, BREAKS)) == []
