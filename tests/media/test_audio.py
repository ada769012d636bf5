"""decode_mono: sample 0 is heard when the first video frame is shown."""

import numpy as np
import pytest

from pipeline.media import audio, ffmpeg


@pytest.fixture
def beep(tmp_path):
    """Make a 2 s video at 25 fps whose only sound is a tone from second 1.0 to 1.2, shifted as told."""

    def make(name="beep.mp4", shift=0.0, channels="stereo", rate=48_000):
        path = tmp_path / name
        tone = f"aevalsrc='if(between(t,1,1.2),0.5*sin(2*PI*440*t),0)':s={rate}:d=2"
        ffmpeg.run(
            ["-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=2", "-itsoffset", str(shift), "-f", "lavfi", "-i", tone,
             "-af", f"aformat=channel_layouts={channels}", "-c:v", "mpeg4", "-c:a", "aac", str(path)],
            "making a test video",
        )  # fmt: skip
        return path

    return make


def heard(samples: np.ndarray) -> tuple[float, float]:
    loud = np.flatnonzero(np.abs(samples) > 0.05)
    return loud[0] / audio.SAMPLE_RATE_HZ, loud[-1] / audio.SAMPLE_RATE_HZ


@pytest.mark.parametrize("shift", [0.0, 0.4])
@pytest.mark.parametrize("name", ["beep.mp4", "beep.mkv"])
def test_a_sound_is_heard_when_it_is_shown(beep, name, shift):
    samples = audio.decode_mono(beep(name, shift))
    assert samples.dtype == np.float32
    assert heard(samples) == pytest.approx((1.0 + shift, 1.2 + shift), abs=0.03)


def test_a_late_start_is_silence(beep):
    path = beep(shift=0.4)
    assert audio.starts_at(path) == pytest.approx(0.4, abs=0.03)
    assert not audio.decode_mono(path)[: int(0.3 * audio.SAMPLE_RATE_HZ)].any()


def test_sound_from_before_the_first_frame_is_cut_off(beep, tmp_path):
    late_picture = tmp_path / "late.mkv"
    source = str(beep())
    ffmpeg.run(
        [
            "-itsoffset",
            "0.5",
            "-i",
            source,
            "-i",
            source,
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-c",
            "copy",
            str(late_picture),
        ],
        "making a test video",
    )
    assert heard(audio.decode_mono(late_picture)) == pytest.approx((0.5, 0.7), abs=0.03)


def test_six_channels_and_other_rates_are_mixed_to_one_without_clipping(beep):
    samples = audio.decode_mono(beep("six.mkv", channels="5.1", rate=44_100))
    assert heard(samples) == pytest.approx((1.0, 1.2), abs=0.03)
    assert np.abs(samples).max() <= 1


def test_a_video_without_sound_has_no_samples(tmp_path):
    path = tmp_path / "silent.mp4"
    ffmpeg.run(["-f", "lavfi", "-i", "testsrc2=s=64x64:r=25:d=0.2", "-c:v", "mpeg4", str(path)], "making a test video")
    assert audio.decode_mono(path).shape == (0,)
    assert audio.starts_at(path) is None


def test_a_gap_in_the_sound_stays_a_gap(beep, tmp_path):
    path, gap = beep("whole.mkv"), tmp_path / "gap.mkv"
    ffmpeg.run(
        ["-i", str(path), "-c:v", "copy", "-af", "aselect='not(between(t,0.3,0.7))'", "-c:a", "pcm_s16le", str(gap)],
        "making a test video",
    )
    assert heard(audio.decode_mono(gap)) == pytest.approx((1.0, 1.2), abs=0.03)
