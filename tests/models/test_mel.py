"""The mel front end against the formulas written out in numpy and scipy."""

import numpy as np
import pytest
import scipy.signal
import torch

from pipeline.models.mel import bands, log_mel


def reference(wave, rate=16_000, hop=160, bins=64):
    """(bins, frames) of one channel: magnitudes by scipy's windows and numpy's FFT, Slaney's bands by interpolation."""
    window = scipy.signal.get_window("hann", 1024)
    padded = np.pad(wave.astype(np.float64), 512, mode="reflect")
    frames = [padded[start : start + 1024] * window for start in range(0, len(padded) - 1024 + 1, hop)]
    magnitude = np.abs(np.fft.rfft(frames, axis=1)).T

    # Slaney: 15 mels to 1 kHz, linear; then logarithmic, 27 mels for each factor of 6.4.
    mels = np.linspace(0, 15 + 27 * np.log(rate / 2 / 1000) / np.log(6.4), bins + 2)
    hertz = np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))
    axis = np.fft.rfftfreq(1024, 1 / rate)
    triangles = np.array([np.interp(axis, hertz[i : i + 3], [0, 1, 0]) for i in range(bins)])
    triangles *= (2 / (hertz[2:] - hertz[:-2]))[:, None]
    return np.log(np.maximum(triangles @ magnitude, 1e-5))


def test_the_mel_of_noise_and_tones_is_the_formula_s():
    random = np.random.default_rng(0)
    time = np.arange(16_000) / 16_000
    tones = 0.2 * np.sin(2 * np.pi * 440 * time) + 0.1 * np.sin(2 * np.pi * 5000 * time)
    waves = (np.stack([tones, np.zeros(16_000)]) + [[0.001], [0.3]] * random.standard_normal((2, 16_000))).astype("f4")
    found = log_mel(torch.from_numpy(waves)[None], 16_000, 160, 64)
    assert found.shape == (1, 2, 101, 64)
    assert found.dtype == torch.float32
    for channel in (0, 1):
        np.testing.assert_allclose(found[0, channel].numpy().T, reference(waves[channel]), atol=2e-4)


def test_silence_is_the_logarithm_of_the_quietest():
    assert torch.allclose(log_mel(torch.zeros(1, 2, 1600), 16_000, 160, 64), torch.tensor(1e-5).log())


def test_every_band_is_heard_and_has_the_same_area():
    of = np.array(bands(16_000, 64))
    assert of.shape == (64, 513)
    assert (of.max(axis=1) > 0).all()
    wide = of[-20:]
    np.testing.assert_allclose(wide.sum(axis=1) * 16_000 / 1024, 1, rtol=0.02)


def test_a_hundred_frames_a_second_and_the_last_one_counts():
    assert log_mel(torch.zeros(1, 2, 80_667), 16_000, 160, 64).shape[2] == 505


def test_sound_too_short_to_be_reflected_is_refused():
    with pytest.raises(ValueError, match="512 samples of sound are too few: at least 513"):
        log_mel(torch.zeros(1, 2, 512), 16_000, 160, 64)
