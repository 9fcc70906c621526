"""Store of track embeddings in one SQLite file, shared by processes and safe after a kill.

An embedding belongs to the decoded samples, not to the file: a file with new tags, another name or a second copy keeps its embedding.
A file that is moved or copied is recognised by its content, without decoding; a file that stays is recognised by its size and time.

A store may come from somebody else: its schema must be exactly the one of this module, and every value is checked when it is read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from genre_core.audio.io import MAX_SECONDS
from genre_core.errors import GenreError
from genre_core.util.files import plain_file
from genre_core.util.user_folders import user_folder

WIDTH = 200  # values of an embedding: the penultimate layer of musicnn
MAX_STORE_BYTES = 20_000_000_000  # 20 million tracks
_APPLICATION_ID = 0x47454E52  # "GENR"
_SCHEMA_VERSION = 1
_DIGEST_BYTES = 32
_MAX_VALUE_BYTES = 100_000  # of one cell or statement
_MAX_ARTIST_LETTERS = 1000
_WAIT_SECONDS = 60.0  # for another process that writes
_SCHEMA = {
    "embeddings": "CREATE TABLE embeddings (audio BLOB, version TEXT, seconds REAL, mean BLOB, PRIMARY KEY (audio, version)) WITHOUT ROWID",
    "files": "CREATE TABLE files (path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, content BLOB, audio BLOB, artist TEXT) "
    "WITHOUT ROWID",
}


@dataclass(frozen=True)
class File:
    """File whose audio is known.

    Attributes
    ----------
    path : str
        Absolute path.
    size, mtime_ns : int
        Size in bytes, and time of the last change in nanoseconds.
    content, audio : bytes [length=32]
        SHA-256 of the file, and of its decoded samples.
    artist : str or None
        Artist in the file's tags; empty if they name none, None if they were not read.
    """

    path: str
    size: int
    mtime_ns: int
    content: bytes
    audio: bytes
    artist: str | None


@dataclass(frozen=True)
class Embedding:
    """Embedding of a track.

    Attributes
    ----------
    audio : bytes [length=32]
        SHA-256 of the decoded samples.
    seconds : float
        Length of the audio in seconds.
    mean : np.ndarray [shape=(200,), dtype=float16]
        Mean over time of the embeddings.
    """

    audio: bytes
    seconds: float
    mean: np.ndarray


def default_path() -> Path:
    """Return the place of the store in the user's cache folder.

    Raises
    ------
    GenreError
        The user has no home folder.
    """
    return user_folder("cache", "name a file for the store of embeddings with --store PATH") / "embeddings.sqlite"


class EmbeddingStore(contextlib.AbstractContextManager["EmbeddingStore"]):
    """Store of embeddings and of the files that they belong to.

    Parameters
    ----------
    path : str or Path
        File of the store.
    version : str
        Version of the embeddings. Those of other versions stay in the store, but are not read.
    create : bool
        Whether to create the file if it is missing.

    Raises
    ------
    GenreError
        The file is missing, is not a store of this program, is damaged, or cannot be read or created.
    """

    def __init__(self, path: str | Path, version: str, *, create: bool = True) -> None:
        self.path, self.version = Path(path), version
        is_new = create and not os.path.lexists(self.path)
        if is_new:
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # the store lists the user's music
            except OSError as error:
                raise GenreError(f"{self.path}: cannot be created: {error.strerror}; name another file with --store PATH") from None
        else:
            plain_file(self.path, max_bytes=MAX_STORE_BYTES)
        with self._errors():
            # isolation_level=None: transactions are written out below.
            self._db = sqlite3.connect(self.path, timeout=_WAIT_SECONDS, isolation_level=None)
        try:
            with self._errors():
                self._open(create=create)
        except BaseException:
            self._db.close()
            raise

    def _open(self, *, create: bool) -> None:
        self._db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
        for setting in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):  # sqlite.org/security.html
            self._db.execute(f"PRAGMA {setting}")
        if create and self._is_empty():
            with self._transaction():
                if self._is_empty():  # another process may have been faster
                    for statement in _SCHEMA.values():
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                    self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        (application_id,), (version,) = self._db.execute("PRAGMA application_id"), self._db.execute("PRAGMA user_version")
        if application_id[0] != _APPLICATION_ID:
            raise self._foreign()
        if version[0] != _SCHEMA_VERSION:
            raise GenreError(
                f"{self.path}: has version {version[0]} of the store, this program reads version {_SCHEMA_VERSION}; "
                "name another file with --store PATH"
            )
        # No trigger, view or index of a stranger: it would run when the store is read or written.
        if dict(self._db.execute("SELECT name, sql FROM sqlite_master")) != _SCHEMA:
            raise self._damaged("its tables are not those of this program")

    def _is_empty(self) -> bool:
        return self.path.stat().st_size == 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write everything in the block, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of SQLite into one line with the remedy."""
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
                raise self._foreign() from None
            # An operational error of SQLite itself is about the disk or another process, not about the content.
            if not isinstance(error, sqlite3.OperationalError) or getattr(error, "sqlite_errorcode", None) is None:
                raise self._damaged(str(error)) from None
            hint = "wait for the other process" if "locked" in str(error) else "name another file with --store PATH"
            raise GenreError(f"{self.path}: {error}; {hint}") from None

    def _foreign(self) -> GenreError:
        return GenreError(
            f"{self.path}: is not a store of embeddings; name another file with --store PATH, or remove this one if it was one"
        )

    def _damaged(self, problem: str) -> GenreError:
        return GenreError(f"{self.path}: damaged: {problem}; remove the file, and its embeddings are computed again")

    def files(self, folder: str | Path | None = None) -> dict[str, File]:
        """Read the files of the store.

        Parameters
        ----------
        folder : str or Path, optional
            Folder in which the files are; by default all files are read.

        Returns
        -------
        dict of str to File
            File by absolute path.

        Raises
        ------
        GenreError
            The store is damaged.
        """
        start = b"" if folder is None else os.fsencode(os.path.join(os.path.abspath(folder), ""))  # noqa: PTH100, PTH118 (links stay)
        end = start[:-1] + bytes([start[-1] + 1]) if start else b"\xff"
        query = "SELECT path, size, mtime_ns, content, audio, artist FROM files WHERE path >= ? AND path < ?"
        found = {}
        with self._errors():
            for path, size, mtime_ns, content, audio, artist in self._db.execute(query, (start, end)):
                if not (
                    (isinstance(path, bytes) and path and b"\0" not in path)
                    and (isinstance(size, int) and isinstance(mtime_ns, int))
                    and (_is_digest(content) and _is_digest(audio))
                    and (artist is None or (isinstance(artist, str) and len(artist) <= _MAX_ARTIST_LETTERS))
                ):
                    raise self._damaged("a file has values that are not allowed")
                name = os.fsdecode(path)
                found[name] = File(name, size, mtime_ns, content, audio, artist)
        return found

    def embeddings(self, audio: Iterable[bytes] | None = None) -> dict[bytes, Embedding]:
        """Read embeddings.

        Parameters
        ----------
        audio : iterable of bytes, optional
            Digests of the samples whose embeddings are read; by default all.

        Returns
        -------
        dict of bytes to Embedding
            Embedding by digest of the samples. Those that the store lacks are left out.

        Raises
        ------
        GenreError
            The store is damaged.
        """
        wanted = None if audio is None else set(audio)
        found = {}
        with self._errors():
            for key, seconds, blob in self._db.execute("SELECT audio, seconds, mean FROM embeddings WHERE version = ?", (self.version,)):
                if wanted is not None and key not in wanted:
                    continue
                is_length = isinstance(seconds, float) and 0 < seconds < 2 * MAX_SECONDS
                if not (_is_digest(key) and is_length and isinstance(blob, bytes) and len(blob) == 2 * WIDTH):
                    raise self._damaged("an embedding has values that are not allowed")
                mean = np.frombuffer(blob, "<f2")
                if not (np.isfinite(mean).all() and mean.any()):
                    raise self._damaged("an embedding has values that are not finite, or only zeros")
                found[key] = Embedding(key, seconds, mean)
        return found

    def known(self) -> set[bytes]:
        """Read the digests of the samples whose embeddings the store has."""
        with self._errors():
            return {audio for (audio,) in self._db.execute("SELECT audio FROM embeddings WHERE version = ?", (self.version,))}

    def add(self, files: Iterable[File], embeddings: Iterable[Embedding]) -> None:
        """Add files and embeddings in one transaction; they replace those of the same path and the same samples.

        Raises
        ------
        GenreError
            The store cannot be written; nothing of the call stays.
        """
        file_rows = [(os.fsencode(f.path), f.size, f.mtime_ns, f.content, f.audio, f.artist) for f in files]
        embedding_rows = [(e.audio, self.version, e.seconds, e.mean.astype("<f2").tobytes()) for e in embeddings]
        with self._errors(), self._transaction():
            self._db.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?)", embedding_rows)
            self._db.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", file_rows)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self.close()


def _is_digest(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == _DIGEST_BYTES
