"""What people really have: each file works, with what was found said in words, or is refused with one clear line."""

import av
import pytest

from pipeline.media import audio, video
from pipeline.schemas.timeline import Cuts, Episode
from pipeline.steps import step1_scenes, step2_shot_reference

# Per file: size as shown, frames a second, variable, seconds, sound, and words that its notes must have.
WORKS = {
    "anamorphic_sar.mp4": (640, 204, 24, False, 12.0, True, ["pixels are not square (4:3)"]),
    "audio_starts_late.mkv": (480, 204, 24, False, 13.792, True, ["the sound starts 0.64 s after the picture"]),
    "bbb_320x240_51audio.mp4": (427, 240, 25, False, 5.28, True, ["pixels are not square (4:3)"]),
    "corrupt_packets.mp4": (480, 204, 24, False, 12.208, True, ["frames are missing", "the sound starts"]),
    "embedded_srt.mkv": (480, 204, 24, False, 13.792, True, []),
    "hevc_10bit.mp4": (480, 204, 24, False, 12.0, True, []),
    "interlaced.ts": (480, 204, 12, False, 12.0, True, ["the picture is interlaced"]),
    "mjpeg_pcm.mov": (480, 204, 24, False, 12.0, True, []),
    "mpeg4_mp3.avi": (480, 204, 24, False, 12.042, True, []),
    "no_audio.mp4": (480, 204, 24, False, 12.208, False, ["there is no audio track"]),
    "odd_479x203_yuv444.mp4": (479, 203, 24, False, 12.0, True, []),
    "popeye_hevc_1440x1074_pgs_noaudio.mkv": (1440, 1074, 24, False, 60.0, False, ["1 subtitle tracks are pictures"]),
    "popeye_hevc_720x478_vobsub_noaudio.mkv": (
        640,
        478,
        29.97,
        False,
        60.06,
        False,
        ["1 subtitle tracks are pictures"],
    ),
    "rotated_90_meta.mp4": (204, 480, 24, False, 12.208, True, ["the picture is turned by 90 degrees"]),
    "sintel5s_vp8_opus.ogv": (854, 480, 24, False, 5.0, True, []),
    "sintel5s_vp9_opus.webm": (854, 480, 24, False, 5.0, True, []),
    "sintel_h264_aac_ass.mkv": (848, 480, 25, False, 26.08, True, []),
    "truncated_faststart.mp4": (480, 204, 24, False, 7.417, True, ["claims 12.2 s, but the picture ends after 7.4 s"]),
    "two_audio_tracks.mkv": (480, 204, 24, False, 13.792, True, ["2 audio tracks (eng, fra): the first is used"]),
    "vfr.mp4": (480, 204, 15.972, True, 12.0, True, []),
}

REFUSED = {
    "audio_only.m4a": "has no video track",
    "empty.mp4": "is empty",
    "error_not_media.mp4": "holds text",
    "popcorn_10x6px.mp4": "is 10x6 pixels, too small",
    "popeye_T00-1.eng.srt": "has no video track",
    "popeye_T01-2.eng.srt": "has no video track",
    "text_named.mp4": "holds text",
    "truncated_no_moov.mp4": "is cut short",
}

# Those that go through both steps here, as each shows something else; the rest take minutes more and show no more.
STEPPED = [
    "anamorphic_sar.mp4",
    "audio_starts_late.mkv",
    "bbb_320x240_51audio.mp4",
    "corrupt_packets.mp4",
    "interlaced.ts",
    "no_audio.mp4",
    "odd_479x203_yuv444.mp4",
    "rotated_90_meta.mp4",
    "truncated_faststart.mp4",
    "vfr.mp4",
]


def test_every_tough_file_has_its_expectation(real_media):
    assert {p.name for p in (real_media / "tough").iterdir()} == set(WORKS) | set(REFUSED)


@pytest.mark.parametrize("name", WORKS)
def test_what_works_is_told_truly(real_media, name):
    width, height, fps, variable, seconds, sound, words = WORKS[name]
    path = real_media / "tough" / name
    info = video.probe(path)
    assert (info.width, info.height, info.fps, info.variable_frame_rate) == (width, height, fps, variable)
    assert info.seconds == pytest.approx(seconds, abs=0.001)
    assert info.has_audio == sound
    for word in words:
        assert any(word in note for note in info.notes), info.notes
    assert bool(len(audio.decode_mono(path))) == sound


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_used_is_refused_with_one_line(real_media, name):
    with pytest.raises(ValueError, match=REFUSED[name]) as refusal:
        video.probe(real_media / "tough" / name, "s01e01.mp4")
    assert str(refusal.value).startswith("s01e01.mp4 ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", STEPPED)
def test_clips_cover_the_file_and_play_as_long_as_they_say(real_media, work, name):
    episode = Episode(id="s09e09", video=work.store.put_file(real_media / "tough" / name))
    config = step1_scenes.Config(detector="adaptive")
    scenes = step1_scenes.run(config, work, episode=episode)
    spans = sorted([c.span for c in scenes.clips] + [d.span for d in scenes.dropped], key=lambda span: span.start)
    assert [span.start for span in spans] == [0.0, *(span.end for span in spans[:-1])]
    assert spans[-1].end == scenes.media.seconds
    for clip in scenes.clips:
        with av.open(str(work.open(clip.video))) as container:
            picture = container.streams.video[0]
            assert (picture.width % 2, picture.height % 2, picture.pix_fmt) == (0, 0, "yuv420p")
            assert picture.frames == round(clip.span.seconds * clip.fps)
            assert float(picture.average_rate) == pytest.approx(clip.fps)
            lengths = {round(float(s.duration * s.time_base), 2) for s in container.streams}
            assert len(container.streams) == (2 if scenes.media.has_audio else 1)
        assert max(lengths) - min(lengths) <= 0.011
        assert abs(max(lengths) - clip.span.seconds) <= 1 / clip.fps
    references = step2_shot_reference.run(
        step2_shot_reference.Config(), work, episode=episode, step1_scenes=Cuts.project(scenes)
    )
    assert len(references.shots) == len(scenes.shots)


def test_a_damaged_file_gives_the_same_bytes_twice(real_media, tmp_path):
    from pipeline.engine.store import Store
    from pipeline.engine.work import Workspace

    def clips(folder):
        (tmp_path / folder).mkdir()
        work = Workspace(Store(tmp_path / folder / "store"), tmp_path / folder, tmp_path / "cache")
        episode = Episode(id="s09e09", video=work.store.put_file(real_media / "tough" / "corrupt_packets.mp4"))
        return step1_scenes.run(step1_scenes.Config(detector="adaptive"), work, episode=episode)

    assert clips("one") == clips("two")
