"""Measures of audio quality: level, bandwidth, clipping, subsonic power and truncation."""

from __future__ import annotations

import math

import numpy as np

from genre_core.audio.level import SILENCE_DBFS

NARROW_HZ = 7000.0  # a lower bandwidth means telephone, AM radio, or audio resampled from a low rate
_FLOOR_DB = -110.0  # level of a spectral line in dB re full scale; lower lines are 16-bit noise
_N_FFT = 2048
_CLIPPED_RUN = 3  # smallest number of successive samples at the peak; a single one can occur by chance
CLIPPED_SHARE = 1e-4  # a recording with a larger share of clipped samples is reported
SUBSONIC_DB = -20.0  # power below 20 Hz in dB re total power; a higher value is reported
OFFSET = 0.01  # a mean of the samples further from zero is reported


def clipped_share(y: np.ndarray) -> float:
    """Compute the share of samples in clipped runs.

    A clipped run consists of at least three successive samples at the positive or negative peak that are equal at 16 bits.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Samples of one channel, n > 0.

    Returns
    -------
    float
        Number of clipped samples divided by n.
    """
    total = 0
    for signed in (y, -y):
        peak = float(signed.max())
        positions = np.flatnonzero(signed >= peak * 0.9995) if peak > 0 else np.zeros(0, int)
        breaks = np.flatnonzero((np.diff(positions) != 1) | (np.abs(np.diff(signed[positions])) > 1 / 32768)) + 1
        runs = np.split(positions, breaks)
        total += sum(len(run) for run in runs if len(run) >= _CLIPPED_RUN)
    return total / len(y)


def level_and_bandwidth(y: np.ndarray, sample_rate: int) -> tuple[float, float, float]:
    """Measure the level, the bandwidth and the share of silent frames.

    The bandwidth is the highest frequency whose spectral line is above -110 dBFS and less than 90 dB below the strongest line.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples, full scale is +-1.0.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    level_dbfs, bandwidth_hz, silent_share : float
        Root mean square in dBFS; bandwidth in Hz; share of the frames (2048 samples each) with a level below -60 dBFS.
    """
    import torch  # here, because a run whose results are all kept computes nothing

    padded = torch.from_numpy(np.pad(y, (0, max(0, _N_FFT - len(y)))))
    window = torch.hann_window(_N_FFT)
    power = torch.stft(padded, _N_FFT, _N_FFT, window=window, center=False, return_complex=True).abs().square() / window.sum().square() * 4
    frame_power = padded[: len(padded) // _N_FFT * _N_FFT].reshape(-1, _N_FFT).square().mean(1)
    lines_db = 10 * torch.log10(power.mean(1) + 1e-14).numpy()
    audible = np.flatnonzero(lines_db > max(_FLOOR_DB, float(lines_db.max()) - 90))
    level_dbfs = 10 * math.log10(max(float(np.mean(np.square(y, dtype=np.float64))), 1e-12))
    silent_share = float((frame_power < 10 ** (SILENCE_DBFS / 10)).float().mean())
    return level_dbfs, float(audible[-1]) * sample_rate / _N_FFT if len(audible) else 0.0, silent_share


def power_below(y: np.ndarray, sample_rate: int, hz: float) -> float:
    """Compute the share of the power below a frequency.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples; only the first minute is used.
    sample_rate : int
        Sample rate in Hz.
    hz : float > 0
        Frequency in Hz.

    Returns
    -------
    float
        Power from 0 Hz (DC) to `hz`, divided by the total power.
    """
    from scipy import fft

    y = y[: 60 * sample_rate]
    size = fft.next_fast_len(len(y), real=True)
    power = np.abs(fft.rfft(y, size)) ** 2
    return float(power[: int(hz * size / sample_rate) + 1].sum() / max(power.sum(), 1e-30))
