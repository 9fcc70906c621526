"""Data set of precomputed log-mel spectrograms, without audio.

It serves data sets whose audio may not be distributed. The file is an ``.npz`` of plain arrays:

==========  =============================  ==============================================================================
``X``       (tracks, bins, frames)         log-mel, lowest bin first; dB = `scale_db` * X + `offset_db`
``track``   (tracks,) text                 unique names
``genre``   (tracks,) text                 genre of each track
``split``   (tracks,) text, optional       train, valid, test or empty
``artist``  (tracks,) text, optional       artist of each track, empty if unknown
==========  =============================  ==============================================================================

If ``artist`` is missing and all tracks are tracks of GTZAN, the artists come from the packaged table of GTZAN.
"""

from __future__ import annotations

import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from genre_core.corpus.catalogue import DESCRIPTION, SPLITS, Track, write_catalogue
from genre_core.datasets import gtzan
from genre_core.errors import GenreError
from genre_core.util.archives import SAFE_COMPRESSIONS, check_zip
from genre_core.util.files import atomic, plain_file, write_json

_BROKEN = (
    *(OSError, TypeError, ValueError, KeyError, EOFError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SystemError, SyntaxError),
)
_MAX_UNPACKED_RATIO = 100  # unpacked bytes per packed byte of a member
_SMALL_BYTES = 50_000_000
_MAX_TRACKS = 1_000_000
_MAX_TRACK_VALUES = 20_000_000  # an hour and a half at 43 frames of 128 bins per second


@dataclass(frozen=True)
class _Array:
    """Array in a ZIP file, with its header but without values."""

    file: zipfile.ZipFile
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def rows(self) -> Iterator[np.ndarray]:
        """Iterate over the first axis, with one item in memory."""
        size = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object))
        with self.file.open(self.member) as stream:
            _read_header(stream)
            for _ in range(self.shape[0]):
                data = stream.read(size)
                if len(data) < size:
                    raise EOFError(f"{self.member.filename} ends too early")
                yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])
            if stream.read(1):
                raise ValueError(f"{self.member.filename} is longer than its header states")


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read the shape, Fortran order and dtype from a ``.npy`` stream."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"a .npy file of version {version}; save it with numpy.savez")
    return read(stream)


def _list_arrays(file: zipfile.ZipFile) -> dict[str, _Array]:
    """List the arrays of an ``.npz`` without reading their values.

    Raises
    ------
    ValueError
        An array is missing, or its size, dtype or packing is not allowed.
    """
    arrays: dict[str, _Array] = {}
    for member in file.infolist():
        name = member.filename.removesuffix(".npy")
        if name not in ("X", "track", "genre", "split", "artist"):
            continue
        if name == member.filename or name in arrays:
            raise ValueError(f"member {member.filename!r} {'is not a .npy file' if name == member.filename else 'occurs twice'}")
        if member.flag_bits & 1 or member.compress_type not in SAFE_COMPRESSIONS:
            raise ValueError(f"{name} is encrypted, or compressed by an unusual method; save it with numpy.savez_compressed")
        if member.file_size > max(_SMALL_BYTES, _MAX_UNPACKED_RATIO * member.compress_size):
            raise ValueError(f"{name} would unpack from {member.compress_size:,} to {member.file_size:,} bytes, too many for features")
        with file.open(member) as stream:
            shape, fortran, dtype = _read_header(stream)
        if dtype.hasobject or dtype.kind not in "fiuUS" or (fortran and len(shape) > 1):
            fault = "in Fortran order" if fortran else str(dtype)
            raise ValueError(f"{name} is {fault}; save numpy.ascontiguousarray({name}) as numbers or text")
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if size > member.file_size:
            raise ValueError(f"{name} has {member.file_size:,} bytes, its header states {size:,}")
        arrays[name] = _Array(file, member, shape, dtype)
    if missing := [name for name in ("X", "track", "genre") if name not in arrays]:
        raise ValueError(f"no array {', '.join(missing)}")
    return arrays


def _read_texts(array: _Array) -> list[str]:
    """Read the values of an array of text."""
    if len(array.shape) != 1 or array.dtype.kind not in "US" or array.member.file_size > _SMALL_BYTES:
        raise ValueError(f"{array.member.filename} is {array.dtype} {array.shape}, expected text of shape (tracks,)")
    values = [value.item() for value in array.rows()]
    texts = [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
    for text in texts:
        text.encode("utf-8")  # raises on lone surrogates, which are not text
    return texts


def _check_tracks(path: Path, x: _Array, texts: Mapping[str, list[str]]) -> list[Track]:
    """Check the shapes and texts, and build the tracks.

    Raises
    ------
    GenreError
        A shape, track name or split is not allowed.
    """
    count = x.shape[0] if x.shape else 0
    if len(x.shape) != 3 or x.dtype.kind not in "fiu" or any(len(values) != count for values in texts.values()):
        raise GenreError(
            f"{path}: X is {x.dtype} {x.shape}, expected numbers of shape (tracks, bins, frames), as many tracks as the other arrays"
        )
    if not 0 < count <= _MAX_TRACKS or not x.shape[2]:
        raise GenreError(f"{path}: X is {x.shape}: 1 to {_MAX_TRACKS:,} tracks of at least one frame are possible")
    if not 16 <= x.shape[1] <= 256:
        raise GenreError(f"{path}: X has {x.shape[1]} bins, 16 to 256 are possible; is it of shape (tracks, bins, frames)?")
    if x.shape[1] * x.shape[2] > _MAX_TRACK_VALUES:
        raise GenreError(f"{path}: X has {x.shape[2]:,} frames per track; at most {_MAX_TRACK_VALUES:,} values are read: cut the tracks")
    if repeated := [name for name, count_of_name in Counter(texts["track"]).items() if count_of_name > 1]:
        raise GenreError(f"{path}: track {repeated[0]!r} occurs twice")
    if unknown_splits := sorted(set(texts.get("split", [])) - {*SPLITS, ""}):
        raise GenreError(f"{path}: split {unknown_splits[0]!r} is not one of {', '.join(SPLITS)}")
    blank = [""] * count
    known = gtzan.table()
    artists = texts.get("artist") or ([known[t].artist for t in texts["track"]] if set(texts["track"]) <= known.keys() else blank)
    columns = zip(texts["track"], texts["genre"], artists, texts.get("split", blank), strict=True)
    return [Track(track, f"mel/{number:05d}.npy", *rest) for number, (track, *rest) in enumerate(columns)]


def download(path: str | Path, out: str | Path, *, scale_db: float, offset_db: float, **description: float) -> list[Track]:
    """Write each track's log-mel spectrogram in dB, and the catalogue.

    Each spectrogram is ``<out>/mel/<number>.npy`` [shape=(frames, bins), dtype=float16].

    Parameters
    ----------
    path : str or Path
        The ``.npz`` file described in the module's docstring.
    out : str or Path
        Folder for the spectrograms, their description and the catalogue.
    scale_db, offset_db : float
        Factor and offset of the conversion ``dB = scale_db * X + offset_db``.
    **description : float
        Settings of the spectrograms: sample_rate and fmin_hz, fmax_hz in Hz, n_fft and hop_length in samples.

    Returns
    -------
    list of Track
        Tracks in the order of the file.

    Raises
    ------
    GenreError
        The file is missing or not such an ``.npz``, or values are not finite in dB.
    OSError
        The results cannot be written to `out`.
    """
    path, out = Path(path), Path(out)
    try:
        plain_file(path, max_bytes=2**40)
        check_zip(path)
        with zipfile.ZipFile(path) as file:
            arrays = _list_arrays(file)
            texts: dict[str, list[str]] = {
                name: _read_texts(arrays[name]) for name in ("track", "genre", "split", "artist") if name in arrays
            }
            tracks = _check_tracks(path, arrays["X"], texts)
            for track, values in zip(tracks, arrays["X"].rows(), strict=True):
                with np.errstate(over="ignore", invalid="ignore"):
                    decibel = (scale_db * values.T.astype(np.float32) + offset_db).astype(np.float16)
                if not np.isfinite(decibel).all():
                    raise GenreError(
                        f"{path}: track {track.track!r} has values that are not finite in dB; see dataset.features.scale_db and offset_db"
                    )
                with atomic(out / track.path) as part, part.open("wb") as saved:
                    np.save(saved, decibel)
    except GenreError as error:
        raise GenreError(f"dataset.features.path: {error}") from None
    except _BROKEN as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # the fault is in writing to `out`, not in the file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise GenreError(f"dataset.features.path: {path}: not readable as .npz ({reason}); it needs X, track and genre") from None
    write_json(out / DESCRIPTION, description)
    write_catalogue(out, tracks)
    return tracks
