from itertools import pairwise

import pytest

from pipeline.media.alignment import HEARD, UNHEARD, timed
from pipeline.media.subtitles import Cue
from pipeline.schemas.timeline import Span, Word


def cue(start, end, text):
    return Cue(Span(start=start, end=end), text)


def heard(text, start, seconds=0.3):
    return [
        Word(text=part, span=Span(start=start + i * seconds, end=start + (i + 1) * seconds), probability=0.7)
        for i, part in enumerate(text.split())
    ]


def starts(line):
    return [word.span.start for word in line]


def test_words_heard_alike_have_the_time_at_which_they_were_heard():
    found = timed([cue(1, 3, "Bring Cohen, Pryce.")], heard("bring cohen pryce", 1.2))
    assert [word.text for word in found.lines[0]] == ["Bring", "Cohen,", "Pryce."]
    assert starts(found.lines[0]) == pytest.approx([1.2, 1.5, 1.8])
    assert {word.probability for word in found.lines[0]} == {HEARD}
    assert found.agreement == 1


def test_a_word_heard_as_another_one_has_its_time_and_is_not_agreed_on():
    [line] = timed([cue(1, 3, "Bring Cohen, Pryce.")], heard("bring cone price", 1.2)).lines
    assert starts(line) == pytest.approx([1.2, 1.5, 1.8])
    assert [word.probability for word in line] == [HEARD, UNHEARD, UNHEARD]


def test_words_that_nobody_heard_share_the_gap_between_their_neighbours():
    said = [*heard("over", 1.0), *heard("please", 3.0)]
    [line] = timed([cue(1, 4, "over here now please")], said).lines
    assert starts(line) == pytest.approx([1.0, 1.3, 2.244, 3.0])
    assert all(a.span.end <= b.span.start + 1e-6 for a, b in pairwise(line))


def test_a_cue_that_nobody_heard_begins_with_its_time_and_lasts_as_long_as_its_words_take():
    [line] = timed([cue(10, 16, "Not a sound")], []).lines
    assert line[0].span.start == 10
    assert line[-1].span.end == pytest.approx(10 + 12 / 15, abs=0.01)


def test_the_same_word_of_another_line_is_not_taken():
    found = timed([cue(100, 101, "the end")], heard("the end", 1.0))
    assert starts(found.lines[0])[0] == 100
    assert found.agreement == 0


def test_a_file_that_runs_late_is_noticed_and_its_unheard_words_moved_with_it():
    lines = [f"line number {i} begins" for i in "abcdef"]
    cues = [cue(10 * i, 10 * i + 2, text) for i, text in enumerate(lines)]
    said = [word for i, text in enumerate(lines) for word in heard(text, 10 * i + 4.0)]
    found = timed([*cues, cue(60, 62, "unheard")], said)
    assert found.shift == pytest.approx(4.0)
    assert found.agreement > 0.9
    assert starts(found.lines[-1])[0] == pytest.approx(64.0)


def test_punctuation_that_stands_alone_stays_with_the_word_before():
    [line] = timed([cue(1, 3, "Well - no")], heard("well no", 1.0)).lines
    assert [word.text for word in line] == ["Well -", "no"]


def test_every_word_of_every_cue_comes_back_in_order():
    cues = [cue(0, 2, "one two three"), cue(1, 3, "four"), cue(3, 4, "five six")]
    found = timed(cues, heard("three one six two", 0.5))
    assert [[word.text for word in line] for line in found.lines] == [
        ["one", "two", "three"],
        ["four"],
        ["five", "six"],
    ]
    for line in found.lines:
        assert starts(line) == sorted(starts(line))
