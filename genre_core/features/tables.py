"""Features for other programs: arrays in an ``.npz``, or Kaggle's CSV table."""

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
    """Compute the features of one audio file.

    Parameters
    ----------
    file : str
        Audio file. The name of its folder is taken as the genre.
    form : {"csv", "npz"}
    seconds : float or None
        Length of the excerpts that have a row each in the table; None means one row for the whole file. Used for "csv" only.

    Returns
    -------
    list of dict, tuple or str
        For "csv", the rows of the table: see `kaggle.rows`. For "npz", the tuple (file, genre, mel, mfcc): see `mel_and_mfcc`.
        If the file cannot be used, the reason as text.
    """
    path = Path(file)
    try:
        if form == "csv":
            return list(kaggle.rows(path, label=path.parent.name, seconds=seconds))
        mel, mfcc = mel_and_mfcc(decode(path, sample_rate=SPEC.sample_rate).y, SPEC)
        return file, path.parent.name, mel, mfcc
    except AudioError as error:
        return str(error)


def write(out: Path, made: Sequence[Any], form: str) -> int:
    """Write the results of `of_file` to the file `out`.

    An ``.npz`` holds, for each track, ``track`` (the file), ``genre`` (the folder's name), ``start`` (first frame) and ``frames``
    (number of frames); for all frames, ``mel`` [shape=(frames, 128), dtype=float32], dB, and ``mfcc`` [shape=(frames, 20), dtype=float32];
    and ``sample_rate`` (Hz) and ``hop_length`` (samples).

    Parameters
    ----------
    out : Path
    made : sequence
        Results of `of_file`, without the files that cannot be used.
    form : {"csv", "npz"}

    Returns
    -------
    int
        Number of rows of the table, or of tracks in the ``.npz``.
    """
    if form == "csv":
        rows = [row for file_rows in made for row in file_rows]
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
