"""Made-up voices in a space of 32 dimensions: what they share, what is theirs, and some noise."""

import numpy as np
import pytest

from pipeline.models.voices import Grouping, Line, grouped

HOW = Grouping(alike=0.3, founding_seconds=1.0, least_alike=0.3)
SPACE = 32


def voice(number):
    return np.random.default_rng(1000 + number).normal(size=SPACE)


ROOM = voice(99)


def line(name, who, seconds=2.0, noise=0.3, **marks):
    own = np.random.default_rng(list(map(ord, name)))
    vector = ROOM + 0.9 * voice(who) + noise * own.normal(size=SPACE)
    return Line(name, tuple(vector / np.linalg.norm(vector)), seconds, **marks)


def episode(name, *speakers):
    return [line(f"{name}@{index:07d}", who) for index, who in enumerate(speakers)]


def voices_of(placed):
    return {name: [place.voice for place in places] for name, places in placed.items()}


def test_lines_of_one_voice_are_one_voice_in_every_episode_and_named_after_the_first():
    found = voices_of(grouped({"a": episode("a", 0, 1, 0, 2), "b": episode("b", 2, 0, 3)}, HOW))
    zero, one, two = "voice-a@0000000", "voice-a@0000001", "voice-a@0000003"
    assert found == {"a": [zero, one, zero, two], "b": [two, zero, "voice-b@0000002"]}


@pytest.mark.parametrize("speakers", [(0,), (0, 0, 0, 0, 0, 0), (0, 1, 0, 1)])
def test_few_voices_are_not_taken_apart(speakers):
    assert len(set(voices_of(grouped({"a": episode("a", *speakers)}, HOW))["a"])) == len(set(speakers))


def test_another_episode_renames_no_voice():
    first = {"a": episode("a", 0, 1, 0, 2, 1)}
    before = voices_of(grouped(first, HOW))["a"]
    assert voices_of(grouped({**first, "b": episode("b", 4, 1, 5, 0)}, HOW))["a"] == before


def test_an_episode_in_which_nobody_speaks_has_no_lines_and_stops_no_other():
    silent, spoken = {"b": []}, {"a": episode("a", 0, 1)}
    assert grouped({**spoken, **silent}, HOW) == {**grouped(spoken, HOW), "b": []}
    assert grouped(silent, HOW) == {"b": []}


def test_a_short_line_joins_a_voice_and_founds_none():
    lines = [*episode("a", 0, 1, 2), line("a@0000009", 1, seconds=0.6)]
    *_, short = grouped({"a": lines}, HOW)["a"]
    assert (short.voice, short.founds) == ("voice-a@0000001", False)
    *_, stranger = grouped({"a": [*lines[:3], line("a@0000009", 7, seconds=0.6)]}, HOW)["a"]
    assert stranger.voice is None


def test_short_lines_alone_are_nobodys():
    lines = [line(f"a@{index:07d}", 0, seconds=0.5) for index in range(3)]
    assert voices_of(grouped({"a": lines}, HOW)) == {"a": [None] * 3}


def test_a_line_without_a_sound_has_no_voice():
    silent = Line("a@0000009", (), 0.1)
    places = grouped({"a": [*episode("a", 0, 1), silent]}, HOW)["a"]
    assert (places[-1].voice, places[-1].likeness) == (None, None)


def test_short_lines_of_one_turn_found_a_voice_together():
    turn = [line("a@0000007", 3, seconds=0.6), line("a@0000008", 3, seconds=0.6, goes_on=True)]
    places = grouped({"a": [*episode("a", 0, 1), *turn]}, HOW)["a"]
    assert [place.voice for place in places[-2:]] == ["voice-a@0000007"] * 2


def test_a_line_of_two_people_changes_nobodys_voice():
    plain = episode("a", 0, 1, 0, 1)
    both = line("a@0000009", 5, overlap=True)
    without, with_it = grouped({"a": plain}, HOW)["a"], grouped({"a": [*plain, both]}, HOW)["a"]
    assert with_it[:-1] == without
    assert not with_it[-1].founds


def test_no_episode_has_no_voice():
    assert grouped({}, HOW) == {}
