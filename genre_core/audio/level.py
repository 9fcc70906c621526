"""Level of audio: one loudness and no constant offset for all inputs, so that an answer does not depend on the volume."""

from __future__ import annotations

import math

import numpy as np

SILENCE_DBFS = -60.0  # audio is silent if no sample exceeds this level
BLOCK_SECONDS = 0.1
BLOCKS_OF_WINDOW = 4  # windows of 0.4 s that overlap by 75 %, as in ITU-R BS.1770-5
SILENT_POWER = 1e-14  # less is rounding noise
GATE_DB = -10.0  # quieter windows, re the mean of all windows, count as silence, as in ITU-R BS.1770-5


def peak(y: np.ndarray) -> float:
    """Compute the highest absolute sample of `y` [shape=(n,), n > 0].

    No temporary array is allocated. The result is not finite if a sample is not finite.
    """
    low, high = float(y.min()), float(y.max())
    return low + high if math.isnan(low + high) else max(high, -low)


def is_silent(y: np.ndarray) -> bool:
    """Tell whether no sample of `y` [shape=(n,), n > 0] is above -60 dBFS, apart from a constant offset."""
    return peak(centre(y)) < 10 ** (SILENCE_DBFS / 20)


def loud_power(y: np.ndarray, sample_rate: int) -> float:
    """Compute the mean power of what is not silence.

    The gate is that of ITU-R BS.1770-5, but relative only, so the result scales with the input, and without its filter: on 116
    recordings, the filter changes no answer (CONTRIBUTING.md has the figures).

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32], n > 0
        Mono samples without a constant offset.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    float
        Mean square of the samples in the windows above the gate; of all samples if `y` is shorter than a window.
    """
    block = round(BLOCK_SECONDS * sample_rate)
    blocks = len(y) // block
    if blocks < BLOCKS_OF_WINDOW:
        return float(np.mean(np.square(y, dtype=np.float64)))
    power = np.square(y[: blocks * block]).reshape(blocks, block).mean(axis=1, dtype=np.float64)
    windows = np.convolve(power, np.full(BLOCKS_OF_WINDOW, 1 / BLOCKS_OF_WINDOW), mode="valid")
    return float(windows[windows >= windows.mean() * 10 ** (GATE_DB / 10)].mean())


def offset(y: np.ndarray) -> float:
    """Compute the constant offset (DC) of `y` [shape=(n,), n > 0]: the mean of the samples, full scale +-1.0."""
    return float(y.mean(dtype=np.float64))


def centre(y: np.ndarray) -> np.ndarray:
    """Take the constant offset (DC) of `y` [shape=(n,), dtype=float32] away."""
    return y - np.float32(offset(y)) if len(y) else y


def to_level(y: np.ndarray, sample_rate: int, level_dbfs: float) -> np.ndarray:
    """Bring audio to a level, and take its constant offset away.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples.
    sample_rate : int
        Sample rate in Hz.
    level_dbfs : float
        Root mean square of what is not silence, in dB re full scale; 0 returns `y` unchanged.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        Samples; peaks can exceed full scale. What is softer than -140 dBFS stays as it is.
    """
    if level_dbfs == 0 or not len(y):
        return y
    centred = centre(y)
    power = loud_power(centred, sample_rate)
    return centred * np.float32(math.sqrt(10 ** (level_dbfs / 10) / power)) if power > SILENT_POWER else centred
