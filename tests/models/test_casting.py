from pipeline.models.casting import cast, dialogue, reviewed, written
from pipeline.schemas.story import UNKNOWN, Character, KnownNames
from pipeline.schemas.timeline import Segment, Span, Transcript, Word
from pipeline.schemas.voices import SaidBy, VoiceLine, Vote

HELEN = Character(id="helen", name="Helen Cooper", short="Helen")
BEN = Character(id="ben", name="Ben", short="Ben")
KNOWN = KnownNames(language="en", characters=(HELEN, BEN), places=(), terms=())
IDS = ["helen", "ben"]


def transcript(*texts, speakers=None):
    """One line every three seconds."""
    return Transcript(
        episode="e",
        language="en",
        source="asr",
        segments=tuple(
            Segment(
                id=f"e@{index}",
                shot=0,
                words=tuple(
                    Word(text=word, span=Span(start=3 * index + at / 5, end=3 * index + at / 5 + 0.2), probability=0.9)
                    for at, word in enumerate(text.split())
                ),
                speaker=(speakers or {}).get(index),
            )
            for index, text in enumerate(texts)
        ),
    )


def lines(*voices, **marks):
    return tuple(
        VoiceLine(segment=f"e@{index}", voice=voice, likeness=0.8, founds=True, **marks)
        for index, voice in enumerate(voices)
    )


def vote(segment, character, weight, source="dialogue"):
    return Vote(episode="e", segment=segment, character=character, weight=weight, source=source, why="so")


def names(spoken, votes, ids=IDS):
    return {voice.id: voice.candidates[0].value for voice in cast({"e": spoken}, votes, ids)}


def test_who_is_spoken_to_does_not_speak_and_often_answers():
    said = transcript("Helen, come here.", "What is it?", "Look, Helen.", "I am looking.")
    spoken = lines("A", "B", "A", "B")
    votes = list(dialogue(said, KNOWN, spoken))
    assert {(v.segment, v.character, v.weight > 0) for v in votes} == {
        ("e@0", "helen", False),
        ("e@1", "helen", True),
        ("e@2", "helen", False),
        ("e@3", "helen", True),
    }
    assert names(spoken, votes)["B"] == "helen"


def test_the_neighbour_of_one_voice_is_not_the_one_who_is_spoken_to():
    said = transcript("Helen, come here.", "Come now.")
    assert [v.segment for v in dialogue(said, KNOWN, lines("A", "A"))] == ["e@0"]


def test_a_name_that_is_surely_misheard_counts_as_it_is_meant():
    said = transcript("Hellen, come here.", "What is it?")
    misheard = KNOWN.model_copy(update={"characters": (HELEN.model_copy(update={"mishearings": ("Hellen",)}), BEN)})
    assert {v.character for v in dialogue(said, misheard, lines("A", "B"))} == {"helen"}


def test_what_subtitles_say_is_a_vote():
    [one] = written(transcript("Hello there.", "Yes.", speakers={1: "ben"}))
    assert (one.segment, one.character, one.source) == ("e@1", "ben", "subtitles")


def test_one_reviewed_name_moves_every_line_of_its_voice_against_all_the_rest():
    said = transcript("One.", "Two.", "Three.")
    spoken = lines("A", "A", "A")
    machine = [vote(f"e@{index}", "ben", 6.0) for index in range(3)]
    assert names(spoken, machine) == {"A": "ben"}
    heard = SaidBy(episode="e", span=Span(start=3.0, end=3.3), speaker="helen", by="ann")
    [person] = reviewed(said, [heard])
    assert (person.segment, person.why) == ("e@1", "ann says so")
    [voice] = cast({"e": spoken}, [*machine, person], IDS)
    assert voice.candidates[0].value == "helen"
    assert voice.candidates[0].score > 0.95
    assert voice.why == ("for ben: so (e@0)", "for helen: ann says so (e@1)")


def test_a_reviewers_line_that_lies_nowhere_now_is_no_vote():
    elsewhere = SaidBy(episode="e", span=Span(start=30.0, end=31.0), speaker="helen", by="ann")
    other = SaidBy(episode="f", span=Span(start=0.0, end=1.0), speaker="helen", by="ann")
    assert list(reviewed(transcript("One."), [elsewhere, other])) == []


def test_a_line_of_two_people_has_no_vote():
    [voice] = cast({"e": lines("A", overlap=True)}, [vote("e@0", "ben", 6.0)], IDS)
    assert voice.candidates[0].value == UNKNOWN


def test_two_voices_are_most_often_two_people():
    spoken = lines("A", "B")
    votes = [vote("e@0", "ben", 6.0), vote("e@1", "ben", 1.5), vote("e@1", "helen", 1.4)]
    found = cast({"e": spoken}, votes, IDS)
    assert [voice.candidates[0].value for voice in found] == ["ben", "helen"]
    assert "against ben: A is more likely theirs" in found[1].why


def test_nobody_is_named_without_a_reason():
    [voice] = cast({"e": lines("A")}, [], IDS)
    assert voice.candidates[0].value == UNKNOWN
    assert voice.why == ()


def test_the_order_of_votes_changes_nothing():
    spoken = lines("A", "B", "A")
    votes = [vote("e@0", "ben", 1.1), vote("e@1", "helen", 0.7), vote("e@2", "ben", -0.3), vote("e@2", "helen", 0.2)]
    assert cast({"e": spoken}, votes, IDS)[0].candidates == cast({"e": spoken}, votes[::-1], IDS)[0].candidates
