"""Features of files for other programs: arrays in an ``.npz``, or Kaggle's table as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genre_core.audio.io import decode
from genre_core.errors import AudioError
from genre_core.features import kaggle
from genre_core.features.spectrogram import FeatureSpec, mel_and_mfcc
from genre_core.util.files import atomic, write_csv

SPEC = FeatureSpec(sample_rate=22_050, n_fft=2048, hop_length=512, n_mels=128, n_mfcc=20, fmin_hz=20.0, fmax_hz=11_025.0)


def of_file(file: str, *, form: str, seconds: float | None) -> Any:
    """Rows of the table, or (file, genre, mel, mfcc); the reason as text, where the file cannot be used."""
    path = Path(file)
    try:
        if form == "csv":
            return list(kaggle.rows(path, label=path.parent.name, seconds=seconds))
        mel, mfcc = mel_and_mfcc(decode(path, sample_rate=SPEC.sample_rate).y, SPEC)
        return file, path.parent.name, mel, mfcc
    except AudioError as error:
        return str(error)


def write(out: Path, made: Sequence[Any], form: str) -> int:
    """Write what `of_file` made; the number of rows.

    An ``.npz`` holds ``track`` and ``genre`` (the folder's name), ``start`` and ``frames`` of each track, ``mel`` (all frames, 128), dB,
    ``mfcc`` (all frames, 20), and ``sample_rate`` and ``hop_length``.
    """
    if form == "csv":
        rows = [row for of_one in made for row in of_one]
        write_csv(out, kaggle.COLUMNS, rows)
        return len(rows)
    counts = np.array([len(mel) for _, _, mel, _ in made])
    with atomic(out) as part:
        np.savez(
            part,
            track=np.array([file for file, *_ in made]),
            genre=np.array([genre for _, genre, *_ in made]),
            start=np.cumsum(counts) - counts,
            frames=counts,
            mel=np.concatenate([mel for _, _, mel, _ in made]),
            mfcc=np.concatenate([mfcc for *_, mfcc in made]),
            sample_rate=SPEC.sample_rate,
            hop_length=SPEC.hop_length,
        )
    return len(made)
