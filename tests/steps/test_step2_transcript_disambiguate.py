"""Real recognitions of the bundled episodes (tests/data/heard.json) against their truth, and the rules one by one."""

import json
from pathlib import Path

import pytest
import wordfreq
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from pipeline.engine.records import File
from pipeline.models.disambiguation import draft, finish
from pipeline.models.lexicon import forms, normal
from pipeline.schemas.story import (
    UNKNOWN,
    Bible,
    Candidate,
    Character,
    Consulted,
    KnownNames,
    ShotReferences,
    Term,
)
from pipeline.schemas.timeline import Episode, Scene, SceneSpans, Segment, Span, Transcript, Word
from pipeline.schemas.voices import EpisodeVoices, Voice, VoiceLine
from pipeline.steps import step2_transcript_disambiguate
from pipeline.steps.step2_bible import read
from pipeline.steps.step2_transcript_disambiguate import Config


def settle(config, transcript, known):
    """By the words alone."""
    return finish(draft(transcript, known, config.rules), {}, None)


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
    check_words_outside_decisions(base, settled)
    assert settle(Config(), base, KNOWN) == settled


def check_words_outside_decisions(base, settled):
    for before, after in zip(base.segments, settled.segments, strict=True):
        mine = [d for d in settled.decisions if d.doubt.segment == before.id and d.doubt.kind == "text"]
        words = list(after.words)
        for decision in sorted(mine, key=lambda d: d.doubt.first_word):
            at = decision.doubt.first_word
            count = len(decision.chosen.split())
            assert " ".join(w.text for w in words[at : at + count]) == decision.chosen
            words[at : at + count] = before.words[at : decision.doubt.last_word + 1]
        assert (after.id, after.shot, after.marks) == (before.id, before.shot, before.marks)
        assert tuple(words) == before.words
    for doubt in text_doubts(settled):
        words = next(s for s in settled.segments if s.id == doubt.segment).words
        assert " ".join(w.text for w in words[doubt.first_word : doubt.last_word + 1]) == doubt.heard
        assert sum(c.score for c in doubt.candidates) <= 1
        assert doubt.heard in [c.value for c in doubt.candidates]


def nothing_more(transcript):
    """The other inputs of the step, where nothing is known but the transcript."""
    lines = tuple(VoiceLine(segment=s.id, voice=None, likeness=None) for s in transcript.segments)
    last = transcript.segments[-1].span.end
    return {
        "episode": Episode(id="e", video=File(digest="0" * 64, name="e.mp4", size_bytes=1)),
        "step1_scenes": SceneSpans(scenes=(Scene(index=0, span=Span(start=0, end=last), first_shot=0, last_shot=0),)),
        "step2_shot_reference": ShotReferences(episode="e", shots=()),
        "step2_voices": EpisodeVoices(lines=lines, voices=()),
        "step2_bible": Bible(title="t", characters=KNOWN.characters, terms=KNOWN.terms),
    }


def test_the_step_counts_what_it_did(work):
    base = transcript("So where is Dr. Cone?", "No.")
    settled = step2_transcript_disambiguate.run(Config(), work, step2_transcript_base=base, **nothing_more(base))
    assert (len(settled.decisions), len(settled.doubts)) == (1, 2)


# Voices


def voiced(transcript, *letters, **candidates):
    """Each line's voice by a letter ("-": none; "a?": it joined the voice, and did not help to found it)."""
    lines = tuple(
        VoiceLine(
            segment=segment.id,
            voice=None if letter == "-" else f"voice-e@{letter[0]}",
            likeness=None,
            founds=not letter.endswith("?"),
        )
        for segment, letter in zip(transcript.segments, letters, strict=True)
    )
    voices = tuple(
        Voice(
            id=f"voice-e@{letter}",
            candidates=tuple(Candidate(value=who, score=score) for who, score in scores.items()),
            why=("for ben: a reason",),
        )
        for letter, scores in candidates.items()
    )
    return EpisodeVoices(lines=lines, voices=voices)


def speakers(transcript, voices):
    return [segment.speaker for segment in finish(draft(transcript, KNOWN, Config().rules), {}, voices).segments]


BEN = {"ben": 0.95, UNKNOWN: 0.02}


def test_a_voice_of_two_lines_names_both_and_says_why():
    base = transcript("It is late.", "Not yet.", "Is it?")
    settled = finish(draft(base, KNOWN, Config().rules), {}, voiced(base, "a", "a", "b", a=BEN, b=BEN))
    assert [segment.speaker for segment in settled.segments] == ["ben", "ben", None]
    assert [decision.reason.partition(":")[0] for decision in settled.decisions] == ["voices", "voices"]
    assert "for ben: a reason" in settled.decisions[0].reason
    assert settled.decisions[0].doubt.weighed[0].voices > 0.9
    assert [doubt.candidates[0].value for doubt in settled.doubts] == ["ben"]


def test_a_line_that_only_joined_a_voice_stays_a_question():
    base = transcript("It is late.", "Not yet.", "Is it?")
    assert speakers(base, voiced(base, "a", "a", "a?", a=BEN)) == ["ben", "ben", None]


def test_a_voice_that_other_episodes_have_may_name_a_single_line():
    base = transcript("It is late.")
    voices = voiced(base, "a", a=BEN)
    line, voice = voices.lines[0], voices.voices[0]
    far = EpisodeVoices(
        lines=(line.model_copy(update={"voice": "voice-d@1"}),), voices=(voice.model_copy(update={"id": "voice-d@1"}),)
    )
    assert speakers(base, far) == ["ben"]


def test_what_the_line_itself_says_against_its_voice_keeps_it_a_question():
    base = transcript("Any sign, Ben?", "It is late.", "Not yet.")
    assert speakers(base, voiced(base, "a", "a", "a", a=BEN)) == [None, "ben", "ben"]


def test_a_voice_that_is_not_sure_names_nobody():
    base = transcript("It is late.", "Not yet.")
    assert speakers(base, voiced(base, "a", "a", a={"ben": 0.5, "johnny": 0.45})) == [None, None]


# A model's answers


def answered(doubt, chosen, confidence=0.95, **more):
    return Consulted(backend="fake", model="m", revision="1", prompt="p", chosen=chosen, confidence=confidence, **more)


CAKE = "And that price is the price of cake."


def one_doubt(*second_hearing):
    """A draft with one doubt about words: "that price" may be "that, Pryce,"."""
    base = transcript(CAKE, biased=second_hearing)
    made = draft(base, KNOWN, Config().rules)
    (doubt,) = [doubt for doubt in made.doubts if doubt.kind == "text"]
    return made, doubt


def test_a_models_measured_answer_settles_words_that_alone_were_not_sure():
    made, doubt = one_doubt()
    settled = finish(made, {doubt.id: answered(doubt, "that, Pryce,", 0.99, reason="she speaks to him")}, None)
    assert texts(settled) == ["And that, Pryce, is the price of cake."]
    (decision,) = settled.decisions
    assert (decision.original, decision.doubt.consulted.model) == ("that price", "m")
    assert 'm chose "that, Pryce," (0.99): she speaks to him' in decision.reason
    assert text_doubts(settled) == []


def test_one_sure_answer_does_not_outweigh_two_hearings_that_agree():
    made, doubt = one_doubt(CAKE)
    settled = finish(made, {doubt.id: answered(doubt, "that, Pryce,", 1.0)}, None)
    assert texts(settled) == [CAKE]
    assert text_doubts(settled)[0].candidates[0].value == "that, Pryce,"


def test_what_a_model_confirms_stands_and_is_a_decision_that_changes_nothing():
    made, doubt = one_doubt()
    settled = finish(made, {doubt.id: answered(doubt, "that price")}, None)
    assert texts(settled) == [CAKE]
    assert settled.segments == made.transcript.segments
    assert [(d.original, d.chosen) for d in settled.decisions] == [("that price", "that price")]
    assert text_doubts(settled) == []


def test_an_unsure_answer_leaves_a_question_with_all_that_was_weighed():
    made, doubt = one_doubt()
    settled = finish(made, {doubt.id: answered(doubt, "that, Pryce,", 0.6)}, None)
    (left,) = text_doubts(settled)
    assert {w.value: w.model for w in left.weighed} == {"that price": 0.4, "that, Pryce,": 0.6}


def test_words_that_a_model_made_up_become_a_candidate_and_are_not_taken():
    made, doubt = one_doubt()
    settled = finish(made, {doubt.id: answered(doubt, "that slice", 1.0)}, None)
    (left,) = text_doubts(settled)
    assert "that slice" in [c.value for c in left.candidates]
    assert texts(settled) == [CAKE]


def test_an_answer_without_a_measured_confidence_weighs_nothing_and_is_on_record():
    made, doubt = one_doubt()
    settled = finish(made, {doubt.id: answered(doubt, "that, Pryce,", None)}, None)
    assert texts(settled) == [CAKE]
    (left,) = text_doubts(settled)
    assert left.consulted.chosen == "that, Pryce,"
    assert left.weighed[0].model is None
    assert 'm chose "that, Pryce," (not measured)' in left.evidence


def test_a_missing_answer_leaves_the_question_with_the_reason():
    made, doubt = one_doubt()
    settled = finish(made, {doubt.id: answered(doubt, None, None, problem="cut off")}, None)
    (left,) = text_doubts(settled)
    assert left.candidates == doubt.candidates
    assert left.evidence[-1] == "m gave no answer: cut off"


def test_a_name_over_words_that_sound_nothing_like_it_is_not_taken_on_a_models_word():
    base = transcript("Don't worry, I can handle him.", biased=["Don't worry, I can handle Ben."])
    made = draft(base, KNOWN, Config().rules)
    (doubt,) = [doubt for doubt in made.doubts if doubt.kind == "text"]
    settled = finish(made, {doubt.id: answered(doubt, "Ben.", 1.0)}, None)
    assert texts(settled) == ["Don't worry, I can handle him."]
    assert [d.candidates[0].value for d in text_doubts(settled)] == ["Ben."]


def test_a_model_alone_does_not_name_who_says_one_line_but_a_voice_of_two_lines_it_may():
    base = transcript("It is late.", "Not yet.", "Is it?")
    made = draft(base, KNOWN, Config().rules)
    answers = {doubt.id: answered(doubt, "ben", 0.99) for doubt in made.doubts}
    assert [s.speaker for s in finish(made, answers, None).segments] == [None] * 3
    flat = dict.fromkeys([c.id for c in KNOWN.characters], 0.2)
    settled = finish(made, answers, voiced(base, "a", "a", "b", a=flat, b=flat))
    assert [s.speaker for s in settled.segments] == ["ben", "ben", None]
    assert settled.decisions[0].reason.startswith("multimodal")


def random_answers(made, data):
    """Anything at all that a model may have said to the doubts of a draft."""
    found = {}
    for doubt in made.doubts:
        values = [candidate.value for candidate in doubt.candidates]
        own = [c.id for c in KNOWN.characters] if doubt.kind == "speaker" else ["Cohn", "x y z", '"Coen"', doubt.heard]
        chosen = data.draw(st.sampled_from([None, *values, *own]))
        confidence = data.draw(st.one_of(st.none(), st.floats(0, 1)))
        if data.draw(st.booleans()):
            found[doubt.id] = answered(doubt, chosen, confidence)
    return found


@settings(max_examples=150, deadline=None)
@given(st.data(), st.lists(SAID, min_size=1, max_size=3), st.lists(SAID, max_size=3))
def test_whatever_a_model_answers_words_outside_a_decision_are_the_same_words(data, lines, biased):
    base = transcript(*lines, biased=biased)
    made = draft(base, KNOWN, Config().rules)
    answers = random_answers(made, data)
    voices = voiced(base, *(data.draw(st.sampled_from("ab-")) for _ in lines), a=BEN, b={"johnny": 0.6})
    settled = finish(made, answers, voices)
    check_words_outside_decisions(base, settled)
    assert finish(made, answers, voices) == settled
    assert {d.segment for d in settled.doubts if d.kind == "speaker"} == {
        segment.id for segment in settled.segments if segment.speaker is None
    }
    text = {doubt.id for doubt in made.doubts if doubt.kind == "text"}
    decided = {d.doubt.id for d in settled.decisions}
    assert text <= decided | {doubt.id for doubt in settled.doubts}
