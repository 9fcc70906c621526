"""Share of neighbours with the same genre, for several embeddings and distances.

    python -m experiments.neighbours FOLDER        # <genre>/<file>, with the artists in metadata.csv

For each track, the nearest tracks of other artists are looked up, and how many of them have its genre is counted. The interval is a
bootstrap over artists. Chance is the share of the same genre among all tracks of other artists. The first line is what `genre similar`
lists. The table compares other embeddings and distances. The choice was made on GTZAN's tracks, so its figures there are a little too
high.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from experiments import command
from genre_core.audio.io import decode
from genre_core.corpus.catalogue import Track, artist_group
from genre_core.datasets import folder
from genre_core.errors import GenreError
from genre_core.evaluation.intervals import artist_interval, interval
from genre_core.library.embedding_store import Embedding
from genre_core.library.embeddings import Embedder, mean_embedding
from genre_core.library.similar import Library, LibraryTrack, artist_key
from genre_core.networks.musicnn import COLUMNS
from genre_core.util.parallel import in_threads

SAMPLES = 2000  # of the bootstrap
_LEAST_TAG = 1e-6


def statistics(patches: np.ndarray, embedding: str) -> np.ndarray:
    """Compute the mean, and the mean and deviation, over time.

    Parameters
    ----------
    patches : np.ndarray [shape=(patches, 1756)]
    embedding : {"tags", "log tags", "penultimate", "pools"}, optionally with " + deviation"

    Returns
    -------
    np.ndarray [shape=(values,), dtype=float64]
    """
    name, _, deviation = embedding.partition(" + ")
    x = patches[:, COLUMNS[name.removeprefix("log ")]].astype(np.float64)  # (patches, width)
    if name.startswith("log "):
        x = np.log(np.maximum(x, _LEAST_TAG))
    return np.concatenate([x.mean(0), x.std(0)]) if deviation else x.mean(0)


def distances(x: np.ndarray, scaling: str, measure: str) -> np.ndarray:
    """Compute the distances between all tracks.

    Parameters
    ----------
    x : np.ndarray [shape=(tracks, values)]
    scaling : {"as it is", "centred", "standardised", "whitened"}
        Statistics of all tracks that are removed first. Whitening is shrunk to the mean variance.
    measure : {"cosine", "Euclidean"}

    Returns
    -------
    np.ndarray [shape=(tracks, tracks)]
    """
    if scaling != "as it is":
        x = x - x.mean(0)
    if scaling == "standardised":
        x = x / np.maximum(x.std(0), 1e-9)
    if scaling == "whitened":
        _, singular, axes = np.linalg.svd(x, full_matrices=False)
        variance = singular**2 / len(x)
        x = x @ axes.T / np.sqrt(variance + variance.mean())
    if measure == "cosine":
        units = x / np.linalg.norm(x, axis=1, keepdims=True)
        return 1 - units @ units.T
    return np.linalg.norm(x[:, None] - x[None], axis=2)


def agreement(distance: np.ndarray, same_genre: np.ndarray, same_artist: np.ndarray, count: int) -> np.ndarray:
    """Compute the share of the nearest `count` tracks of other artists that have the genre of the track.

    Returns
    -------
    np.ndarray [shape=(tracks,), dtype=float64]
    """
    order = np.argsort(np.where(same_artist, np.inf, distance), axis=1, kind="stable")[:, :count]
    return np.take_along_axis(same_genre, order, axis=1).mean(1)


def library_agreement(tracks: Sequence[Track], means: Sequence[np.ndarray], count: int) -> np.ndarray:
    """Compute `agreement` for what `genre similar` lists.

    Parameters
    ----------
    tracks : sequence of Track
    means : sequence of np.ndarray [shape=(200,)]
        Embedding of each track.
    count : int > 0

    Returns
    -------
    np.ndarray [shape=(tracks,), dtype=float64]
    """
    genre_of = {track.path: track.genre for track in tracks}
    embeddings = [Embedding(track.path.encode(), 0.0, mean) for track, mean in zip(tracks, means, strict=True)]
    rows = [LibraryTrack(track.path, track.path, track.artist, track.path.encode(), 0.0) for track in tracks]
    library = Library(rows, {embedding.audio: embedding for embedding in embeddings})
    return np.array(
        [
            np.mean([genre_of[found.track.path] == track.genre for found in library.nearest(embedding, count, artist=track.artist)])
            for track, embedding in zip(tracks, embeddings, strict=True)
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="data set: <genre>/<file>, with the artists in metadata.csv")
    root = parser.parse_args().folder
    scanned = folder.scan(root)
    tracks = [track for track in scanned.tracks if track.genre and track.path in scanned.files]
    embedder = Embedder()

    def patches(track: Track) -> np.ndarray:
        return embedder.patches(decode(root / scanned.files[track.path], sample_rate=embedder.sample_rate))

    results = in_threads(patches, tracks, ordered=True)
    computed = [values for _, values in tqdm(results, total=len(tracks), desc="embeddings", unit="file", disable=None)]
    genres = np.array([track.genre for track in tracks])
    artists = np.array([artist_group(artist_key(track.artist), track.path) for track in tracks])
    same_genre, same_artist = genres[:, None] == genres, artists[:, None] == artists
    others = ~same_artist
    if others.sum(1).min() < 5:
        raise GenreError(f"{root}: a track has fewer than five tracks of other artists; more artists are needed")
    artist_of = np.unique(artists, return_inverse=True)[1]
    chance = (same_genre & others).sum(1) / others.sum(1)
    print(f"{len(tracks)} tracks, {artist_of.max() + 1} artists, {len(set(genres))} genres; chance {chance.mean():.3f}")
    cells = []
    for count in (1, 5):
        shares = library_agreement(tracks, [mean_embedding(values) for values in computed], count)
        cells.append(f"nearest {count} {interval(float(shares.mean()), *artist_interval(shares, artist_of, SAMPLES, 0))}")
    print(f"genre similar: {', '.join(cells)}")
    print("| embedding | scaling | distance | nearest 1 | nearest 5 |\n|---|---|---|---|---|")
    rows = [(e, "as it is", "cosine") for e in ("penultimate", "penultimate + deviation", "tags", "log tags", "pools")]
    rows += [(e, s, "cosine") for e in ("penultimate", "log tags", "pools") for s in ("centred", "standardised", "whitened")]
    rows += [(e, s, "Euclidean") for e in ("penultimate", "log tags", "pools") for s in ("as it is", "standardised")]
    for embedding, scaling, measure in rows:
        x = np.array([statistics(values, embedding) for values in computed])
        distance = distances(x, scaling, measure)
        cells = []
        for count in (1, 5):
            shares = agreement(distance, same_genre, same_artist, count)
            cells.append(interval(float(shares.mean()), *artist_interval(shares, artist_of, SAMPLES, 0)))
        print(f"| {embedding} | {scaling} | {measure} | {' | '.join(cells)} |")


if __name__ == "__main__":
    command(main)
