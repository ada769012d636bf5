"""Excerpts are what a clip that is cut from the same time holds: the same frames, the same sound."""

from fractions import Fraction

import numpy as np
import pytest

from pipeline.media import ffmpeg
from pipeline.media.excerpts import even_rate, excerpts, moments, size_within
from pipeline.schemas.timeline import Span


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """10 s at 25 frames a second; the brightness of frame n is n, and the sound of second s is as loud as s."""
    folder = tmp_path_factory.mktemp("counted")
    picture = "color=black:s=128x96:r=25:d=10,geq=lum='16+mod(N,200)':cb=128:cr=128"
    sound = "aevalsrc='floor(t)/20*sin(2*PI*440*t)':s=16000:d=10"

    def made(name, *arguments):
        path = folder / name
        if not path.exists():
            inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
            encoder = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "1", "-g", "100", "-pix_fmt", "yuv420p"]
            ffmpeg.run([*inputs, *encoder, *arguments, str(path)], "making a test video")
        return path

    return made


def numbers(excerpt):
    """Which frames an excerpt shows, by their brightness."""
    return [round(float(frame.mean()) * 219 / 255) for frame in excerpt.frames]


def one(path, start, end, fps=5.0, frames=64, pixels=128 * 96):
    (found,) = excerpts(path, [Span(start=start, end=end)], fps, frames, pixels)
    return found


@pytest.mark.parametrize("name", ["plain.mp4", "plain.mkv", "plain.ts"])
def test_frames_are_those_on_the_screen_at_even_times_of_exactly_the_window(counted, name):
    path = counted(name)
    found = one(path, 4.4, 5.4)
    assert numbers(found) == [110, 115, 120, 125, 130]
    assert found.fps == 5
    assert found.frames.shape == (5, 96, 128, 3)
    assert numbers(one(path, 0, 0.5)) == [0, 5, 10]


def test_a_frame_stays_on_the_screen_until_the_next(counted):
    assert numbers(one(counted("plain.mp4"), 1.03, 1.13, fps=100)) == [25] + [26] * 4 + [27] * 4 + [28]


def test_a_budget_of_frames_lowers_the_rate_and_keeps_it_even(counted):
    found = one(counted("plain.mp4"), 2, 10, frames=4)
    assert found.fps == 0.5
    assert numbers(found) == [50, 100, 150, 0]


def test_a_budget_of_pixels_shrinks_and_keeps_the_shape(counted):
    assert one(counted("plain.mp4"), 2, 3, pixels=3000).frames.shape[1:] == (46, 62, 3)
    assert size_within(1920, 1080, 200_704) == (596, 336)
    assert size_within(64, 48, 200_704) == (64, 48)


def test_sound_is_that_of_the_same_window_sample_for_sample(counted):
    path = counted("pcm.mkv", "-c:a", "pcm_s16le")
    spans = [Span(start=1.0, end=2.0), Span(start=1.5, end=3.5), Span(start=9.5, end=10.5)]
    first, second, last = (found.samples for found in excerpts(path, spans, 1.0, 4, 3000))
    assert (len(first), len(second), len(last)) == (16_000, 32_000, 16_000)
    assert first.dtype == np.float32
    assert np.array_equal(first[8_000:], second[:8_000])
    assert float(np.abs(first).max()) == pytest.approx(1 / 20, abs=0.002)
    assert float(np.abs(second[8_000:24_000]).max()) == pytest.approx(2 / 20, abs=0.002)
    assert not last[8_000:].any()


def test_behind_the_last_frame_there_is_no_picture(counted):
    path = counted("plain.mp4")
    assert numbers(one(path, 9.8, 12.8)) == [45, *[49] * 5]
    assert len(one(path, 20, 21).frames) == 0


def test_excerpts_are_taken_in_order(counted):
    spans = [Span(start=5, end=6), Span(start=1, end=2)]
    with pytest.raises(ValueError, match=r"plain\.mp4: excerpts are taken in order"):
        list(excerpts(counted("plain.mp4"), spans, 1.0, 4, 3000))


def test_at_least_one_frame_and_none_at_the_end():
    assert moments(Span(start=3, end=4), Fraction(2)) == [3, Fraction(7, 2)]
    assert moments(Span(start=3, end=3.1), Fraction(2)) == [3]
    assert len(moments(Span(start=0.1, end=0.1 + 1 / 3 * 3), Fraction(3))) == 3


@pytest.mark.parametrize("seconds", [0.1, 1 / 3, 2.7, 8.041667, 10.0])
@pytest.mark.parametrize("frames", [1, 7, 32])
def test_never_more_frames_than_the_budget(seconds, frames):
    rate = even_rate(seconds, 24.0, frames)
    assert rate <= 24
    assert 1 <= len(moments(Span(start=1.7, end=1.7 + seconds), rate)) <= frames
