"""The feature store: one HDF5 file, written once, opened read-only.

======================  =====================  ==========================================================
``/mel``                float16 (frames, mels)   dB re 1.0 power, tracks one after another
``/mfcc``               float32 (frames, mfcc)   row-aligned with ``/mel``
``/musicnn``            float16 (patches, 1756)  in a store of its own: see `genre_core.backbone`
``/track/id``           utf-8 (tracks,)
``/track/start``        int64 (tracks,)        first row of each track
``/track/frames``       int64 (tracks,)        rows of each track
attributes              -                      ``schema``, ``window`` and every field of `FeatureSpec`
======================  =====================  ==========================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
import torch

from genre_core.errors import GenreError
from genre_core.features import FeatureSpec, dct_basis
from genre_core.files import atomic

SCHEMA = 1
Kind = Literal["mel", "mfcc", "musicnn"]
_CHUNK_FRAMES = 512


def rounded(mel: np.ndarray) -> np.ndarray:
    """A log-mel spectrogram in the store's precision: a step of at most 0.06 dB above -100 dB, at half the space of float32."""
    return torch.from_numpy(np.ascontiguousarray(mel, np.float32)).half().numpy()  # numpy's conversion takes twenty times as long


def row_of_mel(mel: np.ndarray, spec: FeatureSpec) -> dict[Kind, np.ndarray]:
    """What the store holds of a track's log-mel spectrogram [shape=(frames, n_mels), dtype=float32]: itself, and its MFCC."""
    return {"mel": rounded(mel), "mfcc": mel @ dct_basis(spec.n_mels, spec.n_mfcc)}


def write_store(path: str | Path, spec: FeatureSpec, tracks: Iterable[tuple[str, Mapping[Kind, np.ndarray]]]) -> int:
    """Write a store; one track is in memory at a time, and the file appears whole or not at all.

    Parameters
    ----------
    path : str or Path
    spec : FeatureSpec
    tracks : iterable of (id, features), features a dict of kind to np.ndarray [shape=(frames, bins)]
        The same kinds, bins and dtypes for each track.

    Returns
    -------
    int
        Number of frames written.
    """
    ids: list[str] = []
    frames: list[int] = []
    with atomic(path) as part, h5py.File(part, "w", track_order=False) as file:
        total = 0
        for track, features in tracks:
            for kind, rows in features.items():
                if kind not in file:
                    bins = rows.shape[1]
                    file.create_dataset(kind, (0, bins), rows.dtype, maxshape=(None, bins), chunks=(_CHUNK_FRAMES, bins), track_times=False)
                end = total + len(rows)
                file[kind].resize(end, axis=0)
                file[kind][total:end] = rows
            ids.append(track)
            frames.append(end - total)
            total = end
        group = file.create_group("track")
        group.create_dataset("id", data=np.array(ids, dtype=object), dtype=h5py.string_dtype(), shape=(len(ids),), track_times=False)
        counts = np.array(frames, np.int64)
        group.create_dataset("start", data=np.cumsum(counts) - counts, track_times=False)
        group.create_dataset("frames", data=counts, track_times=False)
        file.attrs.update({"schema": SCHEMA, "window": "hann", **asdict(spec)})
    return total


class FeatureStore:
    """A store opened for reading.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    spec : FeatureSpec
    tracks : dict of str to slice
        Rows of each track, in the order of the file.

    Raises
    ------
    GenreError
        The file is missing, no HDF5, or of another schema.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = h5py.File(self.path, "r")
        except FileNotFoundError:
            raise GenreError(f"{path}: no such file; `dvc repro` makes it") from None
        except OSError as error:
            raise GenreError(f"{path}: not readable as HDF5 ({error}); remove it and run `dvc repro`") from None
        try:
            attributes = dict(self._file.attrs)
            if attributes.get("schema") != SCHEMA:
                raise GenreError(f"{path}: schema {attributes.get('schema')}, this version reads {SCHEMA}; run `dvc repro`")
            self.spec = FeatureSpec(**{f.name: attributes[f.name].item() for f in fields(FeatureSpec)})
            ids = self._file["track/id"].asstr()[:]
            starts, frames = self._file["track/start"][:], self._file["track/frames"][:]
        except KeyError as error:
            raise GenreError(f"{path}: no feature store ({error}); run `dvc repro`") from None
        self.tracks = {track: slice(int(s), int(s + n)) for track, s, n in zip(ids, starts, frames, strict=True)}

    def read(self, kind: Kind, track: str) -> np.ndarray:
        """Features of one track.

        Returns
        -------
        np.ndarray [shape=(frames, n_mels or n_mfcc), dtype=float16 (mel) or float32 (mfcc)]

        Raises
        ------
        GenreError
            The store has no such track.
        """
        if track not in self.tracks:
            raise GenreError(f"{self.path}: no track {track!r}; run `dvc repro`")
        return self._file[kind][self.tracks[track]]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


@contextmanager
def reader(paths: Mapping[str, Path], kinds: Iterable[Kind]) -> Iterator[Callable[[str], dict[Kind, np.ndarray]]]:
    """While it is open, what it gives reads a track's features of all `kinds`, each from its store in `paths`."""
    with ExitStack() as stack:
        stores = {kind: stack.enter_context(FeatureStore(paths[kind])) for kind in kinds}
        yield lambda track: {kind: store.read(kind, track) for kind, store in stores.items()}
