"""Training clips from what people really have: exact in number, in time, in sound."""

from bisect import bisect_right
from fractions import Fraction

import av
import numpy as np
import pytest

from pipeline.media import audio, video
from pipeline.media.cut import Shape, cut, cut_all, look
from pipeline.media.windows import Window
from pipeline.schemas.timeline import Episode, Span

FILES = [
    "anamorphic_sar.mp4", "audio_starts_late.mkv", "bbb_320x240_51audio.mp4", "corrupt_packets.mp4", "embedded_srt.mkv",
    "hevc_10bit.mp4", "interlaced.ts", "mjpeg_pcm.mov", "mpeg4_mp3.avi", "no_audio.mp4", "odd_479x203_yuv444.mp4",
    "popeye_hevc_1440x1074_pgs_noaudio.mkv", "popeye_hevc_720x478_vobsub_noaudio.mkv", "rotated_90_meta.mp4",
    "sintel5s_vp8_opus.ogv", "sintel5s_vp9_opus.webm", "sintel_h264_aac_ass.mkv", "truncated_faststart.mp4",
    "two_audio_tracks.mkv", "vfr.mp4",
]  # fmt: skip
MOVING = ["audio_starts_late.mkv", "hevc_10bit.mp4", "interlaced.ts", "mpeg4_mp3.avi", "rotated_90_meta.mp4",
          "sintel5s_vp8_opus.ogv", "sintel_h264_aac_ass.mkv", "vfr.mp4"]  # fmt: skip
SOUNDING = ["audio_starts_late.mkv", "bbb_320x240_51audio.mp4", "interlaced.ts", "mpeg4_mp3.avi",
            "sintel5s_vp9_opus.webm", "two_audio_tracks.mkv"]  # fmt: skip


def window(start: float) -> Window:
    return Window(Span(start=start, end=start + 33 / 24), 33)


@pytest.fixture
def tough(real_media, work, tmp_path):
    """(the original, a 33-frame clip of it from 2.1 s on) by name."""

    def make(name, size=None):
        path = real_media / "tough" / name
        (source,) = look(work, {"e": Episode(id="e", video=work.store.put_file(path))}).values()
        width, height = size or (source.width // 16 * 16, source.height // 16 * 16)
        shape = Shape(width=width, height=height, fps=24, crf=12, preset="veryfast", sound=True)
        cut(path, tmp_path / "cut.mp4", source, window(2.1), shape)
        return path, tmp_path / "cut.mp4"

    return make


@pytest.mark.parametrize("name", FILES)
def test_a_clip_of_any_usable_file_is_exact(real_media, work, name):
    file = work.store.put_file(real_media / "tough" / name)
    (source,) = look(work, {"e": Episode(id="e", video=file)}).values()
    shape = Shape(width=96, height=64, fps=24, crf=20, preset="veryfast", sound=True)
    for made in cut_all(work, [file] * 2, [source] * 2, [window(0.0), window(2.5)], shape):
        assert made.video is not None, made.why
        with av.open(str(work.open(made.video))) as container:
            (picture,), (sound,) = container.streams.video, container.streams.audio
            times = [frame.pts * frame.time_base for frame in container.decode(picture)]
            assert times == [Fraction(k, 24) for k in range(33)]
            assert (picture.width, picture.height) == (96, 64)
            assert float(sound.duration * sound.time_base) == pytest.approx(33 / 24, abs=0.022)


@pytest.mark.parametrize("name", MOVING)
def test_each_frame_is_the_one_that_the_file_shows_at_its_moment(tough, name):
    path, clip = tough(name)
    shown = [(time, picture.astype(np.float32)) for time, picture in video.frames(path, (64, 64))]
    times = [time for time, _ in shown]
    for k, (_, picture) in enumerate(video.frames(clip, (64, 64))):
        right = bisect_right(times, 2.1 + k / 24 + 0.002) - 1
        errors = {i: np.abs(shown[i][1] - picture).mean() for i in range(max(0, right - 3), min(len(shown), right + 4))}
        # Neighbours may look the same where nothing moves; none may look clearly more like it.
        assert errors[right] <= min(errors.values()) + 0.3


@pytest.mark.parametrize("name", SOUNDING)
def test_the_sound_lies_where_speech_recognition_hears_it(tough, name):
    path, clip = tough(name, (96, 64))
    at = round(2.1 * audio.SAMPLE_RATE_HZ)
    whole, part = audio.decode_mono(path), audio.decode_mono(clip)[2000:-4000]
    near = whole[at + 2000 - 1600 : at + 2000 + len(part) + 1600]
    found = int(np.argmax(np.correlate(near, part, mode="valid")))
    assert abs(found - 1600) / audio.SAMPLE_RATE_HZ < 0.002
    heard = near[found : found + len(part)]
    assert np.corrcoef(heard, part)[0, 1] > 0.98
    assert np.std(part) == pytest.approx(np.std(heard), rel=0.06)
