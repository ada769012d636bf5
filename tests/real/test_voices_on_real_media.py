"""Voices of a film and of a reel of people who talk two seconds each, through the real steps."""

import pytest

from benchmarks import speakers
from pipeline.models import voiceprints, weights

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module", autouse=True)
def _weights():
    if missing := [*weights.missing_packages("whisper-base"), *weights.missing(voiceprints.PACKAGED["ge2e"])]:
        pytest.skip(f"needs {' '.join(missing)}")


def test_no_voice_of_the_film_is_two_peoples_and_nobody_gets_a_wrong_name(real_media, work):
    show = speakers.film(real_media)
    transcripts = speakers.true(show)
    found, _ = speakers.listened(work, show, transcripts)
    scores = speakers.scored(show, transcripts, found)
    assert scores["purity"] == 1.0
    assert scores["coverage"] > 0.7
    assert "wrong" not in scores["named"]


def test_who_appears_twice_in_the_reel_is_one_voice_and_mixed_lines_are_marked(real_media, work):
    show = speakers.reel(real_media)
    transcripts = speakers.heard(work, show)
    found, _ = speakers.listened(work, show, transcripts)
    assert speakers.found_again(show, transcripts, found, "man_d")
    # Whisper runs the first scene's two women into one line, and two of the later talkers into another.
    overlapping = [
        segment.text
        for segment, line in zip(transcripts["reel"].segments, found.lines["reel"], strict=True)
        if line.overlap
    ]
    assert len(overlapping) == 2
    assert "bad humor" in overlapping[0]
