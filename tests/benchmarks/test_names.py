"""The generator of misheard names, and the figures that the logic around names and models must keep."""

import pytest

from benchmarks.mishearing import Said, misheard
from benchmarks.names import measure, score, truth
from pipeline.models.lexicon import normal
from pipeline.schemas.story import Character, KnownNames, SettledTranscript

KNOWN = KnownNames(
    language="en",
    characters=(Character(id="cohen", name="Aaron Cohen", short="Cohen", mishearings=("cone",)),),
    places=(),
    terms=(),
)
LINES = (Said("a", "So where is Cohen, he said.", 0.0, 3.0), Said("b", "Bring Cohen to me.", 4.0, 6.0))


def test_the_same_seed_mishears_the_same_and_other_seeds_otherwise():
    assert misheard("e", LINES, KNOWN, 1) == misheard("e", LINES, KNOWN, 1)
    assert len({misheard("e", LINES, KNOWN, seed).transcript.segments[0].text for seed in range(20)}) > 5


def test_only_names_are_misheard_and_every_place_knows_what_was_said():
    for seed in range(30):
        heard = misheard("e", LINES, KNOWN, seed)
        for index, segment in enumerate(heard.transcript.segments):
            assert normal(truth(heard, index, 0, len(segment.words) - 1)) == normal(LINES[index].text)
            places = [place for place in heard.places if place.segment == index]
            assert all(normal(place.right) == "cohen" for place in places)
            wrong = {at for place in places for at in range(place.first, place.last + 1)}
            plain = [normal(word.text) for at, word in enumerate(segment.words) if at not in wrong]
            assert set(plain) <= set(normal(LINES[index].text).split())


def test_what_was_right_and_is_changed_is_counted():
    heard = misheard("e", LINES, KNOWN, 0)
    settled = SettledTranscript(episode="e", language="en", segments=heard.transcript.segments, decisions=(), doubts=())
    found = score(heard, settled)
    assert (found["missed"], found["right"], found["false_changes"]) == (len(heard.places), 0, 0)


@pytest.fixture(scope="module")
def figures():
    return measure(range(3))


def test_nine_of_ten_misheard_names_are_right_or_asked_about(figures):
    assert {name for name, each in figures.items() if each["right_or_raised"] < 0.9} <= {
        "multimodal, 30 % wrong, dishonest"
    }


def test_no_word_that_was_right_is_changed(figures):
    assert {name: each["false_changes"] for name, each in figures.items()} == dict.fromkeys(figures, 0)


def test_a_model_settles_most_of_what_the_words_alone_must_ask(figures):
    alone, asked = figures["lexical"], figures["multimodal, 10 % wrong, honest"]
    assert asked["questions"] < alone["questions"] / 2
    assert asked["right"] > alone["right"] + 0.15
