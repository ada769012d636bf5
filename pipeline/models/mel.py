"""Sound as LTX-2's audio VAE hears it: the logarithm of a mel spectrogram, a hundred frames a second.

The constants are the model's (Lightricks/LTX-2, ltx_core/model/audio_vae/ops.py, at 400fd310): a window of 1024
samples, Hann, reflected at both ends; magnitudes, not powers; mel bands by Slaney's scale, each of the same area.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

WINDOW_SAMPLES = 1024

QUIETEST = 1e-5
"""What silence is held to be, before the logarithm."""

# Slaney's Auditory Toolbox: linear up to 1 kHz, which is mel 15; from there 27 mels for each factor of 6.4.
_LINEAR_HZ = 200 / 3
_BEND_HZ = 1000.0
_BEND_MEL = _BEND_HZ / _LINEAR_HZ
_LOG_STEP = math.log(6.4) / 27


def log_mel(wave_BCS: Tensor, rate: int, hop: int, bins: int) -> Tensor:
    """(batch, channels, samples // hop + 1, bins) float32 of waves in [-1, 1] at `rate` Hz.

    Raises ValueError where a wave is too short to be reflected: half a window, 32 ms at 16 kHz.
    """
    import torch

    if wave_BCS.shape[-1] <= WINDOW_SAMPLES // 2:
        raise ValueError(f"{wave_BCS.shape[-1]} samples of sound are too few: at least {WINDOW_SAMPLES // 2 + 1}")
    spectrum_NKT = torch.stft(
        wave_BCS.float().flatten(0, 1),
        WINDOW_SAMPLES,
        hop,
        window=torch.hann_window(WINDOW_SAMPLES, device=wave_BCS.device),
        pad_mode="reflect",
        return_complex=True,
    ).abs()
    bands_MK = torch.tensor(bands(rate, bins), dtype=torch.float32, device=wave_BCS.device)
    mel_NMT = bands_MK @ spectrum_NKT
    return mel_NMT.clamp(min=QUIETEST).log().transpose(1, 2).reshape(*wave_BCS.shape[:2], -1, bins)


def bands(rate: int, bins: int) -> list[list[float]]:
    """(bins, WINDOW_SAMPLES // 2 + 1): by how much each frequency counts in each band; triangles of area 1, in Hz."""
    top = _mel(rate / 2)
    edges = [_hertz(top * index / (bins + 1)) for index in range(bins + 2)]
    frequencies = [rate * index / WINDOW_SAMPLES for index in range(WINDOW_SAMPLES // 2 + 1)]
    return [
        [
            max(0.0, min((hertz - low) / (peak - low), (high - hertz) / (high - peak))) * 2 / (high - low)
            for hertz in frequencies
        ]
        for low, peak, high in zip(edges, edges[1:], edges[2:], strict=False)
    ]


def _mel(hertz: float) -> float:
    return hertz / _LINEAR_HZ if hertz < _BEND_HZ else _BEND_MEL + math.log(hertz / _BEND_HZ) / _LOG_STEP


def _hertz(mel: float) -> float:
    return mel * _LINEAR_HZ if mel < _BEND_MEL else _BEND_HZ * math.exp((mel - _BEND_MEL) * _LOG_STEP)
