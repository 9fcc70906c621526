"""The 57 descriptors of Kaggle's GTZAN tables, so that notebooks built on them run on new music.

``features_30_sec.csv`` and ``features_3_sec.csv`` of `andradaolteanu/gtzan-dataset-music-genre-classification` hold means and variances of
librosa's descriptors with its defaults at 22,050 Hz (n_fft 2048, hop 512): of frames, except ``harmony`` and ``perceptr``, which are of the
samples of the harmonic and the percussive part (Fitzgerald 2010). ``rms_var``, say, is the variance over frames. The columns' names,
misspelt ones too, are kept.
"""

from __future__ import annotations

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


def compile_once() -> None:
    """Compile what librosa compiles on first use, before several processes do: numba's cache of two at once can crash both."""
    descriptors(np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32))


def descriptors(y: np.ndarray) -> dict[str, float]:
    """Descriptors of mono samples.

    Parameters
    ----------
    y : np.ndarray [shape=(n,), dtype=float32]
        At 22,050 Hz.

    Returns
    -------
    dict of str to float
        In the order of `DESCRIPTORS`; tempo in beats a minute, centroid, bandwidth and roll-off in Hz.
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
    found: dict[str, float] = {}
    for name, value in values.items():
        found |= {f"{name}_mean": float(np.mean(value)), f"{name}_var": float(np.var(value))}
    found["tempo"] = float(np.atleast_1d(beat.beat_track(y=y, sr=SAMPLE_RATE)[0])[0])
    for i, row in enumerate(mfcc, start=1):
        found |= {f"mfcc{i}_mean": float(np.mean(row)), f"mfcc{i}_var": float(np.var(row))}
    return found


def rows(path: Path, *, label: str, seconds: float | None = None) -> Iterator[dict[str, str | int | float]]:
    """Rows of the table for a file: one, or one for each whole stretch of `seconds`, named as Kaggle's are.

    Raises
    ------
    AudioError
        The file cannot be decoded, or is shorter than `seconds`.
    """
    y = decode(path, sample_rate=SAMPLE_RATE).y
    size = len(y) if seconds is None else round(seconds * SAMPLE_RATE)
    if len(y) < max(size, 2048):
        raise AudioError(f"{path}: too short: {len(y) / SAMPLE_RATE:.2f} s, {max(size, 2048) / SAMPLE_RATE:.2g} s are needed")
    for number in range(len(y) // size):
        name = path.name if seconds is None else f"{path.stem}.{number}{path.suffix}"
        part = y[number * size : (number + 1) * size]
        yield {"filename": name, "length": len(part), **descriptors(part), "label": label}
