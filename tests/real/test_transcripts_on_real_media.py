import json

import pytest

from benchmarks.accuracy import error_rate, plain, wrong_words
from pipeline.media import audio, subtitles
from pipeline.models import asr, weights
from pipeline.schemas.story import Bible, Character, SpokenNames
from pipeline.schemas.timeline import Cuts, Episode, Shot, Span
from pipeline.steps.step2_transcript_base import Config, run

pytestmark = pytest.mark.weights

CAST = ("Tom", "Ben", "Johnny", "Barbra", "Helen Cooper", "Harry Cooper")
NAMES = {"johnny", "cooper", "helen", "harrys"}
SPEECH = {
    "jfk.flac": (
        "And so my fellow Americans, ask not what your country can do for you, ask what you can do for your country.",
        0.0,
    ),
    # "thereunder" is heard as "they are under".
    "lj_LJ050-0131.wav": (
        "unless a system is established for the frequent formal review of activities thereunder. in this regard",
        0.19,
    ),
}


@pytest.fixture(scope="module", autouse=True)
def _weights():
    if missing := weights.missing_packages("whisper-base"):
        pytest.skip(f"needs {' '.join(missing)}")


@pytest.fixture
def film(real_media, work):
    """Transcribes the film clip with some settings."""
    truth = json.loads((real_media / "film" / "s01e01.truth.json").read_text())
    shots = tuple(Shot(index=s["index"], span=Span(start=s["start"], end=s["end"])) for s in truth["shots"])
    people = tuple(Character(id=name.split()[0].lower(), name=name, short=name.split()[0]) for name in CAST)
    names = SpokenNames.project(Bible(title="film", characters=people))

    def make(**settings):
        folder = real_media / "film"
        episode = Episode(
            id="s01e01",
            video=work.store.put_file(folder / "s01e01.mp4"),
            subtitles=(work.store.put_file(folder / "s01e01.en.vtt"),),
        )
        cuts = Cuts(seconds=truth["duration"], has_audio=True, shots=shots)
        return truth, run(
            Config(model="whisper-base", **settings), work, episode=episode, step1_scenes=cuts, step2_bible=names
        )

    return make


def test_dialogue_under_battle_noise_is_heard(film):
    truth, made = film()
    said = plain(" ".join(line["text"] for line in truth["speech"]))
    assert error_rate(said, plain(" ".join(segment.text for segment in made.segments))) <= 0.13
    for segment in made.segments:
        [shot] = [shot for shot in truth["shots"] if shot["index"] == segment.shot]
        assert all(shot["start"] <= word.span.middle < shot["end"] for word in segment.words)

    # Told the names, the recogniser spells them and invents one; so that hearing is never the text.
    heard = plain(" ".join(word.text for word in made.biased))
    assert "handle ben" in heard
    assert "handle ben" not in plain(" ".join(segment.text for segment in made.segments))
    assert sum(word in NAMES for word in wrong_words(said, heard)) <= 1


def test_subtitles_with_voices_become_the_text_of_the_film(film):
    truth, made = film(text_source="subtitles", names=False)
    assert made.source == "subtitles"
    assert made.biased == ()
    said = {word for line in truth["speech"] for word in plain(line["text"]).split()}
    assert {word for segment in made.segments for word in plain(segment.text).split()} == said
    off = []
    for line in truth["speech"]:
        begins = plain(line["text"]).split()[:2]
        starts = [s.span.start for s in made.segments if plain(s.text).split()[:2] == begins]
        off.append(min((abs(start - line["start"]) for start in starts), default=9.0))
    assert sorted(off)[len(off) // 2] <= 0.4
    assert {segment.speaker for segment in made.segments} == {"tom", "ben", "johnny", "barbra", "helen"}


@pytest.mark.parametrize("name", sorted(SPEECH))
def test_read_speech_is_heard(real_media, tmp_path, name):
    import av

    with av.open(str(real_media / "speech" / name)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono", rate=audio.SAMPLE_RATE_HZ)
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    import numpy as np

    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    with asr.whisper("whisper-base", None, "int8", tmp_path) as recognise:
        hearing = recognise(samples, asr.Decoding(language="en"))
    heard = plain(" ".join(word.text for passage in hearing.passages for word in passage.words))
    said, at_most = SPEECH[name]
    assert error_rate(plain(said), heard) <= at_most


def test_music_and_noise_without_speech_give_no_unmarked_line(real_media, work):
    video = real_media / "tough" / "sintel5s_vp9_opus.webm"
    shot = Shot(index=0, span=Span(start=0, end=6))
    made = run(
        Config(model="whisper-base"),
        work,
        episode=Episode(id="e", video=work.store.put_file(video)),
        step1_scenes=Cuts(seconds=6, has_audio=True, shots=(shot,)),
        step2_bible=SpokenNames(language="en", names=()),
    )
    assert [segment.text for segment in made.segments if not segment.marks] == []


def test_a_text_track_inside_the_video_is_found(real_media, tmp_path):
    video = real_media / "tough" / "embedded_srt.mkv"
    found = subtitles.find({}, video, video.name, "en", tmp_path)
    assert found is not None
    assert found.name == "embedded_srt.mkv, subtitle track 0"
    assert found.cues


def test_picture_tracks_inside_the_video_do_not_count(real_media, tmp_path):
    for name in ("popeye_hevc_1440x1074_pgs_noaudio.mkv", "popeye_hevc_720x478_vobsub_noaudio.mkv"):
        assert subtitles.find({}, real_media / "tough" / name, name, "en", tmp_path) is None
