"""Demo data set: ten genres of music, synthesised with NumPy.

It is seeded and needs no network. Each genre is a `Style`: tempo, swing, chords, drum patterns, bass line, accompaniment and lead.
Each artist draws its own tempo, keys, instruments, timbre, equalisation and room from the style, and sometimes takes drums or
instruments from another genre. The data set is only for trying the pipeline: its scores say nothing about real music.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genre_core.audio.io import write
from genre_core.corpus.catalogue import Track, write_catalogue
from genre_core.datasets.demo.band import Band
from genre_core.datasets.demo.sounds import SAMPLE_RATE
from genre_core.datasets.demo.styles import GENRES, STYLES
from genre_core.util.parallel import Workers, map_tracks


def download(
    out: str | Path, *, seed: int, artists_per_genre: int, tracks_per_artist: int, seconds: float, workers: Workers = 0
) -> list[Track]:
    """Synthesise the data set and write its catalogue.

    The files are 16-bit mono WAV at 22,050 Hz. The official split assigns a fifth of each genre's artists (at least one) to test, as
    many to valid, and the rest to train.

    Parameters
    ----------
    out : str or Path
        Folder for the catalogue and the tracks, ``<genre>/<genre>.<number>.wav``.
    seed : int
        Seed of all random choices.
    artists_per_genre, tracks_per_artist : int
        Number of artists of each genre, and of tracks of each artist.
    seconds : float > 0
        Length of each track.
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler. The files do not depend on it.

    Returns
    -------
    list of Track
        Tracks ordered by genre, artist and number.
    """
    out = Path(out)
    artists_per_side = max(1, artists_per_genre // 5)
    tracks, jobs = [], []
    for genre in GENRES:
        (out / genre).mkdir(parents=True, exist_ok=True)
        for artist in range(artists_per_genre):
            split = "test" if artist < artists_per_side else "valid" if artist < 2 * artists_per_side else "train"
            for number in range(tracks_per_artist):
                name = f"{genre}.{artist * tracks_per_artist + number:05d}"
                track = Track(name, f"{genre}/{name}.wav", genre, f"demo {genre} {artist:02d}", split)
                tracks.append(track)
                jobs.append((out / track.path, genre, seed, artist, number, seconds))
    for _ in map_tracks(_write, jobs, workers=workers, preload=("genre_core.datasets.demo",)):
        pass
    write_catalogue(out, tracks)
    return tracks


def _write(job: tuple[Path, str, int, int, int, float]) -> None:
    """Synthesise one track of the data set and write its file."""
    path, genre, seed, artist, number, seconds = job
    write(path, synthesise(genre, seed=seed, artist=artist, track=number, seconds=seconds), SAMPLE_RATE)


def synthesise(genre: str, *, seed: int, artist: int, track: int, seconds: float) -> np.ndarray:
    """Synthesise one track.

    Parameters
    ----------
    genre : str
        One of `GENRES`.
    seed, artist, track : int
        Seed of the data set, and numbers of the artist in the genre and of the track of the artist, from 0.
    seconds : float > 0
        Length of the track.

    Returns
    -------
    np.ndarray [shape=(round(seconds * 22050),), dtype=float32]
        Mono samples at 22,050 Hz, with peaks below full scale (1.0).
    """
    index = GENRES.index(genre)
    band = Band(STYLES[genre], np.random.default_rng([seed, index, artist]))
    return band.play(np.random.default_rng([seed, index, artist, track + 1]), seconds)
