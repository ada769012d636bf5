import json
from pathlib import Path

import pytest

from benchmarks.accuracy import error_rate, plain, wrong_words
from pipeline.media import subtitles
from pipeline.models import weights
from pipeline.models.listening import Heard
from pipeline.schemas.hearing import Passage
from pipeline.schemas.story import Bible, Character, SpokenNames, Term
from pipeline.schemas.timeline import Cuts, Episode, Shot, Span, Word
from pipeline.steps.step2_transcript_base import Config, run, transcript

SHOTS = (Shot(index=0, span=Span(start=0, end=3)), Shot(index=1, span=Span(start=3, end=8)))
SPEAKERS = {"reyes": "reyes", "agent reyes": "reyes"}
CAST = SpokenNames(language="en", names=("Reyes", "Cohen"), speakers=SPEAKERS)


def heard(text, start=1.0, seconds=0.4, **more):
    words = tuple(
        Word(text=part, span=Span(start=start + i * seconds, end=start + (i + 1) * seconds), probability=0.9)
        for i, part in enumerate(text.split())
    )
    passages = (Passage(words=words, log_probability=-0.2, no_speech=0.01),)
    return Heard(language="en", voices=(Span(start=0, end=8),), plain=passages, **more)


def written(*cues):
    some = (subtitles.Cue(Span(start=start, end=end), text, voice) for start, end, text, voice in cues)
    return subtitles.Subtitles("s01e01.en.vtt", tuple(some), {})


def texts(made):
    return [segment.text for segment in made.segments]


def test_the_plain_decoding_is_the_text_and_the_biased_one_stands_beside_it():
    both = heard("bring cone price", biased=heard("bring Cohen Pryce").plain)
    made = transcript(Config(), "s01e01", SHOTS, both, None, SPEAKERS)
    assert texts(made) == ["bring cone price"]
    assert [word.text for word in made.biased] == ["bring", "Cohen", "Pryce"]
    assert made.source == "asr"


def test_a_line_never_straddles_a_cut():
    made = transcript(Config(), "s01e01", SHOTS, heard("one two three four five six seven", 1.0), None, SPEAKERS)
    assert texts(made) == ["one two three four five", "six seven"]
    assert [segment.shot for segment in made.segments] == [0, 1]
    assert [segment.id for segment in made.segments] == ["s01e01@0001000", "s01e01@0003000"]


def test_words_in_both_hearings_begin_where_a_voice_does():
    both = heard("bring cone", 1.0, biased=heard("bring Cohen", 1.0).plain, voiced=(Span(start=1.132, end=8),))
    made = transcript(Config(), "s01e01", SHOTS, both, None, SPEAKERS)
    assert [made.segments[0].words[0].span.start, made.biased[0].span.start] == [1.1, 1.1]


def test_written_words_take_the_times_of_what_was_heard_and_their_voice_a_character():
    file = written((0.8, 2.5, "Bring Cohen, Pryce.", "Agent Reyes"), (3.0, 5.0, "Who's there?", "Voice"))
    made = transcript(Config(text_source="subtitles"), "s01e01", SHOTS, heard("bring cone price"), file, SPEAKERS)
    assert texts(made) == ["Bring Cohen, Pryce.", "Who's there?"]
    assert [segment.speaker for segment in made.segments] == ["reyes", None]
    assert made.segments[0].words[1].span == Span(start=1.4, end=1.8)
    assert made.source == "subtitles"
    assert any("speakers who are not in the bible: Voice" in note for note in made.notes)


@pytest.mark.parametrize(("said", "source"), [("bring cohen pryce", "subtitles"), ("something else entirely", "asr")])
def test_auto_takes_the_subtitles_only_if_the_recogniser_heard_most_of_them(said, source):
    file = written((0.8, 2.5, "Bring Cohen, Pryce.", None))
    made = transcript(Config(text_source="auto"), "s01e01", SHOTS, heard(said), file, SPEAKERS)
    assert made.source == source


def test_what_nobody_said_is_marked_and_kept():
    made = transcript(Config(), "s01e01", SHOTS, heard("Subtitles by the Amara.org community"), None, SPEAKERS)
    assert [segment.marks for segment in made.segments] == [("hallucination",)]


def test_batches_need_their_windows_found():
    with pytest.raises(ValueError, match="set vad = true"):
        Config(method="batched", vad=False)


def test_names_that_two_characters_share_settle_no_speaker():
    twins = Bible(
        title="t",
        characters=(
            Character(id="a", name="Ann Lee", short="Ann", aliases=("Lee",)),
            Character(id="b", name="Bob Lee", short="Bob", aliases=("Lee",)),
        ),
        terms=(Term(term="cone", kind="thing"),),
    )
    names = SpokenNames.project(twins)
    assert names.speakers == {"a": "a", "ann": "a", "ann lee": "a", "b": "b", "bob": "b", "bob lee": "b"}
    assert "cone" not in names.names


def test_an_episode_without_sound_is_refused_unless_that_is_accepted(work, tmp_path):
    episode, cuts = silent(work, tmp_path)
    with pytest.raises(ValueError, match=r"s01e09\.mp4 has no audio track: give it one, or set .*allow_silent = true"):
        run(Config(model="whisper-base"), work, episode=episode, step1_scenes=cuts, step2_bible=CAST)
    made = run(Config(allow_silent=True), work, episode=episode, step1_scenes=cuts, step2_bible=CAST)
    assert made.segments == ()
    assert made.notes == ("nobody is heard to speak",)


def test_subtitles_that_are_asked_for_must_be_there(work, tmp_path):
    episode, cuts = silent(work, tmp_path)
    config = Config(allow_silent=True, text_source="subtitles")
    with pytest.raises(ValueError, match=r"s01e09\.mp4 has no complete text subtitles in 'en'.*add s01e09\.en\.srt"):
        run(config, work, episode=episode, step1_scenes=cuts, step2_bible=CAST)


def silent(work, tmp_path):
    """A grey second without a sound track."""
    import av
    import numpy as np

    path = tmp_path / "s01e09.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 128, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    shot = Shot(index=0, span=Span(start=0, end=1))
    return Episode(id="s01e09", video=work.store.put_file(path)), Cuts(seconds=1, has_audio=False, shots=(shot,))


# The bundled show, with the real model through the code that loads it for users.


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A cache folder and a store that the tests below share, so that an episode is decoded once."""
    if missing := weights.missing_packages("whisper-base"):
        pytest.skip(f"needs {' '.join(missing)}")
    return tmp_path_factory.mktemp("shared")


@pytest.fixture
def made(loaded, spies, work):
    """Transcribes a bundled episode with some settings."""
    work.cache = loaded / "cache"
    work.store.root = loaded / "store"

    def make(name, **settings):
        truth = json.loads((spies / "truth" / f"{name}.truth.json").read_text())
        return truth, run(
            Config(model="whisper-base", **settings),
            work,
            step2_bible=bundled_names(spies),
            **inputs(work, spies, truth),
        )

    return make


def inputs(work, spies, truth):
    folder, name = spies / "episodes", truth["episode"]
    shots = tuple(Shot(index=i, span=Span(start=s["start"], end=s["end"])) for i, s in enumerate(truth["shots"]))
    return {
        "episode": Episode(
            id=name,
            video=work.store.put_file(folder / f"{name}.mp4"),
            subtitles=(work.store.put_file(folder / f"{name}.en.vtt"),),
        ),
        "step1_scenes": Cuts(seconds=truth["duration"], has_audio=True, shots=shots),
    }


def bundled_names(spies: Path) -> SpokenNames:
    import tomllib

    bible = tomllib.loads((spies / "bible.toml").read_text())
    characters = tuple(
        Character(id=c["id"], name=c["name"], short=c["short"], aliases=tuple(c["aliases"])) for c in bible["character"]
    )
    terms = tuple(Term(term=term["term"], kind=term["kind"]) for term in bible["term"])
    return SpokenNames.project(Bible(title="Spies", characters=characters, terms=terms))


NAMES = frozenset("cohen cone pryce price reyes margaux halcyon lantern".split())  # noqa: SIM905


@pytest.mark.weights
@pytest.mark.parametrize(("name", "all_words", "names_wrong"), [("s01e01", 0.11, 16), ("s01e02", 0.11, 5)])
def test_every_plain_word_of_the_bundled_show_is_right_and_names_are_what_is_left(made, name, all_words, names_wrong):
    truth, found = made(name)
    reference = plain(" ".join(line["text"] for line in truth["lines"]))
    text = plain(" ".join(segment.text for segment in found.segments))
    assert error_rate(reference, text) <= all_words
    wrong = wrong_words(reference, text)
    assert [word for word in wrong if word not in NAMES] == []
    assert len(wrong) <= names_wrong
    assert not any(segment.marks for segment in found.segments)


@pytest.mark.weights
@pytest.mark.parametrize(("name", "names_wrong", "others_wrong"), [("s01e01", 6, 8), ("s01e02", 2, 0)])
def test_listening_for_names_spells_most_of_them_and_costs_plain_words(made, name, names_wrong, others_wrong):
    truth, found = made(name)
    reference = plain(" ".join(line["text"] for line in truth["lines"]))
    wrong = wrong_words(reference, plain(" ".join(word.text for word in found.biased)))
    assert sum(word in NAMES for word in wrong) <= names_wrong
    assert sum(word not in NAMES for word in wrong) <= others_wrong


@pytest.mark.weights
@pytest.mark.parametrize(("name", "nine_of_ten", "farthest"), [("s01e01", 0.08, 0.21), ("s01e02", 0.03, 0.37)])
def test_words_are_heard_where_they_are_said(made, name, nine_of_ten, farthest):
    truth, found = made(name)
    said = sorted((word for line in truth["lines"] for word in line["words"]), key=lambda word: word["start"])
    words = [word for segment in found.segments for word in segment.words]
    reference, text = ([plain(w) for w in some] for some in ([w["word"] for w in said], [w.text for w in words]))
    from rapidfuzz.distance import Levenshtein

    apart = sorted(
        abs(said[i + n]["start"] - words[j + n].span.start)
        for i, j, size in Levenshtein.editops(reference, text).as_matching_blocks()
        for n in range(size)
    )
    assert apart[len(apart) // 2] <= 0.02
    assert apart[int(len(apart) * 0.9)] <= nine_of_ten
    assert apart[-1] <= farthest


@pytest.mark.weights
@pytest.mark.parametrize("name", ["s01e01", "s01e02"])
def test_each_line_is_within_one_speakers_line_and_its_shots(made, name):
    """Whisper alone hears the "Good" of "Good evening" 0.66 s early, at the end of the shot before."""
    truth, found = made(name)
    for segment in found.segments:
        shot, span = truth["shots"][segment.shot]["id"], segment.span
        assert any(
            shot in line["shots"] and line["start"] - 0.1 <= span.start and span.end <= line["end"] + 0.1
            for line in truth["lines"]
        ), segment.text


@pytest.mark.weights
def test_other_line_breaks_decode_nothing_again_and_the_same_ones_give_the_same_bytes(made, work):
    _, first = made("s01e02")
    assert made("s01e02")[1].model_dump_json() == first.model_dump_json()
    assert not work.models.loaded
    _, other = made("s01e02", sentence_gap=0.0, line_gap=0.3)
    assert not work.models.loaded
    assert [w for s in other.segments for w in s.words] == [w for s in first.segments for w in s.words]


@pytest.mark.weights
def test_the_bundled_subtitles_can_be_the_text_with_the_speakers_they_name(made):
    truth, found = made("s01e02", text_source="auto")
    assert found.source == "subtitles"
    lines = {(line["text"], line["speaker"]) for line in truth["lines"]}
    assert plain(" ".join(segment.text for segment in found.segments)) == plain(
        " ".join(text for text, _ in sorted_(truth))
    )
    assert {segment.speaker for segment in found.segments} == {speaker for _, speaker in lines}


def sorted_(truth):
    return [(line["text"], line["speaker"]) for line in sorted(truth["lines"], key=lambda line: line["start"])]
