"""Tracks of a library that sound like an upload."""

from __future__ import annotations

from typing import IO, Any

from genre_core.apps.serve.uploads import Limits
from genre_core.audio.io import Audio, decode
from genre_core.errors import AudioError, one_line
from genre_core.library.embeddings import Embedder
from genre_core.library.similar import Library

NEAREST = 5


class NearestTracks:
    """Tracks of a library for the answers of the server. Uploads are compared with the library, and never added to it.

    Parameters
    ----------
    library : Library
        Library, loaded at the start of the server.
    embedder : Embedder
    """

    def __init__(self, library: Library, embedder: Embedder) -> None:
        self._library, self._embedder = library, embedder

    def of(self, audio: Audio, file: IO[bytes], name: str, limits: Limits) -> list[dict[str, Any]]:
        """List the tracks of the library that sound like an upload, other artists first.

        Parameters
        ----------
        audio : Audio
            Decoded upload, at the sample rate of the model.
        file : binary file
            Content of the upload; it is decoded again if the model has another sample rate than the library.
        name : str
            Name of the file in error messages.
        limits : Limits

        Returns
        -------
        list of dict
            At most five tracks, with ``file``, the path relative to the library. Empty if the audio is silent or too short.
        """
        try:
            if audio.sample_rate != self._embedder.sample_rate:
                rate = self._embedder.sample_rate
                audio = decode(name, file=file, sample_rate=rate, max_seconds=limits.seconds, deadline_s=limits.decode_seconds)
            embedding = self._embedder.embed(audio)
        except AudioError:
            return []
        known = self._library.find(embedding.audio)
        neighbours = self._library.nearest(embedding, NEAREST, artist=known.artist if known else "")
        return [
            {"file": one_line(n.track.name), "artist": one_line(n.track.artist), "similarity": round(n.similarity, 4)} for n in neighbours
        ]
