import pytest

from pipeline.media.hallucinations import compression_ratio, loops, marked
from pipeline.schemas.hearing import Passage
from pipeline.schemas.timeline import Segment, Span, Word

VOICES = [Span(start=0, end=100)]


def segment(text, start=1.0, seconds=0.4, probability=0.9):
    words = tuple(
        Word(
            text=part,
            span=Span(start=start + i * seconds, end=start + (i + 1) * seconds),
            probability=probability,
        )
        for i, part in enumerate(text.split())
    )
    return Segment(id=f"e@{round(start * 1000):07d}", shot=0, words=words)


def marks(*segments, voices=VOICES, no_speech=0.01, log_probability=-0.2):
    words = tuple(word for one in segments for word in one.words)
    passage = Passage(words=words, log_probability=log_probability, no_speech=no_speech)
    return [one.marks for one in marked(segments, [passage], voices)]


def test_ordinary_speech_has_no_marks():
    assert marks(segment("Ask not what your country can do for you."), segment("So who wants ice cream?", 6)) == [
        (),
        (),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "Subtitles by the Amara.org community",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Ondertitels ingediend door de Amara.org gemeenschap",
        "Субтитры сделал DimaTorzok",
    ],
)
def test_credits_of_subtitle_groups_are_always_marked(text):
    assert marks(segment(text)) == [("hallucination",)]


def test_thanks_for_watching_is_marked_only_where_something_says_that_nobody_spoke():
    assert marks(segment("Thanks for watching!")) == [()]
    assert marks(segment("Thanks for watching!", probability=0.3)) == [("hallucination",)]
    assert marks(segment("Thanks for watching!"), voices=[]) == [("hallucination", "no-speech")]


def test_no_speech_is_whispers_own_rule_or_a_line_outside_every_voice():
    assert marks(segment("Hello there."), no_speech=0.9, log_probability=-1.4) == [("no-speech",)]
    assert marks(segment("Hello there."), no_speech=0.9, log_probability=-0.3) == [()]
    assert marks(segment("Hello there."), voices=[Span(start=50, end=60)]) == [("no-speech",)]


def test_words_that_nobody_could_say_so_fast_are_made_up():
    assert marks(segment("I'll see you in the next video, bye", seconds=0.03)) == [("hallucination",)]


@pytest.mark.parametrize(
    ("text", "looping"),
    [
        ("no no no no", ()),
        ("bye " * 8, range(8)),
        ("so I said we have to go we have to go we have to go now", range(3, 15)),
        ("ask what you can do ask what you can do", ()),
    ],
)
def test_no_no_no_is_speech_and_a_phrase_three_times_on_end_is_not(text, looping):
    assert loops(text.split()) == set(looping)


def test_a_loop_is_found_across_lines_and_in_spite_of_punctuation():
    found = marks(
        segment("I know."), segment("We have to go,", 5), segment("We have to go.", 8), segment("We have to go!", 11)
    )
    assert found == [(), ("loop",), ("loop",), ("loop",)]


def test_text_that_compresses_well_is_a_loop():
    assert compression_ratio("Ask not what your country can do for you, ask what you can do for your country.") < 2.4
    assert marks(segment("la la la la la " * 12, seconds=0.1)) == [("loop",)]


def test_lines_at_the_same_time_overlap():
    assert marks(segment("It is a birthday party."), segment("Fifty, Cohen.", 2.5)) == [("overlap",), ("overlap",)]


def test_the_text_of_people_is_only_looked_at_for_overlaps():
    one, two = segment("Thanks for watching!", probability=0.1), segment("bye " * 9, 9)
    assert [each.marks for each in marked([one, two], [], [])] == [(), ()]


def test_nothing_is_taken_away():
    some = [segment("Thank you.", probability=0.1), segment("Hello.", 5)]
    assert [each.text for each in marked(some, [Passage(words=(), log_probability=-2, no_speech=1)], [])] == [
        "Thank you.",
        "Hello.",
    ]
