import json

import pytest

from pipeline.schemas.story import Character, KnownNames, Place, SettledTranscript
from pipeline.schemas.timeline import Scene, SceneSpans, Segment, Span, Word
from pipeline.steps import step2_scene_context
from pipeline.steps.step2_scene_context import Config, describe

KNOWN = KnownNames(
    language="en",
    characters=(
        Character(id="reyes", name="Agent Ines Reyes", short="Reyes", aliases=("Agent Reyes",)),
        Character(id="cohen", name="Dr. Aaron Cohen", short="Cohen", aliases=("the doctor",)),
    ),
    places=(
        Place(id="street", name="Lantern Street", mishearings=("Landon Street",)),
        Place(id="diner", name="Blue Moon Diner"),
        Place(id="roof", name="Rooftop of number nine"),
    ),
    terms=(),
)


def line(start, text, speaker=None, marks=()):
    words = tuple(
        Word(text=word, span=Span(start=start + index * 0.2, end=start + index * 0.2 + 0.2), probability=1)
        for index, word in enumerate(text.split())
    )
    return Segment(id=f"e@{round(start * 1000):07d}", shot=0, words=words, speaker=speaker, marks=marks)


def contexts(*scenes, **settings):
    """Scenes of ten seconds, each given by its lines."""
    segments = [
        line(10 * number + 2 * index, *(said if isinstance(said, tuple) else (said,)))
        for number, lines in enumerate(scenes)
        for index, said in enumerate(lines)
    ]
    spans = [
        Scene(index=number, span=Span(start=10 * number, end=10 * number + 10), first_shot=number, last_shot=number)
        for number in range(len(scenes))
    ]
    return describe(Config(**settings), spans, segments, KNOWN)


def places(*scenes):
    return [context.place for context in contexts(*scenes)]


def test_a_scene_that_opens_with_a_place_plays_there():
    assert places(["Lantern Street, ten past midnight."]) == ["street"]
    assert places(["Operation Halcyon. Landon Street, ten past midnight."]) == ["street"]


def test_a_place_that_is_only_talked_about_is_not_where_they_are():
    (context,) = contexts(["Look.", "Number nine, Lantern Street. But that is my address!"])
    assert context.place is None
    assert context.why == ("place: spoken of, but not as here: Lantern Street",)
    assert places(["I saw her on Lantern Street."]) == [None]


def test_people_are_where_the_scene_before_sent_them():
    first, second = contexts(["Over here, in the diner. Quickly!"], ["Two coffees."])
    assert (first.place, second.place) == (None, "diner")
    assert second.why[0] == 'place: the scene before ended with the way there: "diner"'


def test_what_is_said_to_be_here_wins():
    assert places(["Lantern Street, at last.", "Welcome to the Blue Moon Diner."]) == ["diner"]


def test_two_places_of_equal_weight_settle_nothing():
    assert places(["Lantern Street, it was.", "Blue Moon Diner, perhaps."]) == [None]


def test_who_speaks_or_is_spoken_to_is_there_and_who_is_spoken_of_is_not():
    (context,) = contexts([("Agent Reyes, where is Cohen?", None), ("Here.", "reyes")])
    assert context.cast == ("reyes",)
    assert context.why[1] == 'reyes: is spoken to in "Agent Reyes, where is Cohen?"'
    (context,) = contexts(["Good evening. I am Dr. Cohen."])
    assert context.cast == ("cohen",)


def test_what_came_before_is_told_in_the_words_that_were_said():
    _, second = contexts(["Lantern Street, at night.", ("No.", "reyes"), "Yes."], ["Well."], lines_before=2)
    assert second.previously == 'At Lantern Street. Reyes: "No." Someone: "Yes."'
    assert contexts(["Hello."])[0].previously == ""


def test_long_dialogue_before_is_cut_at_its_old_end():
    long = " ".join(["word"] * 9)
    _, second = contexts([long, long, "Last."], ["Well."], letters_before=80)
    assert second.previously == f'Someone: "{long}" Someone: "Last."'


def test_what_was_probably_never_said_tells_nothing_but_stays_in_the_dialogue():
    (context,) = contexts([("Agent Reyes, thanks for watching.", None, ("hallucination",))])
    assert context.cast == ()
    assert len(context.dialogue) == 1


def test_every_line_is_in_one_scene():
    first, second = contexts(["One."] * 5, ["Two."] * 7)
    assert [len(first.dialogue), len(second.dialogue)] == [5, 7]
    assert contexts([], []) == [
        first.model_copy(update={"dialogue": (), "why": ("place: nothing said tells where",)}),
        second.model_copy(update={"dialogue": (), "why": ("place: nothing said tells where",), "previously": ""}),
    ]


@pytest.mark.parametrize("episode", ["s01e01", "s01e02"])
def test_the_bundled_scenes_get_their_place_or_none_and_never_a_wrong_one(spies, work, episode):
    truth = json.loads((spies / "truth" / f"{episode}.truth.json").read_text())
    scenes = tuple(
        Scene(index=i, span=Span(start=s["start"], end=s["end"]), first_shot=i, last_shot=i)
        for i, s in enumerate(truth["scenes"])
    )
    known = KNOWN.model_copy(
        update={
            "places": (
                Place(id="lantern_street", name="Lantern Street"),
                Place(id="blue_moon", name="Blue Moon Diner"),
                Place(id="rooftop", name="Rooftop of number nine"),
            )
        }
    )
    settled = SettledTranscript(
        episode=episode,
        language="en",
        segments=tuple(line(s["start"], s["text"], s["speaker"]) for s in truth["lines"]),
        decisions=(),
        doubts=(),
    )
    made = step2_scene_context.run(
        Config(), work, step1_scenes=SceneSpans(scenes=scenes), step2_transcript_disambiguate=settled, step2_bible=known
    )
    for context, scene in zip(made.scenes, truth["scenes"], strict=True):
        assert context.place in (None, scene["place"])
        heard = {segment.speaker for segment in context.dialogue}
        assert set(context.cast) <= set(scene["characters"]) | heard
    if episode == "s01e01":
        assert [context.place for context in made.scenes] == ["lantern_street", "blue_moon", None]
