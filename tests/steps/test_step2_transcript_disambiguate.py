"""Real recognitions of the bundled episodes (tests/data/heard.json) against their truth, and the rules one by one."""

import json
from pathlib import Path

import pytest
import wordfreq
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from pipeline.models.lexicon import forms, normal
from pipeline.schemas.story import UNKNOWN, Character, KnownNames, Term
from pipeline.schemas.timeline import Segment, Span, Transcript, Word
from pipeline.steps import step2_transcript_disambiguate
from pipeline.steps.step2_bible import read
from pipeline.steps.step2_transcript_disambiguate import Config, settle

HEARD = json.loads((Path(__file__).parents[1] / "data" / "heard.json").read_text())["heard"]

KNOWN = KnownNames(
    language="en",
    characters=(
        Character(
            id="cohen",
            name="Dr. Aaron Cohen",
            short="Cohen",
            aliases=("Cohen", "Dr. Cohen", "the doctor"),
            mishearings=("cone", "Coen"),
        ),
        Character(id="pryce", name="Inspector Tom Pryce", short="Pryce", aliases=("Tom",), mishearings=("price",)),
        Character(id="ben", name="Ben", short="Ben"),
        Character(id="johnny", name="Johnny", short="Johnny"),
    ),
    places=(),
    terms=(
        Term(term="Halcyon", kind="operation", mishearings=("Hal Seon",)),
        Term(term="cone", kind="thing", mishearings=("Cohen", "Coen")),
        Term(term="price", kind="thing", mishearings=("Pryce",)),
    ),
)


def spoken(text, start=0.0, probability=0.9):
    return tuple(
        Word(text=word, span=Span(start=start + index * 0.3, end=start + index * 0.3 + 0.28), probability=probability)
        for index, word in enumerate(text.split())
    )


def transcript(*lines, biased=None, source="asr", speakers=None):
    """One line a second; `biased` are the same lines as heard with the names told."""
    starts = [10.0 * index for index in range(len(lines))]
    segments = tuple(
        Segment(
            id=f"e@{round(start * 1000):07d}", shot=0, words=spoken(line, start), speaker=(speakers or {}).get(index)
        )
        for index, (line, start) in enumerate(zip(lines, starts, strict=True))
    )
    second = [word for line, start in zip(biased or (), starts, strict=False) for word in spoken(line, start, 0.2)]
    return Transcript(episode="e", language="en", source=source, segments=segments, biased=tuple(second))


def texts(settled):
    return [segment.text for segment in settled.segments]


def settled_line(line, biased=None):
    return settle(Config(), transcript(line, biased=[biased] if biased else None), KNOWN)


def text_doubts(settled):
    return [doubt for doubt in settled.doubts if doubt.kind == "text"]


# Real recognitions


def recognised(name):
    rows = HEARD[name]
    segments = tuple(
        Segment(id=f"{name[:6]}@{round(words[0][1] * 1000):07d}", shot=shot, words=tuple(map(word, words)))
        for shot, words in rows["segments"]
    )
    biased = tuple(map(word, rows["biased"]))
    return Transcript(episode=name[:6], language="en", source="asr", segments=segments, biased=biased)


def word(row):
    return Word(text=row[0], span=Span(start=row[1], end=row[2]), probability=row[3])


@pytest.fixture(scope="module")
def bible(spies):
    pictures = {
        f"refs/{path.name}": {"digest": "0" * 64, "name": path.name, "size_bytes": 1}
        for path in (spies / "refs").glob("*.png")
    }
    return KnownNames.project(read((spies / "bible.toml").read_text(), "bible.toml", pictures))


def truth(spies, episode):
    lines = json.loads((spies / "truth" / f"{episode}.truth.json").read_text())["lines"]
    return normal(" ".join(line["text"] for line in lines)).split()


def places(segments):
    """(segment, word, normal text) of every word, in order."""
    return [(s.id, i, normal(w.text)) for s in segments for i, w in enumerate(s.words)]


def distance(segments, right):
    return Levenshtein.distance([text for *_, text in places(segments)], right)


@pytest.mark.parametrize("name", sorted(HEARD))
def test_every_decision_brings_the_text_nearer_to_what_was_said(name, bible, spies):
    heard = recognised(name)
    settled = settle(Config(), heard, bible)
    right = truth(spies, heard.episode)
    decided = [decision for decision in settled.decisions if decision.doubt.kind == "text"]
    for decision in decided:
        doubt = decision.doubt
        words = [(s, i, t) for s, i, t in places(heard.segments)]
        at = words.index(next(w for w in words if w[:2] == (doubt.segment, doubt.first_word)))
        new = [(None, 0, text) for text in normal(decision.chosen).split()]
        one = [*words[:at], *new, *words[at + doubt.last_word - doubt.first_word + 1 :]]
        assert Levenshtein.distance([t for *_, t in one], right) < distance(heard.segments, right), decision
    assert distance(settled.segments, right) == distance(heard.segments, right) - len(decided)


@pytest.mark.parametrize("name", sorted(HEARD))
def test_every_wrong_name_that_was_heard_at_all_is_put_right_or_asked_about(name, bible, spies):
    settled = settle(Config(), recognised(name), bible)
    names = {part for form in forms(bible) for part in normal(form.text).split()}
    words = places(settled.segments)
    right = truth(spies, settled.episode)
    asked = {(d.segment, i) for d in text_doubts(settled) for i in range(d.first_word, d.last_word + 1)}
    for tag, a, a_end, b, b_end in Levenshtein.opcodes([text for *_, text in words], right):
        if tag == "replace" and names & set(right[b:b_end]):
            assert {place[:2] for place in words[a:a_end]} & asked, (words[a:a_end], right[b:b_end])
    assert len(text_doubts(settled)) <= 3


def test_what_is_told_of_the_bundled_episodes(bible, spies):
    """Words wrong before and after, and the questions left. Four of the wrong words are figures: "10" for "ten"."""
    figures = {}
    for name in sorted(HEARD):
        heard = recognised(name)
        settled = settle(Config(), heard, bible)
        right = truth(spies, heard.episode)
        figures[name] = (distance(heard.segments, right), distance(settled.segments, right), len(text_doubts(settled)))
    assert {name: figures[name] for name in figures if "batched" not in name} == {
        "s01e01 plain": (17, 6, 1),
        "s01e01 vad": (18, 4, 0),
        "s01e02 plain": (5, 1, 1),
        "s01e02 vad": (5, 1, 1),
    }


# Ordinary words


@pytest.mark.parametrize(
    "line",
    [
        "I would like an ice cream cone.",
        "Bring me a cone, please.",
        "No, no. In the cone. The pistachio.",
        "That is the price of cake.",
        "What is the price?",
        "A small price, and my cone is cold.",
        "Tell them that I can handle him.",
        "Will you be in town by the time Tom is back?",
    ],
)
@pytest.mark.parametrize("biased", [True, False])
def test_ordinary_words_are_neither_changed_nor_asked_about(line, biased):
    settled = settled_line(line, line if biased else None)
    assert texts(settled) == [line]
    assert text_doubts(settled) == []


@pytest.mark.parametrize("line", ["Price is no object.", "Half price tickets.", "Snow cone?", "Cone?", "Cone or cup?"])
def test_an_ordinary_word_without_an_article_is_at_most_asked_about(line):
    assert texts(settled_line(line, line)) == [line]
    assert texts(settled_line(line)) == [line]


def test_of_the_commonest_words_of_english_none_is_changed_and_few_are_asked_about(bible):
    words = [word for word in wordfreq.top_n_list("en", 2000) if word.isalpha()]
    lines = [f"I saw {word} today." for word in words]
    settled = settle(Config(), transcript(*lines, biased=lines), bible)
    assert texts(settled) == lines
    assert [doubt.heard for doubt in text_doubts(settled)] == ["price", "raise"]  # Both are listed.


def test_a_name_that_only_the_second_hearing_has_is_never_taken():
    settled = settled_line("Don't worry, I can handle him.", "Don't worry, I can handle Ben.")
    assert texts(settled) == ["Don't worry, I can handle him."]
    (doubt,) = text_doubts(settled)
    assert (doubt.heard, [c.value for c in doubt.candidates]) == ("him.", ["him.", "Ben."])
    assert 'told the show\'s names, the recogniser heard "Ben."' in doubt.evidence


def test_a_name_that_is_right_stays_though_the_second_hearing_has_another():
    assert texts(settled_line("Johnny asked me.", "Tommy asked me.")) == ["Johnny asked me."]


# Names


@pytest.mark.parametrize(
    ("heard", "right"),
    [
        ("So where is Dr. Cone?", "So where is Dr. Cohen?"),
        ("Bring Cone Price, Dr. Cone the scientist.", "Bring Cohen, Pryce, Dr. Cohen the scientist."),
        ("So Hal Seon was never a weapon.", "So Halcyon was never a weapon."),
        ("It is Dr. Cone's file.", "It is Dr. Cohen's file."),
        ("Fifty, Cohn. Fifty!", "Fifty, Cohen. Fifty!"),
    ],
)
def test_a_misheard_name_is_put_right(heard, right):
    assert texts(settled_line(heard)) == [right]


def test_a_name_after_an_article_is_the_thing_that_sounds_like_it():
    assert texts(settled_line("The file is in the Coen.", "The file is in the cone.")) == ["The file is in the cone."]


def test_that_price_may_be_that_and_a_name():
    (doubt,) = text_doubts(settled_line("And that price is the price of cake.", "And that price is the price of cake."))
    assert doubt.heard == "that price"
    assert [c.value for c in doubt.candidates] == ["that price", "that, Pryce,"]


def test_a_decision_records_what_it_replaced_and_why():
    settled = settled_line("So where is Dr. Cone?")
    (decision,) = [d for d in settled.decisions if d.doubt.kind == "text"]
    assert (decision.original, decision.chosen) == ("Cone?", "Cohen?")
    assert decision.score > 0.9
    assert '"Dr." stands before it, as before that name' in decision.reason
    assert settled.segments[0].words[:4] == transcript("So where is Dr. Cone?").segments[0].words[:4]
    assert settled.segments[0].words[4].span == decision.doubt.span


def test_a_split_name_shares_the_time_of_its_words_and_later_doubts_count_on():
    settled = settled_line("So Hal Seon was Cone, we think.", "So Halcyon was cone we think.")
    (doubt,) = text_doubts(settled) or [None]
    words = settled.segments[0].words
    assert words[1].text == "Halcyon"
    assert (words[1].span.start, words[1].span.end) == pytest.approx((0.3, 0.88))
    if doubt is not None:
        assert " ".join(w.text for w in words[doubt.first_word : doubt.last_word + 1]) == doubt.heard


def test_nothing_is_decided_below_the_margin():
    settled = settle(Config(margin=1), transcript("So where is Dr. Cone?"), KNOWN)
    assert texts(settled) == ["So where is Dr. Cone?"]
    assert [doubt.heard for doubt in text_doubts(settled)] == ["Cone?"]


def test_what_two_people_are_called_alike_is_asked():
    ann = Character(id="ann", name="Ann Marr", short="Marr", mishearings=("mar",))
    other = Character(id="eve", name="Eve Mahr", short="Mahr", mishearings=("mar",))
    known = KnownNames(language="en", characters=(ann, other), places=(), terms=())
    settled = settle(Config(), transcript("Ask Agent Mar now."), known)
    assert texts(settled) == ["Ask Agent Mar now."]
    assert {c.value for c in text_doubts(settled)[0].candidates} == {"Marr", "Mahr", "Mar"}


def test_words_from_a_subtitle_file_are_trusted_more_than_heard_ones():
    line = "Ask Cohn about it."
    heard = settle(Config(), transcript(line), KNOWN)
    written = settle(Config(), transcript(line, source="subtitles"), KNOWN)
    assert texts(heard) == ["Ask Cohen about it."]
    assert texts(written) == [line]


def test_a_marked_segment_is_not_asked_about():
    base = transcript("So where is Dr. Cone?")
    marked = base.model_copy(update={"segments": (base.segments[0].model_copy(update={"marks": ("loop",)}),)})
    assert texts(settle(Config(), marked, KNOWN)) == ["So where is Dr. Cone?"]
    assert text_doubts(settle(Config(), marked, KNOWN)) == []


def test_words_of_a_language_that_nobody_here_knows_stay_and_a_note_says_so():
    settled = settle(Config(), transcript("So where is Dr. Cone?").model_copy(update={"language": "ja"}), KNOWN)
    assert texts(settled) == ["So where is Dr. Cone?"]
    assert settled.notes == ('no word is questioned: nothing is known of how common words of the language "ja" are',)


def test_in_another_language_than_english_nothing_is_decided_only_asked():
    settled = settle(Config(), transcript("Wo ist Dr. Cone?").model_copy(update={"language": "de"}), KNOWN)
    assert texts(settled) == ["Wo ist Dr. Cone?"]
    assert [doubt.heard for doubt in text_doubts(settled)] == ["Cone?"]


# Speakers


def test_who_introduces_themselves_is_the_speaker():
    settled = settle(Config(), transcript("Good evening. I am Dr. Cohen.", "I'm not Ben."), KNOWN)
    assert [segment.speaker for segment in settled.segments] == ["cohen", None]
    (decision,) = settled.decisions
    assert (decision.original, decision.chosen) == (UNKNOWN, "cohen")


@pytest.mark.parametrize(
    "line",
    [
        "I'm Cohen's assistant.",
        "And he said, I am Cohen.",
        "I am with Cohen.",
        "You are Dr. Cohen.",
        "I'm, Cohen, tired.",
    ],
)
def test_a_name_that_is_no_introduction_decides_no_speaker(line):
    assert settle(Config(), transcript(line), KNOWN).segments[0].speaker is None


def test_who_is_spoken_to_does_not_speak_and_may_answer():
    base = transcript("Any sign, Ben?", "No.")
    near = base.segments[1].model_copy(update={"words": spoken("No.", 1.5)})
    settled = settle(Config(), base.model_copy(update={"segments": (base.segments[0], near)}), KNOWN)
    first, second = settled.doubts
    assert "ben" not in [c.value for c in first.candidates][:3]
    assert second.candidates[0].value == "ben"
    assert second.evidence == ('the line before speaks to "Ben"',)
    assert UNKNOWN in [c.value for c in first.candidates]


def test_a_speaker_the_subtitles_name_is_kept_unasked():
    settled = settle(Config(), transcript("No.", speakers={0: "ben"}), KNOWN)
    assert settled.segments[0].speaker == "ben"
    assert settled.doubts == ()


# All of it

NAMES = ("Cone", "cone.", "Price,", "price", "Hal", "Seon,", "Ben.", "Coen's", "Johnny")
WORDS = (*NAMES, "Dr.", "Agent", "the", "a", "that", "is", "bring", "I", "am,", "them?")
SAID = st.lists(
    st.sampled_from(WORDS),
    min_size=1,
    max_size=9,
).map(" ".join)


@settings(max_examples=200, deadline=None)
@given(st.lists(SAID, min_size=1, max_size=3), st.lists(SAID, max_size=3))
def test_words_outside_a_decision_are_the_same_words(lines, biased):
    base = transcript(*lines, biased=biased)
    settled = settle(Config(), base, KNOWN)
    for before, after in zip(base.segments, settled.segments, strict=True):
        mine = [d for d in settled.decisions if d.doubt.segment == before.id and d.doubt.kind == "text"]
        words = list(after.words)
        for decision in sorted(mine, key=lambda d: d.doubt.first_word):
            at = decision.doubt.first_word
            count = len(decision.chosen.split())
            assert " ".join(w.text for w in words[at : at + count]) == decision.chosen
            words[at : at + count] = before.words[at : decision.doubt.last_word + 1]
        assert tuple(words) == before.words
    for doubt in text_doubts(settled):
        words = next(s for s in settled.segments if s.id == doubt.segment).words
        assert " ".join(w.text for w in words[doubt.first_word : doubt.last_word + 1]) == doubt.heard
        assert sum(c.score for c in doubt.candidates) <= 1
        assert doubt.heard in [c.value for c in doubt.candidates]
    assert settle(Config(), base, KNOWN) == settled


def test_the_step_counts_what_it_did(work, spies):
    base = transcript("So where is Dr. Cone?", "No.")
    settled = step2_transcript_disambiguate.run(Config(), work, step2_transcript_base=base, step2_bible=KNOWN)
    assert (len(settled.decisions), len(settled.doubts)) == (1, 2)
    assert step2_transcript_disambiguate.run.needs["step2_bible"].project == KnownNames.project
