"""Measures of audio quality: level, bandwidth, clipping, subsonic power and truncation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
import torch

from genre_core.audio.io import SILENCE_DBFS

NARROW_HZ = 7000.0  # a lower bandwidth means telephone, AM radio, or audio resampled from a low rate
_FLOOR_DB = -110.0  # level of a spectral line in dB re full scale; lower lines are 16-bit noise
_N_FFT = 2048
_CLIPPED_RUN = 3  # smallest number of successive samples at the peak; a single one can occur by chance
CLIPPED_SHARE = 1e-4  # a recording with a larger share of clipped samples is reported
_MAX_CHANNEL_SAMPLES = 30 * 60 * 48_000  # half an hour at 48 kHz; the channels of a longer file are not read one by one
SUBSONIC_DB = -20.0  # power below 20 Hz in dB re total power; a higher value is reported
# A streamed file has at least this size in bytes in its header, which was written before the length was known.
_STREAMED_BYTES = 0xFFFFFF00


def header_seconds(path: Path) -> float | None:
    """Read the length that the header of a file states.

    If the file is shorter than its header states, the log of libsndfile contains "should be" and both sizes. Without such a line,
    the number of frames of a FLAC or MP3 file comes from its header.

    Parameters
    ----------
    path : Path
        Path of the audio file.

    Returns
    -------
    float or None
        Stated length in seconds, or None if the header does not state a length or libsndfile cannot read the file.
    """
    try:
        with soundfile.SoundFile(path) as file:
            for line in file.extra_info.splitlines():
                name, _, rest = line.partition(":")
                if name.strip().lower() in ("data", "data size") and "should be" in rest:
                    sizes = rest.split("(", 1)[0].strip(), rest.split("should be", 1)[1].strip(" )")
                    frame_bytes = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}.get(file.subtype, 1) * file.channels
                    stated_bytes = max(map(int, sizes))
                    return None if stated_bytes >= _STREAMED_BYTES else stated_bytes / frame_bytes / file.samplerate
            return file.frames / file.samplerate if file.format in ("FLAC", "MP3") else None
    except (soundfile.SoundFileError, OSError, ValueError, TypeError):
        return None


def read_channels(path: Path, mono: np.ndarray, channels: int) -> list[np.ndarray]:
    """Read the channels of a file separately.

    The reason is that one channel can be clipped although the mean of the channels is not.

    Parameters
    ----------
    path : Path
        Path of the audio file.
    mono : np.ndarray [shape=(n,), dtype=float32]
        Mean of the channels, already decoded.
    channels : int
        Number of channels of the file.

    Returns
    -------
    list of np.ndarray [shape=(frames,), dtype=float32]
        Samples of each channel; only `mono` if the file has one channel, is long, or cannot be read by libsndfile.
    """
    if channels == 1 or len(mono) > _MAX_CHANNEL_SAMPLES:
        return [mono]
    try:
        return list(soundfile.read(path, dtype="float32", always_2d=True)[0].T)
    except (soundfile.SoundFileError, OSError, TypeError):
        return [mono]


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
