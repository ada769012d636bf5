import numpy as np
import pytest

from pipeline.media.evidence import picture, sound
from pipeline.schemas.timeline import Span


def test_a_picture_is_rgb_and_within_its_pixels(spies):
    whole, small = picture(spies / "refs" / "reyes.png", 10**9), picture(spies / "refs" / "reyes.png", 5_000)
    assert small.shape[0] * small.shape[1] <= 5_000
    assert small.dtype == np.uint8
    assert whole.shape[0] / whole.shape[1] == pytest.approx(small.shape[0] / small.shape[1], rel=0.05)
    # A mustard-yellow coat: more red than blue.
    assert whole[..., 0].mean() > whole[..., 2].mean()


def test_what_is_no_picture_is_named(tmp_path):
    path = tmp_path / "notes.png"
    path.write_text("no")
    with pytest.raises(ValueError, match=r"notes\.png is no picture"):
        picture(path, 100)


def test_sound_is_cut_to_the_sample():
    samples = np.arange(32_000, dtype=np.float32)
    assert sound(samples, Span(start=0.5, end=1.0)).tolist() == list(range(8_000, 16_000))
