"""Feature store: one HDF5 file, written once, then only read.

================  =======================  =============================================================
``/mel``          float16 (frames, mels)   dB re 1.0 power, one track after another
``/mfcc``         float32 (frames, mfcc)   same rows as ``/mel``
``/musicnn``      float16 (patches, 1756)  in a separate store: see `genre_core.features.musicnn`
``/track/id``     utf-8 (tracks,)          name of each track
``/track/start``  int64 (tracks,)          first row of each track
``/track/frames`` int64 (tracks,)          number of rows of each track
attributes        -                        ``schema``, ``window`` and every field of `FeatureSpec`
================  =======================  =============================================================

Rows, tables (Fletcher 32) and the structure of the file (HDF5 1.10) have checksums, so data that a disk has damaged are never trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genre_core.errors import GenreError
from genre_core.features.kinds import KINDS, Kind
from genre_core.features.spectrogram import FeatureSpec, dct_basis
from genre_core.util.files import atomic, plain_file

if TYPE_CHECKING:
    import h5py  # imported in functions: predictions import this module too, and need no store

SCHEMA = 2
MAX_STORE_BYTES = 2**40
MAX_UNPACKED = 200  # largest allowed ratio of a dataset's size in memory to its size in the file
_SMALL_BYTES = 50_000_000
_MAX_NAME_BYTES = 4_096
_MAX_CHUNK_BYTES = 16_000_000
_REMEDY = "`dvc repro -f extract embed augment` creates it again"
_CHUNK_FRAMES = 512


def to_store_dtype(mel: np.ndarray) -> np.ndarray:
    """Round log-mel or embeddings to the store's float16.

    For log-mel levels between -128 and 128 dB, two neighbouring values are at most 0.06 dB apart.
    """
    import torch  # here, because reading a store needs none

    return torch.from_numpy(np.ascontiguousarray(mel, np.float32)).half().numpy()  # NumPy's conversion takes 20 times as long


def features_from_log_mel(mel: np.ndarray, spec: FeatureSpec) -> dict[Kind, np.ndarray]:
    """Compute a track's features for the store from its log-mel.

    Parameters
    ----------
    mel : np.ndarray [shape=(frames, n_mels), dtype=float32]
        Log-mel in dB.
    spec : FeatureSpec

    Returns
    -------
    dict
        ``mel``, rounded to float16, and ``mfcc`` [shape=(frames, n_mfcc), dtype=float32].
    """
    return {"mel": to_store_dtype(mel), "mfcc": mel @ dct_basis(spec.n_mels, spec.n_mfcc)}


def write_store(path: str | Path, spec: FeatureSpec, tracks: Iterable[tuple[str, Mapping[Kind, np.ndarray]]]) -> int:
    """Write a feature store.

    Only one track is in memory at a time. If writing fails, no file is left.

    Parameters
    ----------
    path : str or Path
    spec : FeatureSpec
        Parameters that the store records.
    tracks : iterable of (id, features), features a dict of kind to np.ndarray [shape=(frames, bins)]
        Name and features of each track. All tracks have the same kinds, bins and dtypes.

    Returns
    -------
    int
        Number of frames written.
    """
    import h5py

    ids: list[str] = []
    frames: list[int] = []
    with atomic(path) as part, h5py.File(part, "w", track_order=False, libver="v110", locking=False) as file:  # renamed when complete
        total = 0
        for track, features in tracks:
            for kind, rows in features.items():
                if kind not in file:
                    bins = rows.shape[1]
                    options = {"maxshape": (None, bins), "chunks": (_CHUNK_FRAMES, bins), "fletcher32": True, "track_times": False}
                    file.create_dataset(kind, (0, bins), rows.dtype, **options)
                end = total + len(rows)
                file[kind].resize(end, axis=0)
                file[kind][total:end] = rows
            ids.append(track)
            frames.append(end - total)
            total = end
        group = file.create_group("track")
        counts = np.array(frames, np.int64)
        names = np.array([track.encode("utf-8", "surrogateescape") for track in ids], "S") if ids else np.zeros(0, "S1")
        tables = {
            "id": names.astype(h5py.string_dtype("utf-8", max(1, names.itemsize))),
            "start": np.cumsum(counts) - counts,
            "frames": counts,
        }
        for name, table in tables.items():
            group.create_dataset(name, data=table, track_times=False, **({"chunks": True, "fletcher32": True} if ids else {}))
        file.attrs.update({"schema": SCHEMA, "window": np.bytes_("hann"), **asdict(spec)})
    return total


class FeatureStore:
    """Feature store, opened for reading.

    Parameters
    ----------
    path : str or Path

    Attributes
    ----------
    path : Path
    spec : FeatureSpec
        Parameters that the store records.
    tracks : dict of str to slice
        Rows of each track, in the order of the file.

    Raises
    ------
    GenreError
        The file is missing, damaged, not HDF5, or has another schema.
    """

    def __init__(self, path: str | Path) -> None:
        import h5py

        self.path = Path(path)
        plain_file(path, max_bytes=MAX_STORE_BYTES, missing="no such file; `dvc repro` makes it")
        try:
            self._file = h5py.File(self.path, "r", locking=False)
        except OSError as error:
            raise GenreError(f"{path}: not readable as HDF5 ({error}); remove it and run `dvc repro`") from None
        try:
            schema = _number(self._file, "schema")
            if schema != SCHEMA:
                raise GenreError(f"{path}: the store has schema {schema}, but this version reads schema {SCHEMA}; run `dvc repro`")
            self.spec = FeatureSpec(**{f.name: _number(self._file, f.name) for f in fields(FeatureSpec)})
            ids = _ids(self._dataset("track/id", 1))
            starts, frames = (self._dataset(f"track/{name}", 1)[:] for name in ("start", "frames"))
            self._rows = {kind: self._dataset(kind, 2) for kind in KINDS if kind in self._file}
            self.tracks = _slices(ids, starts, frames, min((len(data) for data in self._rows.values()), default=0))
        except GenreError:
            self._file.close()
            raise
        except (KeyError, OSError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            self._file.close()
            raise GenreError(f"{path}: not a feature store, or damaged ({' '.join(str(error).split())}); run `dvc repro`") from None

    def _dataset(self, name: str, ndim: int) -> h5py.Dataset:
        """Return a dataset, checked for links, size and type."""
        import h5py

        node: Any = self._file
        for part in name.split("/"):
            if not isinstance(node.get(part, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} is missing, or is a link")
            node = node[part]
        if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external:
            raise ValueError(f"{name} is not a dataset, or is virtual, or its data are in another file")
        if node.chunks and node.dtype.itemsize * math.prod(node.chunks) > _MAX_CHUNK_BYTES:
            raise ValueError(f"{name} has chunks of shape {node.chunks}, larger than {_MAX_CHUNK_BYTES:,} bytes")
        if node.ndim != ndim or node.dtype.kind not in ("SO" if name == "track/id" else "iu" if ndim == 1 else "f"):
            raise ValueError(f"{name} has an unexpected dtype or shape: {node.dtype} {node.shape}")
        if node.nbytes > max(_SMALL_BYTES, MAX_UNPACKED * node.id.get_storage_size()):
            raise ValueError(f"{name} claims {node.nbytes:,} bytes in memory, but only {node.id.get_storage_size():,} bytes are stored")
        return node

    def read(self, kind: Kind, track: str, rows: slice = slice(None)) -> np.ndarray:
        """Read the features of one track, or the part `rows` of them.

        Returns
        -------
        np.ndarray [shape=(frames, bins), dtype=float16 (mel, musicnn) or float32 (mfcc)]

        Raises
        ------
        GenreError
            The store has no such track or kind, or is damaged.
        """
        if track not in self.tracks:
            raise GenreError(f"{self.path}: no track {track!r}; run `dvc repro`")
        if kind not in self._rows:
            raise GenreError(f"{self.path}: track {track!r} cannot be read: the feature store does not hold {kind}; {_REMEDY}")
        first, end, _ = rows.indices(self.tracks[track].stop - self.tracks[track].start)
        try:
            features = self._rows[kind][self.tracks[track].start + first : self.tracks[track].start + end]
        except (OSError, ValueError, RuntimeError) as error:
            raise GenreError(f"{self.path}: track {track!r} cannot be read: the feature store is damaged ({error}); {_REMEDY}") from None
        if not np.isfinite(features).all():
            raise GenreError(f"{self.path}: track {track!r} holds NaN or infinite values: the feature store is damaged; {_REMEDY}")
        return features

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _ids(data: h5py.Dataset) -> np.ndarray:
    """Read the names of the tracks.

    Strings of variable length, which other programs write, are read one by one because each can claim megabytes.
    """
    import h5py

    if data.dtype.kind == "S":
        return data[:]
    if h5py.check_string_dtype(data.dtype) is None:
        raise ValueError("track/id is not text")
    names = []
    for i in range(len(data)):
        names.append(data[i])
        if len(names[-1]) > _MAX_NAME_BYTES:
            raise ValueError(f"the name of a track has {len(names[-1]):,} bytes, at most {_MAX_NAME_BYTES:,} are read")
    return np.array(names, dtype=object)


def _number(file: h5py.File, name: str) -> Any:
    """Read a numeric attribute.

    The type is checked before the value is read because reading a string of variable length can send HDF5 into an endless loop.
    """
    if name not in file.attrs:
        raise KeyError(f"no attribute {name}")
    attribute = file.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "iuf":
        raise ValueError(f"attribute {name} is not a number: {attribute.dtype} {attribute.shape}")
    number = file.attrs[name].item()
    low, high = (-200, 0) if name.endswith("_dbfs") else (0, 1e9)
    if not low <= number <= high:
        raise ValueError(f"attribute {name} is {number!r}, outside {low} to {high:g}")
    return float(number) if name.endswith(("_hz", "_dbfs")) else int(number)


def _slices(ids: np.ndarray, starts: np.ndarray, frames: np.ndarray, rows: int) -> dict[str, slice]:
    """Return the rows of each track, and check that they exist."""
    if not len(ids) == len(starts) == len(frames):
        raise ValueError(f"{len(ids)} ids, {len(starts)} starts and {len(frames)} frame counts: the numbers differ")
    bounds = [(int(s), int(n)) for s, n in zip(starts, frames, strict=True)]  # Python integers do not overflow
    if any(s < 0 or n < 0 or s + n > rows for s, n in bounds):
        raise ValueError(f"tracks reach beyond the {rows} rows")
    names = [value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value) for value in ids]
    if len(set(names)) < len(names):
        raise ValueError("two tracks have the same name")
    return {name: slice(int(s), int(s + n)) for name, s, n in zip(names, starts, frames, strict=True)}


@contextmanager
def reader(paths: Mapping[str, Path], kinds: Iterable[Kind]) -> Iterator[Callable[[str], dict[Kind, np.ndarray]]]:
    """Open the stores of `kinds` and yield a function that reads tracks.

    Parameters
    ----------
    paths : mapping of str to Path
        Store of each kind.
    kinds : iterable of str
        Kinds of feature to read.

    Yields
    ------
    callable
        Function from the name of a track to its features of all `kinds`. The stores close when the context ends.

    Raises
    ------
    GenreError
        A store cannot be opened.
    """
    with ExitStack() as stack:
        stores = {kind: stack.enter_context(FeatureStore(paths[kind])) for kind in kinds}
        yield lambda track: {kind: store.read(kind, track) for kind, store in stores.items()}
