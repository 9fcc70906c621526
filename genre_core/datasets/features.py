"""Features made elsewhere, where the audio itself may not be passed on.

An ``.npz`` of plain arrays:

==========  =============================  ==============================================================================
``X``       (tracks, bins, frames)         log-mel, bins low to high; any number, of which `scale_db` and `offset_db` make dB
``track``   (tracks,) text                 unique names
``genre``   (tracks,) text
``split``   (tracks,) text, optional       train, valid, test or empty
``artist``  (tracks,) text, optional       empty where unknown; of tracks that are all GTZAN's, the packaged table's artists
==========  =============================  ==============================================================================
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from genre_core.datasets import DESCRIPTION, SPLITS, Track, gtzan, write_catalogue
from genre_core.errors import GenreError
from genre_core.files import atomic, write_json


def download(path: str | Path, out: str | Path, *, scale_db: float, offset_db: float, **description: float) -> list[Track]:
    """Write each track's log-mel in dB to ``<out>/mel/<number>.npy``, float16 [shape=(frames, bins)], and the catalogue.

    Parameters
    ----------
    path : str or Path
    out : str or Path
    scale_db, offset_db : float
        ``dB = scale_db * X + offset_db``.
    **description
        sample_rate, n_fft, hop_length, fmin_hz, fmax_hz: how the features were made.

    Raises
    ------
    GenreError
        The file is no such ``.npz``.
    """
    path, out = Path(path), Path(out)
    try:
        with np.load(path, allow_pickle=False) as file:
            x = file["X"]
            texts = {name: [str(v) for v in file[name]] for name in ("track", "genre", "split", "artist") if name in file.files}
    except (OSError, TypeError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"not readable as .npz ({' '.join(str(error).split())})"
        raise GenreError(f"dataset.features.path: {path}: {reason}; it needs X, track and genre") from None
    if missing := [name for name in ("track", "genre") if name not in texts]:
        raise GenreError(f"{path}: no array {', '.join(missing)}; it needs X, track and genre")
    if x.ndim != 3 or x.dtype.kind not in "fiu" or any(len(values) != len(x) for values in texts.values()):
        raise GenreError(f"{path}: X is {x.dtype} {x.shape}, expected numbers of shape (tracks, bins, frames), as many as the other arrays")
    if not 16 <= x.shape[1] <= 256:
        raise GenreError(f"{path}: X has {x.shape[1]} bins, 16 to 256 are possible; is it of shape (tracks, bins, frames)?")
    if twice := [name for name, count in Counter(texts["track"]).items() if count > 1]:
        raise GenreError(f"{path}: track {twice[0]!r} is there twice")
    if wrong := sorted(set(texts.get("split", [])) - {*SPLITS, ""}):
        raise GenreError(f"{path}: split {wrong[0]!r} is none of {', '.join(SPLITS)}")
    blank = [""] * len(x)
    known = gtzan.table()
    artists = texts.get("artist") or ([known[t].artist for t in texts["track"]] if set(texts["track"]) <= known.keys() else blank)
    tracks = []
    for number, (track, genre, split, artist) in enumerate(
        zip(texts["track"], texts["genre"], texts.get("split", blank), artists, strict=True)
    ):
        decibel = scale_db * x[number].T.astype(np.float32) + offset_db
        if not np.isfinite(decibel.astype(np.float16)).all():
            raise GenreError(f"{path}: track {track!r} holds values that are no finite dB; see dataset.features.scale_db and offset_db")
        tracks.append(Track(track, f"mel/{number:05d}.npy", genre, artist, split))
        with atomic(out / tracks[-1].path) as part, part.open("wb") as file:
            np.save(file, decibel.astype(np.float16))
    write_json(out / DESCRIPTION, description)
    write_catalogue(out, tracks)
    return tracks
