"""The demo data set: ten genres of music synthesised with numpy alone, seeded, so that everything works offline.

Each genre is a `Style`: tempo, swing, chord vocabulary, drum patterns, bass line, accompaniment and lead. Each artist
draws from it a tempo range, keys, instruments, timbre, equalisation and room of its own, and sometimes borrows from
another genre. It is a toy of known make, for trying the pipeline: its scores say nothing about real music.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genre_core.audio.io import write
from genre_core.corpus.catalogue import Track, write_catalogue
from genre_core.datasets.demo.band import Band
from genre_core.datasets.demo.sounds import SAMPLE_RATE
from genre_core.datasets.demo.styles import GENRES, STYLES
from genre_core.util.parallel import map_tracks


def download(
    out: str | Path, *, seed: int, artists_per_genre: int, tracks_per_artist: int, seconds: float, workers: int = 0
) -> list[Track]:
    """Synthesise the data set as 16-bit mono WAV at 22,050 Hz and write its catalogue.

    The official split gives a fifth of each genre's artists (at least one) to test, as many to valid, the rest to train.

    Parameters
    ----------
    out : str or Path
        Folder to fill with ``<genre>/<genre>.<number>.wav``.
    seed, artists_per_genre, tracks_per_artist : int
    seconds : float > 0
        Length of each track.
    workers : int >= 0
        Processes; 0 is one a core. The bytes do not depend on it.
    """
    out = Path(out)
    held = max(1, artists_per_genre // 5)
    tracks, jobs = [], []
    for genre in GENRES:
        (out / genre).mkdir(parents=True, exist_ok=True)
        for artist in range(artists_per_genre):
            split = "test" if artist < held else "valid" if artist < 2 * held else "train"
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
    path, genre, seed, artist, number, seconds = job
    write(path, synthesise(genre, seed=seed, artist=artist, track=number, seconds=seconds), SAMPLE_RATE)


def synthesise(genre: str, *, seed: int, artist: int, track: int, seconds: float) -> np.ndarray:
    """One track.

    Returns
    -------
    np.ndarray [shape=(round(seconds * 22050),), dtype=float32]
        Peaks below full scale.
    """
    index = GENRES.index(genre)
    band = Band(STYLES[genre], np.random.default_rng([seed, index, artist]))
    return band.play(np.random.default_rng([seed, index, artist, track + 1]), seconds)
