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
from genre_core.util.archives import BOUNDED_PACKINGS, check_zip
from genre_core.util.files import atomic, plain_file, write_json

_BROKEN = (
    *(OSError, TypeError, ValueError, KeyError, EOFError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, tokenize.TokenError, SystemError, SyntaxError),
)
_MAX_UNPACKED = 100  # bytes for each that a member takes in the file
_SMALL_BYTES = 50_000_000
_MAX_TRACKS = 1_000_000
_MAX_TRACK_VALUES = 20_000_000  # an hour and a half at 43 columns of 128 bins a second


@dataclass(frozen=True)
class _Array:
    """An array in a ZIP file, of which nothing but the header was read."""

    file: zipfile.ZipFile
    member: zipfile.ZipInfo
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def rows(self) -> Iterator[np.ndarray]:
        """One item of the first axis after another: whatever the size, one is in memory."""
        size = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object))
        with self.file.open(self.member) as stream:
            _header(stream)
            for _ in range(self.shape[0]):
                data = stream.read(size)
                if len(data) < size:
                    raise EOFError(f"{self.member.filename} ends too early")
                yield np.frombuffer(data, self.dtype).reshape(self.shape[1:])
            if stream.read(1):
                raise ValueError(f"{self.member.filename} is longer than it says")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, Fortran order and type from an array's file."""
    version = np.lib.format.read_magic(stream)
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"an array's file of version {version}; save it with numpy.savez")
    return read(stream)


def _arrays(file: zipfile.ZipFile) -> dict[str, _Array]:
    """List the arrays of an ``.npz``; check sizes, types and packing, and read no values."""
    found: dict[str, _Array] = {}
    for member in file.infolist():
        name = member.filename.removesuffix(".npy")
        if name not in ("X", "track", "genre", "split", "artist"):
            continue
        if name == member.filename or name in found:
            raise ValueError(f"member {member.filename!r} is {'no .npy file' if name == member.filename else 'there twice'}")
        if member.flag_bits & 1 or member.compress_type not in BOUNDED_PACKINGS:
            raise ValueError(f"{name} is encrypted, or packed in an unusual way; save it with numpy.savez_compressed")
        if member.file_size > max(_SMALL_BYTES, _MAX_UNPACKED * member.compress_size):
            raise ValueError(f"{name} would unpack from {member.compress_size:,} to {member.file_size:,} bytes: no features do that")
        with file.open(member) as stream:
            shape, fortran, dtype = _header(stream)
        if dtype.hasobject or dtype.kind not in "fiuUS" or (fortran and len(shape) > 1):
            raise ValueError(f"{name} is {'in Fortran order' if fortran else dtype}; save numpy.ascontiguousarray({name}), numbers or text")
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if size > member.file_size:
            raise ValueError(f"{name} claims {size:,} bytes, and has {member.file_size:,}")
        found[name] = _Array(file, member, shape, dtype)
    if missing := [name for name in ("X", "track", "genre") if name not in found]:
        raise ValueError(f"no array {', '.join(missing)}")
    return found


def _texts(array: _Array) -> list[str]:
    """Read the values of an array of text."""
    if len(array.shape) != 1 or array.dtype.kind not in "US" or array.member.file_size > _SMALL_BYTES:
        raise ValueError(f"{array.member.filename} is {array.dtype} {array.shape}, expected text of shape (tracks,)")
    values = [value.item() for value in array.rows()]
    texts = [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values]
    for text in texts:
        text.encode("utf-8")  # lone surrogates are no text
    return texts


def _checked(path: Path, x: _Array, texts: Mapping[str, list[str]]) -> list[Track]:
    """Check everything but the values, and return the tracks."""
    count = x.shape[0] if x.shape else 0
    if len(x.shape) != 3 or x.dtype.kind not in "fiu" or any(len(values) != count for values in texts.values()):
        raise GenreError(f"{path}: X is {x.dtype} {x.shape}, expected numbers of shape (tracks, bins, frames), as many as the other arrays")
    if not 0 < count <= _MAX_TRACKS or not x.shape[2]:
        raise GenreError(f"{path}: X is {x.shape}: 1 to {_MAX_TRACKS:,} tracks of at least a frame are read")
    if not 16 <= x.shape[1] <= 256:
        raise GenreError(f"{path}: X has {x.shape[1]} bins, 16 to 256 are possible; is it of shape (tracks, bins, frames)?")
    if x.shape[1] * x.shape[2] > _MAX_TRACK_VALUES:
        raise GenreError(f"{path}: X has {x.shape[2]:,} frames a track; at most {_MAX_TRACK_VALUES:,} values are read: cut the tracks")
    if twice := [name for name, times in Counter(texts["track"]).items() if times > 1]:
        raise GenreError(f"{path}: track {twice[0]!r} is there twice")
    if wrong := sorted(set(texts.get("split", [])) - {*SPLITS, ""}):
        raise GenreError(f"{path}: split {wrong[0]!r} is none of {', '.join(SPLITS)}")
    blank = [""] * count
    known = gtzan.table()
    artists = texts.get("artist") or ([known[t].artist for t in texts["track"]] if set(texts["track"]) <= known.keys() else blank)
    columns = zip(texts["track"], texts["genre"], artists, texts.get("split", blank), strict=True)
    return [Track(track, f"mel/{number:05d}.npy", *rest) for number, (track, *rest) in enumerate(columns)]


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
        plain_file(path, max_bytes=2**40)
        check_zip(path)
        with zipfile.ZipFile(path) as file:
            arrays = _arrays(file)
            texts: dict[str, list[str]] = {name: _texts(arrays[name]) for name in ("track", "genre", "split", "artist") if name in arrays}
            tracks = _checked(path, arrays["X"], texts)
            for track, values in zip(tracks, arrays["X"].rows(), strict=True):
                with np.errstate(over="ignore", invalid="ignore"):
                    decibel = (scale_db * values.T.astype(np.float32) + offset_db).astype(np.float16)
                if not np.isfinite(decibel).all():
                    raise GenreError(
                        f"{path}: track {track.track!r} holds values that are no finite dB; see dataset.features.scale_db and offset_db"
                    )
                with atomic(out / track.path) as part, part.open("wb") as saved:
                    np.save(saved, decibel)
    except GenreError as error:
        raise GenreError(f"dataset.features.path: {error}") from None
    except _BROKEN as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise  # our own disk, not the file
        said = " ".join(str(error).split()) or type(error).__name__
        raise GenreError(f"dataset.features.path: {path}: not readable as .npz ({said}); it needs X, track and genre") from None
    write_json(out / DESCRIPTION, description)
    write_catalogue(out, tracks)
    return tracks
