from itertools import pairwise

import pytest

from pipeline.models.listening import joined, stretches
from pipeline.schemas.hearing import Hearing, Passage
from pipeline.schemas.timeline import Span, Word


def spans(*pairs):
    return [Span(start=start, end=end) for start, end in pairs]


def test_a_short_episode_is_one_stretch():
    assert stretches(spans((2, 10), (20, 50)), 62.4) == spans((0, 62.4))


def test_a_long_one_is_cut_in_the_middle_of_silences():
    voices = spans((0, 100), (100.5, 130), (132, 200), (202, 260), (264, 300))
    assert stretches(voices, 320) == spans((0, 131), (131, 262), (262, 320))


def test_without_a_silence_any_pause_will_do():
    voices = [Span(start=i * 10, end=i * 10 + 9.9) for i in range(60)]
    assert stretches(voices, 600)[0].end == pytest.approx(249.95)


def test_stretches_cover_everything_once():
    voices = [Span(start=i * 7.5, end=i * 7.5 + 5) for i in range(400)]
    found = stretches(voices, 3001)
    assert found[0].start == 0
    assert found[-1].end == 3001
    assert all(a.end == b.start for a, b in pairwise(found))


def test_words_are_timed_from_the_first_sample_of_all():
    word = Word(text="yes", span=Span(start=0.5, end=0.9), probability=1)
    hearing = Hearing(language="en", passages=(Passage(words=(word,), log_probability=-0.1, no_speech=0),))
    [_, second] = joined([hearing, hearing], spans((0, 120), (120, 200)))
    assert second.words[0].span == Span(start=120.5, end=120.9)
