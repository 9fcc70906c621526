"""Effects on a waveform: filter, mp3, gain, pitch shift and time stretch."""

from __future__ import annotations

import io

import numpy as np
import soundfile

from genre_core.audio.io import resample

MP3_KBPS = 64
MP3_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # sample rates of MPEG-1 and MPEG-2, in Hz


def filter_waveform(y: np.ndarray, sample_rate: int, *, hz: float, kind: str) -> np.ndarray:
    """Filter a waveform with a Butterworth filter of order 6.

    The filter runs forwards and backwards, so it does not change the phase; the attenuation in dB doubles.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples.
    sample_rate : int
        Sample rate in Hz.
    hz : float > 0
        Cut-off frequency in Hz. If it is at least half the sample rate, `y` is returned unchanged.
    kind : {"highpass", "lowpass"}
        Type of the filter.

    Returns
    -------
    np.ndarray [shape=(n,), dtype=float32]
        Filtered samples.

    Raises
    ------
    ValueError
        `y` has fewer than 22 samples, which is too short for the padding of the filter.
    """
    if hz >= sample_rate / 2:
        return y
    from scipy import signal  # takes a second to import

    return np.asarray(signal.sosfiltfilt(signal.butter(6, hz, kind, fs=sample_rate, output="sos"), y), np.float32)


def mp3(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """Encode a waveform as mp3 (constant 64 kb/s), and decode it.

    libsndfile encodes (with LAME) and decodes. If `sample_rate` is not in `MP3_RATES`, the waveform is resampled to 44,100 Hz
    before and back to `sample_rate` after.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples; values beyond full scale, +-1.0, are clipped.
    sample_rate : int
        Sample rate in Hz.

    Returns
    -------
    np.ndarray [shape=(about n,), dtype=float32]
        Decoded samples.
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

    Raises
    ------
    soundfile.LibsndfileError
        The mp3 format does not support `sample_rate`.
    """
    # libsndfile's compression level is linear in the bit rate: 0 is the highest bit rate of the format, 1 the lowest.
    lowest_kbps, highest_kbps = (32, 320) if sample_rate >= 32000 else (8, 160)
    level = (highest_kbps - MP3_KBPS) / (highest_kbps - lowest_kbps)
    file = io.BytesIO()
    soundfile.write(
        file, np.clip(y, -1, 1), sample_rate, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=level
    )
    file.seek(0)
    return file


def amplify(y: np.ndarray, sample_rate: int, *, db: float) -> np.ndarray:
    """Amplify `y` [shape=(n,), dtype=float32] by `db` decibels.

    `sample_rate` is not used, but all effects have the same signature.
    """
    return y * np.float32(10 ** (db / 20))


def shift(y: np.ndarray, sample_rate: int, *, offset: float) -> np.ndarray:
    """Add a constant offset, in parts of full scale, to `y` [shape=(n,), dtype=float32]."""
    return y + np.float32(offset)


def unchanged(y: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return `y` [shape=(n,), dtype=float32] unchanged, as the effect of a baseline."""
    return y


def transform(y: np.ndarray, sample_rate: int, *, pitch_semitones: float = 0.0, tempo_rate: float = 1.0) -> np.ndarray:
    """Shift the pitch of a waveform, and change its tempo.

    Both use librosa's phase vocoder (D. P. W. Ellis, "A phase vocoder in Matlab", 2002). The pitch is shifted first.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples.
    sample_rate : int
        Sample rate in Hz.
    pitch_semitones : float
        Pitch shift in semitones; 0 does not change the pitch.
    tempo_rate : float > 0
        Tempo factor; 1 does not change the tempo, a higher value is faster.

    Returns
    -------
    np.ndarray [shape=(about n / tempo_rate,), dtype=float32]
        Transformed samples; exactly n if the tempo does not change.
    """
    from librosa import effects  # type: ignore[attr-defined]  # slow import, which only this function needs

    if pitch_semitones:
        y = effects.pitch_shift(y, sr=sample_rate, n_steps=pitch_semitones)
    if tempo_rate != 1.0:
        y = effects.time_stretch(y, rate=tempo_rate)
    return np.asarray(y, np.float32)
