"""Measure a recording: level, bandwidth, clipping, content below 20 Hz, truncation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import soundfile
import torch

from genre_core.audio.io import SILENCE_DBFS

NARROW_HZ = 7000.0  # content that ends below: telephone, AM, a low sampling rate made higher
_FLOOR_DB = -110.0  # of a spectral line, dB re full scale: below is the noise of 16 bits
_N_FFT = 2048
_CLIPPED_RUN = 3  # successive samples at the peak: one may well be there by chance
_CLIPPED_SHARE = 1e-4
_MOST_SAMPLES = 30 * 60 * 48_000  # beyond half an hour, channels are not looked at one by one
_SUBSONIC_DB = -20.0  # power below 20 Hz, re all power
_STREAMED = 0xFFFFFF00  # bytes: what a header says that was written before the length was known


def _promised_seconds(path: Path) -> float | None:
    """Length by the header: libsndfile says "should be" in its log where the file is shorter than that, and else counts frames."""
    try:
        with soundfile.SoundFile(path) as file:
            for line in file.extra_info.splitlines():
                name, _, rest = line.partition(":")
                if name.strip().lower() in ("data", "data size") and "should be" in rest:
                    said, real = rest.split("(", 1)[0].strip(), rest.split("should be", 1)[1].strip(" )")
                    frame_bytes = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}.get(file.subtype, 1) * file.channels
                    promised = max(int(said), int(real))
                    return None if promised >= _STREAMED else promised / frame_bytes / file.samplerate
            return file.frames / file.samplerate if file.format in ("FLAC", "MP3") else None
    except (soundfile.SoundFileError, OSError, ValueError, TypeError):
        return None


def _channels(path: Path, mono: np.ndarray, channels: int) -> list[np.ndarray]:
    """Read the channels of a file one by one: one may be clipped and their mean not. Fall back to the mean."""
    if channels == 1 or len(mono) > _MOST_SAMPLES:
        return [mono]
    try:
        return list(soundfile.read(path, dtype="float32", always_2d=True)[0].T)
    except (soundfile.SoundFileError, OSError, TypeError):
        return [mono]


def _clipped_share(y: np.ndarray) -> float:
    """Return the share of samples at a peak, in runs of three or more equal to 16 bits."""
    total = 0
    for side in (y, -y):
        top = float(side.max())
        at = np.flatnonzero(side >= top * 0.9995) if top > 0 else np.zeros(0, int)
        runs = np.split(at, np.flatnonzero((np.diff(at) != 1) | (np.abs(np.diff(side[at])) > 1 / 32768)) + 1)
        total += sum(len(run) for run in runs if len(run) >= _CLIPPED_RUN)
    return total / len(y)


def level_and_bandwidth(y: np.ndarray, sample_rate: int) -> tuple[float, float, float]:
    """Level (root mean square, dBFS), the frequency (Hz) where the spectrum ends, and the share of frames below -60 dBFS.

    The spectrum ends with the last line above -110 dBFS and above 90 dB under its highest.
    """
    x = torch.from_numpy(np.pad(y, (0, max(0, _N_FFT - len(y)))))
    window = torch.hann_window(_N_FFT)
    power = torch.stft(x, _N_FFT, _N_FFT, window=window, center=False, return_complex=True).abs().square() / window.sum().square() * 4
    of_frames = x[: len(x) // _N_FFT * _N_FFT].reshape(-1, _N_FFT).square().mean(1)
    lines = 10 * torch.log10(power.mean(1) + 1e-14).numpy()
    above = np.flatnonzero(lines > max(_FLOOR_DB, float(lines.max()) - 90))
    level = 10 * math.log10(max(float(np.mean(np.square(y, dtype=np.float64))), 1e-12))
    silent = float((of_frames < 10 ** (SILENCE_DBFS / 10)).float().mean())
    return level, float(above[-1]) * sample_rate / _N_FFT if len(above) else 0.0, silent


def _below(y: np.ndarray, sample_rate: int, hz: float) -> float:
    """Return the share of power below `hz`, offset included, in the first minute."""
    from scipy import fft

    y = y[: 60 * sample_rate]
    size = fft.next_fast_len(len(y), real=True)
    power = np.abs(fft.rfft(y, size)) ** 2
    return float(power[: int(hz * size / sample_rate) + 1].sum() / max(power.sum(), 1e-30))
