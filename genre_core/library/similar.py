"""Tracks of a library that sound like a given one.

The similarity is the cosine between two embeddings. It needs no statistics of the library, so it does not change when tracks are added.
All tracks are compared: for 100,000, this takes milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genre_core.corpus.catalogue import nfc
from genre_core.library.embedding_store import Embedding, EmbeddingStore, File


@dataclass(frozen=True)
class LibraryTrack:
    """Track of a library.

    Attributes
    ----------
    name : str
        Path relative to the library, with forward slashes.
    path : str
        Absolute path.
    artist : str
        Artist; empty if unknown.
    audio : bytes [length=32]
        SHA-256 of the decoded samples.
    seconds : float
        Length of the audio in seconds.
    """

    name: str
    path: str
    artist: str
    audio: bytes
    seconds: float


@dataclass(frozen=True)
class Neighbour:
    """Track that sounds like another one.

    Attributes
    ----------
    track : LibraryTrack
    similarity : float in [-1, 1]
        Cosine between the embeddings.
    same_artist : bool
        Whether both tracks are by the same known artist.
    """

    track: LibraryTrack
    similarity: float
    same_artist: bool


class Library:
    """Tracks of a library with their embeddings; each recording is in it once.

    Parameters
    ----------
    tracks : iterable of LibraryTrack
        Tracks; of several with the same samples, one with an artist is kept, else the first by name.
    embeddings : mapping of bytes to Embedding
        Embedding by digest of the samples. Tracks without one are left out.
    """

    def __init__(self, tracks: Iterable[LibraryTrack], embeddings: Mapping[bytes, Embedding]) -> None:
        by_audio: dict[bytes, LibraryTrack] = {}
        for track in sorted(tracks, key=lambda track: (not track.artist, track.name)):
            if track.audio in embeddings:
                by_audio.setdefault(track.audio, track)
        self.tracks = sorted(by_audio.values(), key=lambda track: track.name)
        self._artists = np.array([artist_key(track.artist) for track in self.tracks], dtype=object)
        self._units = np.zeros((len(self.tracks), _width(embeddings)), np.float32)  # (tracks, 200)
        for row, track in zip(self._units, self.tracks, strict=True):
            row[:] = _unit(embeddings[track.audio].mean)

    def find(self, audio: bytes) -> LibraryTrack | None:
        """Return the track with these samples, or None."""
        return next((track for track in self.tracks if track.audio == audio), None)

    def nearest(self, embedding: Embedding, top: int, *, artist: str = "", any_artist: bool = False) -> list[Neighbour]:
        """List the tracks that sound most like a given one.

        Tracks of other artists come first, then those of the same artist; each group begins with the most similar. The track itself
        is left out, and so are its copies.

        Parameters
        ----------
        embedding : Embedding
            Embedding of the given track.
        top : int > 0
            Largest number of tracks to list.
        artist : str
            Artist of the given track; empty if unknown.
        any_artist : bool
            Whether to list by similarity alone.

        Returns
        -------
        list of Neighbour
        """
        similarities = self._units @ _unit(embedding.mean) if self.tracks else np.zeros(0, np.float32)  # (tracks,)
        key = artist_key(artist)
        same = self._artists == key if key else np.zeros(len(self.tracks), bool)
        rank = similarities - 4.0 * (same & (not any_artist))  # below all tracks of other artists: a cosine is at least -1
        neighbours: list[Neighbour] = []
        for i in np.argsort(-rank, kind="stable")[: top + 1]:  # one more, because the track itself may be among them
            track = self.tracks[i]
            if track.audio != embedding.audio:
                neighbours.append(Neighbour(track, float(similarities[i]), bool(same[i])))
        return neighbours[:top]


def _unit(mean: np.ndarray) -> np.ndarray:
    """Scale an embedding [shape=(200,)] to length 1."""
    x = mean.astype(np.float32)
    return x / np.linalg.norm(x)


def _width(embeddings: Mapping[bytes, Embedding]) -> int:
    return next((len(embedding.mean) for embedding in embeddings.values()), 0)


def artist_key(artist: str) -> str:
    """Return a name for comparison: composed Unicode (NFC), without upper case and extra spaces."""
    return nfc(" ".join(artist.split())).casefold()


def open_library(
    store: EmbeddingStore, files: Mapping[str, File], root: str | Path | None = None, artists: Mapping[str, str] | None = None
) -> Library:
    """Load the library of files whose embeddings are in a store.

    Parameters
    ----------
    store : EmbeddingStore
    files : mapping of str to File
        Files by absolute path. Files without an embedding are left out.
    root : str or Path, optional
        Folder of the library; by default the folder that all files share.
    artists : mapping of str to str, optional
        Artist by absolute path. A name here replaces the artist in the file's tags.

    Returns
    -------
    Library

    Raises
    ------
    GenreError
        The store is damaged.
    """
    embeddings = store.embeddings(file.audio for file in files.values())
    if root is None:
        root = _common_folder(files)
    given = artists or {}
    tracks = []
    for path, file in files.items():
        if file.audio in embeddings:
            name = Path(os.path.relpath(path, root)).as_posix()
            tracks.append(LibraryTrack(name, path, given.get(path) or file.artist or "", file.audio, embeddings[file.audio].seconds))
    return Library(tracks, embeddings)


def _common_folder(paths: Iterable[str]) -> str:
    """Return the deepest folder that contains all files."""
    folders = {os.path.dirname(path) for path in paths}  # noqa: PTH120 (pathlib takes ten times as long)
    return os.path.commonpath(folders) if folders else os.sep
