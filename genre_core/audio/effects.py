"""Change a waveform: filter, code as mp3, amplify, shift the pitch, stretch the time."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from scipy import signal

from genre_core.audio.io import resample

MP3_KBPS = 64
MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz, of MPEG-1 and MPEG-2


def filtered(y: np.ndarray, sample_rate: int, *, hz: float, kind: str) -> np.ndarray:
    """High- or low-pass (`kind`) at `hz`, Butterworth of order 6, forwards and backwards; what cannot be filtered stays as it is."""
    if hz >= sample_rate / 2:
        return y
    return np.asarray(signal.sosfiltfilt(signal.butter(6, hz, kind, fs=sample_rate, output="sos"), y), np.float32)


def mp3(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """Encode as mp3 at a constant 64 kb/s and decode, by libsndfile (LAME)."""
    if sample_rate not in MP3_RATES:
        return resample(mp3(resample(y, sample_rate, 44_100), 44_100), 44_100, sample_rate)
    return soundfile.read(as_mp3(y, sample_rate), dtype="float32")[0]


def as_mp3(y: np.ndarray, sample_rate: int) -> io.BytesIO:
    """Encode as mp3 at a constant 64 kb/s; `sample_rate` is one of `MP3_RATES`."""
    slowest, fastest = (32, 320) if sample_rate >= 32000 else (8, 160)  # kb/s of the format, on which libsndfile's scale from 0 to 1 lies
    level = (fastest - MP3_KBPS) / (fastest - slowest)
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(y, -1, 1), sample_rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=level
    )
    file.seek(0)
    return file


def gained(y: np.ndarray, sample_rate: int, *, db: float) -> np.ndarray:
    """Amplify by `db` decibels."""
    return y * np.float32(10 ** (db / 20))


def unchanged(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return the signal unchanged."""
    return y


def transform(y: np.ndarray, sample_rate: int, *, pitch_semitones: float = 0.0, tempo_rate: float = 1.0) -> np.ndarray:
    """Shift the pitch or stretch the time of a waveform (librosa's phase vocoder).

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
    sample_rate : int
        Hz.
    pitch_semitones : float
    tempo_rate : float > 0
        Above 1 is faster.

    Returns
    -------
    np.ndarray [shape=(n,) for pitch, about (n / tempo_rate,) for tempo, dtype=float32]
    """
    from librosa import effects  # type: ignore[attr-defined]  # slow to import, and used by this alone

    if pitch_semitones:
        y = effects.pitch_shift(y, sr=sample_rate, n_steps=pitch_semitones)
    if tempo_rate != 1.0:
        y = effects.time_stretch(y, rate=tempo_rate)
    return np.asarray(y, np.float32)
