"""The 57 descriptors of Kaggle's GTZAN tables, for new music.

Notebooks that were written for these tables then run on new music. The tables are ``features_30_sec.csv`` and ``features_3_sec.csv`` of
`andradaolteanu/gtzan-dataset-music-genre-classification`. They hold the mean and the variance of librosa's descriptors, computed with
librosa's defaults at 22,050 Hz (n_fft 2048, hop 512). Most are taken over frames: ``rms_var``, for example, is the variance over frames.
``harmony`` and ``perceptr`` are taken over the samples of the harmonic and of the percussive part (D. Fitzgerald, "Harmonic/percussive
separation using median filtering", DAFx 2010). The names of the columns are Kaggle's, also if they are misspelt.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genre_core.audio.io import decode
from genre_core.errors import AudioError

SAMPLE_RATE = 22_050
N_MFCC = 20
_FRAMES = ("chroma_stft", "rms", "spectral_centroid", "spectral_bandwidth", "rolloff", "zero_crossing_rate", "harmony", "perceptr")
DESCRIPTORS = (
    *(f"{name}_{moment}" for name in _FRAMES for moment in ("mean", "var")),
    "tempo",
    *(f"mfcc{i}_{moment}" for i in range(1, N_MFCC + 1) for moment in ("mean", "var")),
)
COLUMNS = ("filename", "length", *DESCRIPTORS, "label")


def compile_numba() -> None:
    """Compile librosa's numba functions before several processes start.

    librosa compiles them on first use. If two processes write numba's cache at the same time, both can crash.
    """
    descriptors(np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32))


def descriptors(y: np.ndarray) -> dict[str, float]:
    """Compute Kaggle's descriptors of mono samples.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        Mono samples at 22,050 Hz.

    Returns
    -------
    dict of str to float
        Value of each descriptor, in the order of `DESCRIPTORS`: tempo in beats per minute; centroid, bandwidth and roll-off in Hz
        (their variances in Hz squared).
    """
    import librosa
    from librosa import beat, effects  # type: ignore[attr-defined]

    magnitude = np.abs(librosa.stft(y))
    harmonic, percussive = effects.hpss(y)
    values = {
        "chroma_stft": librosa.feature.chroma_stft(S=magnitude**2, sr=SAMPLE_RATE),
        "rms": librosa.feature.rms(y=y),
        "spectral_centroid": librosa.feature.spectral_centroid(S=magnitude, sr=SAMPLE_RATE),
        "spectral_bandwidth": librosa.feature.spectral_bandwidth(S=magnitude, sr=SAMPLE_RATE),
        "rolloff": librosa.feature.spectral_rolloff(S=magnitude, sr=SAMPLE_RATE),
        "zero_crossing_rate": librosa.feature.zero_crossing_rate(y),
        "harmony": harmonic,
        "perceptr": percussive,
    }
    mfcc = librosa.feature.mfcc(y=y, sr=SAMPLE_RATE, n_mfcc=N_MFCC)  # (20, frames)
    row: dict[str, float] = {}
    for name, value in values.items():
        row |= {f"{name}_mean": float(np.mean(value)), f"{name}_var": float(np.var(value))}
    row["tempo"] = float(np.atleast_1d(beat.beat_track(y=y, sr=SAMPLE_RATE)[0])[0])
    for i, coefficient in enumerate(mfcc, start=1):  # coefficient: (frames,)
        row |= {f"mfcc{i}_mean": float(np.mean(coefficient)), f"mfcc{i}_var": float(np.var(coefficient))}
    return row


def rows(path: Path, *, label: str, seconds: float | None = None) -> Iterator[dict[str, str | int | float]]:
    """Yield the rows of Kaggle's table for an audio file.

    Parameters
    ----------
    path : Path
    label : str
        Genre of the file.
    seconds : float or None
        Length of an excerpt. With it, each whole excerpt of the file has a row, named as in ``features_3_sec.csv``; None means
        one row for the whole file.

    Yields
    ------
    dict
        Value of each column of `COLUMNS`; ``length`` is in samples.

    Raises
    ------
    AudioError
        The file cannot be decoded, or is shorter than `seconds` or than one frame (2,048 samples).
    """
    y = decode(path, sample_rate=SAMPLE_RATE).y
    size = len(y) if seconds is None else round(seconds * SAMPLE_RATE)
    if len(y) < max(size, 2048):
        raise AudioError(f"{path}: too short: {len(y) / SAMPLE_RATE:.2f} s, {max(size, 2048) / SAMPLE_RATE:.2g} s are needed")
    for number in range(len(y) // size):
        name = path.name if seconds is None else f"{path.stem}.{number}{path.suffix}"
        part = y[number * size : (number + 1) * size]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # librosa warns about silence, which no user of the table can change
            described = descriptors(part)
        yield {"filename": name, "length": len(part), **described, "label": label}
