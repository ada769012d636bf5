from itertools import pairwise

import numpy as np
import pytest

from pipeline.media import audio
from pipeline.models import asr, weights
from pipeline.schemas.hearing import Speech
from pipeline.schemas.timeline import Span, Word


def word(start, end, text="word"):
    return Word(text=text, span=Span(start=start, end=end), probability=1)


def spans(*pairs):
    return [Span(start=start, end=end) for start, end in pairs]


@pytest.fixture(scope="module")
def recognise(tmp_path_factory):
    """The real model, loaded as a step loads it."""
    if missing := weights.missing_packages("whisper-base"):
        pytest.skip(f"needs {' '.join(missing)}")
    with asr.whisper("whisper-base", None, "int8", tmp_path_factory.mktemp("cache")) as function:
        yield function


@pytest.fixture(scope="module")
def line(spies):
    """ "Bring Cohen, Pryce. Dr. Cohen, the scientist.", 3.5 s of the bundled show."""
    samples = audio.decode_mono(spies / "episodes" / "s01e01.mp4")
    return samples[round(10.7 * asr.SAMPLE_RATE_HZ) : round(14.2 * asr.SAMPLE_RATE_HZ)]


def test_the_recogniser_and_the_decoder_of_sound_mean_the_same_samples():
    assert asr.SAMPLE_RATE_HZ == audio.SAMPLE_RATE_HZ


def test_words_lose_their_space_and_keep_their_punctuation():
    [one, two] = asr.words_of([(" Hello,", 0.1, 0.5, 0.9), (" you.", 0.5, 0.8, 0.5)], "en")
    assert (one.text, two.text) == ("Hello,", "you.")


def test_what_has_no_space_before_it_goes_with_the_word_before():
    [one] = asr.words_of([(" well", 0.1, 0.3, 0.9), ("-known", 0.3, 0.6, 0.4)], "en")
    assert (one.text, one.span, one.probability) == ("well-known", Span(start=0.1, end=0.6), 0.4)


def test_languages_without_spaces_keep_their_words():
    assert len(asr.words_of([("東", 0.0, 0.2, 0.9), ("京", 0.2, 0.4, 0.9)], "ja")) == 2


def test_times_are_milliseconds_that_never_run_backwards():
    found = asr.words_of([(" a", 1.00049, 1.0005, 1.2), (" ", 1.1, 1.2, 1.0), (" b", 0.9, 0.95, -0.1)], "en")
    assert [(w.span.start, w.span.end, w.probability) for w in found] == [(1.0, 1.02, 1.0), (1.0, 1.02, 0.0)]


def test_speech_without_words_is_passed_over():
    voices = spans((0, 5), (6, 9))
    assert asr.passed_over(voices, [word(0, 2), word(2, 4), word(4, 5), word(6, 8), word(8, 9)]) == []
    assert asr.passed_over(voices, [word(0, 2), word(2, 4), word(4, 5)]) == spans((6, 9))
    assert asr.passed_over(voices, [word(0, 0.5), word(3, 3.5), word(8.5, 9)]) == spans((0.5, 3), (3.5, 8.5))


def test_a_word_drawn_out_over_speech_covers_none_of_it():
    assert asr.passed_over(spans((0, 5)), [word(0, 0.5), word(0.5, 4.8)]) == spans((0.5, 5))


def test_pauses_too_short_for_words_are_not_passed_over():
    assert asr.passed_over(spans((0, 5)), [word(0.9, 2), word(2.9, 4.1)]) == []


def test_names_are_told_as_far_as_the_decoder_hears_them():
    assert asr.fitting(["Reyes", "Pryce"]) == ("Reyes", "Pryce")
    some = asr.fitting([f"Name Number {i}" for i in range(200)])
    assert some[:2] == ("Name Number 0", "Name Number 1")
    assert 30 < len(some) < 50


def test_nobody_speaks_in_silence():
    for samples in (np.zeros(0, dtype=np.float32), np.zeros(asr.SAMPLE_RATE_HZ * 3, dtype=np.float32)):
        assert asr.speech(samples) == Speech(spans=(), voiced=())


def test_somebody_speaks_where_the_line_is(line):
    found = asr.speech(line)
    assert found.voiced[0].start == pytest.approx(11.013 - 10.7, abs=0.05)
    assert found.voiced[-1].end == pytest.approx(13.729 - 10.7, abs=0.05)
    assert len(found.voiced) == 2  # "Bring Cohen, Pryce." and "Dr. Cohen, the scientist."
    assert [span.start for span in found.spans] == [pytest.approx(found.voiced[0].start - asr.EDGE_SECONDS, abs=0.001)]


def test_short_pauses_part_no_phrase_and_some_sound_around_it_is_kept():
    assert asr.phrases(spans((0.1, 1), (1.45, 2), (2.6, 3)), 3.1) == spans((0, 2.2), (2.4, 3.1))
    assert asr.phrases([], 3) == []


@pytest.mark.weights
def test_a_line_is_recognised_with_times_and_probabilities(recognise, line):
    hearing = recognise(line, asr.Decoding(language="en"))
    found = [w for passage in hearing.passages for w in passage.words]
    assert found[0].text == "Bring"
    assert found[-1].text.lower().startswith("scientist")
    assert found[-1].span.end == pytest.approx(3.0, abs=0.2)
    assert all(a.span.start <= b.span.start for a, b in pairwise(found))
    assert hearing.language == "en"


@pytest.mark.weights
def test_names_to_listen_for_change_what_is_heard(recognise, line):
    def text(names):
        hearing = recognise(line, asr.Decoding(language="en", hotwords=names))
        return " ".join(w.text for passage in hearing.passages for w in passage.words)

    assert "Cohen" not in text(())
    assert "Cohen" in text(("Cohen", "Dr. Cohen", "Pryce", "Inspector Pryce"))


@pytest.mark.weights
def test_the_model_tells_the_language(recognise, line):
    assert recognise(line, asr.Decoding(language=None)).language == "en"


@pytest.mark.weights
@pytest.mark.parametrize("method", ["sequential", "batched"])
def test_decoding_twice_gives_the_same_bytes(recognise, line, method):
    how = asr.Decoding(language="en", method=method)
    assert recognise(line, how).model_dump_json() == recognise(line, how).model_dump_json()


@pytest.mark.weights
def test_a_number_format_that_the_device_lacks_is_refused(tmp_path):
    if weights.missing_packages("whisper-base") or asr.device() != "cpu":
        pytest.skip("needs the packaged weights, and no GPU")
    with (
        pytest.raises(ValueError, match="'whisper-base' cannot be loaded as float16 on cpu"),
        asr.whisper("whisper-base", None, "float16", tmp_path),
    ):
        pass
