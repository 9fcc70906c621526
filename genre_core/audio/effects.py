"""Effects on a waveform: filter, mp3, gain, pitch shift and time stretch."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from scipy import signal

from genre_core.audio.io import resample

MP3_KBPS = 64
MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # Hz, of MPEG-1 and MPEG-2


def filter_waveform(y: np.ndarray, sample_rate: int, *, hz: float, kind: str) -> np.ndarray:
    """Filter a waveform with a Butterworth high-pass or low-pass of order 6.

    The filter runs forwards and backwards, so the phase does not change.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
    sample_rate : int
        Sample rate in Hz.
    hz : float > 0
        Cut-off frequency in Hz. From half the sample rate on, `y` is returned unchanged.
    kind : {"highpass", "lowpass"}

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
    """
    if hz >= sample_rate / 2:
        return y
    return np.asarray(signal.sosfiltfilt(signal.butter(6, hz, kind, fs=sample_rate, output="sos"), y), np.float32)


def mp3(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """Encode a waveform as mp3 at a constant 64 kb/s, and decode it.

    libsndfile (LAME) does both. A `sample_rate` that is not in `MP3_RATES` is resampled to 44,100 Hz and back.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(about n,), dtype=float32]
    """
    if sample_rate not in MP3_RATES:
        return resample(mp3(resample(y, sample_rate, 44_100), 44_100), 44_100, sample_rate)
    return soundfile.read(encode_mp3(y, sample_rate), dtype="float32")[0]


def encode_mp3(y: np.ndarray, sample_rate: int) -> io.BytesIO:
    """Encode a waveform as mp3 at a constant 64 kb/s.

    Parameters
    ----------
    y : np.ndarray [shape=(n,) or (n, channels), dtype=float32]
        Samples; values beyond full scale, +-1.0, are clipped.
    sample_rate : int
        Sample rate in Hz, one of `MP3_RATES`.

    Returns
    -------
    io.BytesIO
        Content of the mp3 file.
    """
    # libsndfile's compression level maps the format's bit rates to 0 (highest) to 1 (lowest).
    lowest_kbps, highest_kbps = (32, 320) if sample_rate >= 32000 else (8, 160)
    level = (highest_kbps - MP3_KBPS) / (highest_kbps - lowest_kbps)
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(y, -1, 1), sample_rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=level
    )
    file.seek(0)
    return file


def amplify(y: np.ndarray, sample_rate: int, *, db: float) -> np.ndarray:
    """Amplify `y` [shape=(n,), dtype=float32] by `db` decibels."""
    return y * np.float32(10 ** (db / 20))


def unchanged(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return `y` [shape=(n,)] unchanged."""
    return y


def transform(y: np.ndarray, sample_rate: int, *, pitch_semitones: float = 0.0, tempo_rate: float = 1.0) -> np.ndarray:
    """Shift the pitch or stretch the time of a waveform.

    librosa's phase vocoder computes both (D. P. W. Ellis, "A phase vocoder in Matlab", 2002). If both are given, the pitch is
    shifted first.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
    sample_rate : int
        Sample rate in Hz.
    pitch_semitones : float
        Pitch shift in semitones; 0 does not change the pitch.
    tempo_rate : float > 0
        Tempo factor; above 1 is faster.

    Returns
    -------
    np.ndarray [shape=(n,) for pitch, about (n / tempo_rate,) for tempo, dtype=float32]
    """
    from librosa import effects  # type: ignore[attr-defined]  # slow to import, and only used here

    if pitch_semitones:
        y = effects.pitch_shift(y, sr=sample_rate, n_steps=pitch_semitones)
    if tempo_rate != 1.0:
        y = effects.time_stretch(y, rate=tempo_rate)
    return np.asarray(y, np.float32)
