"""Embeddings of a library's files: computed once, then read from the store.

The embedding of a track is the mean over time of musicnn's penultimate layer, for the packaged model's decoding and level. Among tags,
penultimate layer and pools, its neighbours share the genre most often: `experiments/neighbours.py` measures it.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio.io import Audio, decode
from genre_core.audio.level import is_silent
from genre_core.audio.tags import MAX_FILE_BYTES, read_tags
from genre_core.datasets.labels import tag_artist
from genre_core.errors import AudioError, GenreError
from genre_core.features import musicnn
from genre_core.library.embedding_store import Embedding, EmbeddingStore, File
from genre_core.models.file import load
from genre_core.models.frontend import compute_spectrograms, features, first_spectrogram
from genre_core.util.files import digest, plain_file
from genre_core.util.parallel import in_threads

COLUMNS = musicnn.PENULTIMATE
_WRITE_SECONDS = 1.0  # a kill loses at most the files of the last second


class Embedder:
    """Embedding of tracks by the backbone, with the packaged model's decoding and level.

    Attributes
    ----------
    sample_rate : int
        Sample rate in Hz at which files are decoded.
    version : str
        Name of the embeddings: backbone, columns and level. Embeddings of different versions cannot be compared.
    """

    def __init__(self) -> None:
        self._model = load("pretrained")
        self.sample_rate = first_spectrogram(self._model).sample_rate
        self.version = f"musicnn-{digest(musicnn.WEIGHTS)[:16]} penultimate mean {self._model.spec.level_dbfs:g} dBFS"

    def patches(self, audio: Audio) -> np.ndarray:
        """Compute the embeddings of a track, about one per second.

        Parameters
        ----------
        audio : Audio
            Samples of `sample_rate`.

        Returns
        -------
        np.ndarray [shape=(patches, 1756), dtype=float16]
            Embeddings, as `Predictor` computes them.

        Raises
        ------
        AudioError
            The audio is silent, or shorter than 3 s.
        """
        if audio.seconds < musicnn.PATCH_SECONDS:
            raise AudioError(f"too short: {audio.seconds:.2f} s, at least {musicnn.PATCH_SECONDS:g} s are needed")
        if is_silent(audio.y):
            raise AudioError("silent: no track sounds like it")
        return features(self._model, compute_spectrograms(self._model, audio.y, audio.sample_rate))["musicnn"]

    def embed(self, audio: Audio) -> Embedding:
        """Compute the embedding of a track; see `patches`."""
        return Embedding(audio_digest(audio), audio.seconds, mean_embedding(self.patches(audio)))


def mean_embedding(patches: np.ndarray) -> np.ndarray:
    """Compute the mean over time of the penultimate layer.

    Parameters
    ----------
    patches : np.ndarray [shape=(patches, 1756)]
        Embeddings of `Embedder.patches`.

    Returns
    -------
    np.ndarray [shape=(200,), dtype=float16]

    Raises
    ------
    AudioError
        The mean is not finite, or has only zeros.
    """
    mean = patches[:, COLUMNS].mean(0, dtype=np.float64).astype(np.float16)
    if not (np.isfinite(mean).all() and mean.any()):
        raise AudioError("its embedding is not finite, or has only zeros; export it again")
    return mean


def audio_digest(audio: Audio) -> bytes:
    """Compute the SHA-256 of decoded samples."""
    return hashlib.sha256(audio.y.astype("<f4").tobytes()).digest()


@dataclass
class Update:
    """What an update of a store did.

    Attributes
    ----------
    files : dict of str to File
        Usable files by absolute path. The store has their embeddings.
    computed : int
        Number of embeddings that were computed.
    failed : dict of str to str
        Reason by absolute path, for each file that cannot be used.
    """

    files: dict[str, File] = field(default_factory=dict)
    computed: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def update(store: EmbeddingStore, embedder: Embedder, paths: Iterable[str | Path]) -> Update:
    """Compute the embeddings that a store lacks.

    The work is done in threads, as many as there are cores, on that many files at a time. The store gets the results each second,
    so Ctrl-C or a kill loses the work of at most a second, and the files that are in work.

    Parameters
    ----------
    store : EmbeddingStore
    embedder : Embedder
    paths : iterable of str or Path
        Audio files.

    Returns
    -------
    Update

    Raises
    ------
    GenreError
        The store is damaged or cannot be written.
    """
    names = list(dict.fromkeys(os.path.abspath(path) for path in paths))  # noqa: PTH100 (links stay)
    work = _Work(embedder, store.known(), store.files(), read_artists=find_spec("mutagen") is not None)
    done = Update()
    files: list[File] = []
    embeddings: list[Embedding] = []

    def write() -> None:
        if files:
            store.add(files, embeddings)
            files.clear()
            embeddings.clear()

    bar = tqdm(total=len(names), desc="embeddings", unit="file", disable=True if len(names) < 4 else None)
    with bar:
        try:
            written = time.monotonic()
            for name, result in in_threads(work, names):
                bar.update()
                if isinstance(result, str):
                    done.failed[name] = result
                    continue
                done.files[name] = result.file
                if result.is_new:
                    files.append(result.file)
                if result.embedding is not None:
                    embeddings.append(result.embedding)
                    done.computed += 1
                if time.monotonic() - written > _WRITE_SECONDS:
                    write()
                    written = time.monotonic()
        finally:
            write()
    return done


@dataclass(frozen=True)
class _Result:
    file: File
    is_new: bool = False
    embedding: Embedding | None = None


class _Work:
    """Work on one file: look it up, else decode it, and compute its embedding if its samples are new."""

    def __init__(self, embedder: Embedder, known: set[bytes], files: Mapping[str, File], *, read_artists: bool) -> None:
        self._embedder, self._known, self._files, self._read_artists = embedder, known, files, read_artists
        self._audio_by_content = {file.content: file.audio for file in files.values()}

    def __call__(self, name: str) -> _Result | str:
        try:
            return self._look_up(name)
        except GenreError as error:
            return str(error)
        except OSError as error:
            return str(GenreError(f"{name}: cannot be read: {error.strerror}"))

    def _look_up(self, name: str) -> _Result:
        plain_file(name, max_bytes=MAX_FILE_BYTES)
        with Path(name).open("rb", buffering=0) as opened:
            status = os.fstat(opened.fileno())
            file = self._files.get(name)
            if file and (file.size, file.mtime_ns) == (status.st_size, status.st_mtime_ns) and file.audio in self._known:
                if file.artist is not None or not self._read_artists:
                    return _Result(file)
                return _Result(replace(file, artist=self._artist(name)), is_new=True)
            content = hashlib.file_digest(opened, "sha256").digest()
            audio = self._audio_by_content.get(content)
            embedding = None
            if audio not in self._known:
                opened.seek(0)
                decoded = decode(name, file=opened, sample_rate=self._embedder.sample_rate)
                audio = audio_digest(decoded)
                if audio not in self._known:
                    try:
                        embedding = self._embedder.embed(decoded)
                    except AudioError as error:
                        raise AudioError(f"{name}: {error}") from None
        assert audio is not None  # noqa: S101 (None is never known)
        return _Result(File(name, status.st_size, status.st_mtime_ns, content, audio, self._artist(name)), True, embedding)

    def _artist(self, name: str) -> str | None:
        """Return the artist in the tags of a file; None if tags cannot be read here."""
        if not self._read_artists:
            return None
        try:
            return tag_artist(read_tags(name))
        except AudioError:  # damaged tags beside audio that can be decoded
            return ""
