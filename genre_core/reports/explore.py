"""Data set overview: balance, lengths, levels, spectrograms, MFCC, track map."""

from __future__ import annotations

import base64
import html
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from genre_core.audio.io import decode
from genre_core.corpus.catalogue import SPLITS
from genre_core.corpus.index import Index
from genre_core.errors import GenreError
from genre_core.features.store import FeatureStore
from genre_core.reports import figures_data
from genre_core.util.files import atomic, write_csv

MFCC_SHOWN = 6
COLOURS = ("#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#79706e")


@dataclass(frozen=True)
class Point:
    """Row of map.csv: the position of a track on the map.

    Attributes
    ----------
    track, genre, artist, split : str
        Name, genre, artist (empty if unknown) and split of the track.
    x, y : float
        Coordinates from `project`, without a unit.
    """

    track: str
    genre: str
    artist: str
    split: str
    x: float
    y: float


def statistics(store: FeatureStore, tracks: Sequence[str]) -> np.ndarray:
    """Compute mean and standard deviation over time of each track's MFCC.

    Parameters
    ----------
    store : FeatureStore
        Store that contains the MFCC of the tracks.
    tracks : sequence of str
        Names of the tracks.

    Returns
    -------
    np.ndarray [shape=(tracks, 2 * n_mfcc), dtype=float32]
        Means, then standard deviations.
    """
    rows = []
    for track in tracks:
        mfcc = store.read("mfcc", track)
        rows.append(np.concatenate([mfcc.mean(0), mfcc.std(0)]))
    return np.array(rows)


def project(values: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, str]:
    """Project the standardised values of each track to two dimensions.

    Parameters
    ----------
    values : np.ndarray [shape=(tracks, values)]
        Values of each track; each column is standardised first.
    method : {"pca", "umap"}
        Projection. UMAP: L. McInnes, J. Healy and J. Melville, "UMAP: Uniform manifold approximation and projection for dimension
        reduction", 2018.
    seed : int
        Seed of UMAP; PCA is deterministic.

    Returns
    -------
    coordinates : np.ndarray [shape=(tracks, 2)]
    axes : str
        Description of the axes.

    Raises
    ------
    GenreError
        umap-learn is not installed.
    """
    scaled = (values - values.mean(0)) / np.maximum(values.std(0), 1e-9)
    if method == "umap":
        try:
            import umap
        except ImportError:
            raise GenreError("explore.map: umap needs `pip install umap-learn`; or use pca") from None
        return umap.UMAP(random_state=seed).fit_transform(scaled), "UMAP of MFCC statistics; distances between groups mean little"
    from sklearn.decomposition import PCA

    pca = PCA(2, svd_solver="full").fit(scaled)
    coordinates = pca.transform(scaled) * np.sign(pca.components_[:, :1].T + 1e-12)  # fixes the sign of each axis, which is arbitrary
    shares = " and ".join(f"{share:.0%}" for share in pca.explained_variance_ratio_)
    return coordinates, f"PCA of MFCC statistics; the axes explain {shares} of the variance"


def explore(
    raw: Path, made: Index, store: FeatureStore, levels: Mapping[str, Mapping[str, str]], out: Path, *, title: str, method: str, seed: int
) -> list[Point]:
    """Write overview.png, spectrograms.png, mfcc.png, map.csv and report.html to `out`.

    Parameters
    ----------
    raw : Path
        Folder that the paths of the tracks are relative to.
    made : Index
        Index of the tracks.
    store : FeatureStore
        Store that contains log-mel and MFCC of the tracks.
    levels : mapping of path to mapping
        Rows of the audit's tracks.csv; ``level_dbfs`` is read.
    out : Path
        Folder to write to.
    title : str
        Heading of the page and of overview.png.
    method : {"pca", "umap"}
        Projection of the map: see `project`.
    seed : int
        Seed of the projection.

    Returns
    -------
    list of Point
        Rows of map.csv.

    Raises
    ------
    GenreError
        umap-learn is not installed.
    AudioError
        An audio file cannot be decoded.
    """
    tracks_of_split = {split: list(made.starts(split)) for split in SPLITS}
    # Under the protocol `segment`, a track is in several splits: the first one counts.
    split_of = {track: split for split in reversed(SPLITS) for track in tracks_of_split[split]}
    tracks = sorted(split_of)
    values = statistics(store, tracks)
    coordinates, axes = project(values, method, seed)
    points = [
        Point(t, made.tracks[t].genre, made.tracks[t].artist, split_of[t], round(float(x), 4), round(float(y), 4))
        for t, (x, y) in zip(tracks, coordinates, strict=True)
    ]
    write_csv(out / "map.csv", [f.name for f in fields(Point)], map(asdict, points))
    counts = {split: Counter(made.tracks[t].genre for t in tracks_of_split[split]) for split in SPLITS}
    seconds = {g: [made.tracks[t].seconds for t in tracks if made.tracks[t].genre == g] for g in made.genres}
    loudness = {
        g: [float(level) for t in tracks if made.tracks[t].genre == g and (level := levels.get(made.tracks[t].path, {}).get("level_dbfs"))]
        for g in made.genres
    }
    figures_data.overview(out / "overview.png", counts, seconds, loudness, title=title)
    first_of_genre = {g: next(t for t in tracks if made.tracks[t].genre == g) for g in made.genres}
    figures_data.spectrograms(
        out / "spectrograms.png",
        {
            f"{genre}: {track}": (_waveform(raw / made.tracks[track].path), store.read("mel", track))
            for genre, track in first_of_genre.items()
        },
        store.spec,
    )
    genre_of = np.array([made.tracks[t].genre for t in tracks])
    figures_data.distributions(
        out / "mfcc.png",
        {f"mean of MFCC {i + 1}": {g: values[genre_of == g, i] for g in made.genres} for i in range(min(MFCC_SHOWN, store.spec.n_mfcc))},
    )
    with atomic(out / "report.html") as part:
        part.write_text(_page(title, points, made.genres, axes, counts, out), encoding="utf-8")
    return points


def _waveform(path: Path) -> np.ndarray | None:
    """Compute the envelope of a waveform; None for precomputed features.

    The result has shape ``(2, 2000)``: the lowest and the highest sample of each of 2,000 equal parts.
    """
    if path.suffix == ".npy":
        return None
    parts = np.array_split(decode(path).y, 2000)
    return np.array([[part.min(initial=0) for part in parts], [part.max(initial=0) for part in parts]])


def _page(title: str, points: Sequence[Point], genres: Sequence[str], axes: str, counts: Mapping[str, Counter[str]], out: Path) -> str:
    """Return a self-contained HTML page.

    Figures are embedded; the map is an SVG with the track and artist as tooltip of each point.
    """
    escape = html.escape
    pictures = [
        ("Balance, lengths and levels", "overview.png"),
        ("One track of each genre", "spectrograms.png"),
        ("MFCC of each genre (one mean per track)", "mfcc.png"),
    ]
    images = "\n".join(
        f'<h2>{heading}</h2>\n<img alt="{heading}" src="data:image/png;base64,{base64.b64encode((out / name).read_bytes()).decode()}">'
        for heading, name in pictures
    )
    rows = "\n".join(f"<tr><td>{escape(g)}</td>" + "".join(f"<td>{counts[split][g]}</td>" for split in SPLITS) + "</tr>" for g in genres)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
body {{ font-family: sans-serif; max-width: 62rem; margin: 1rem auto; padding: 0 1rem; color: #222; }}
img, svg {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; }} td, th {{ padding: 0.1rem 0.8rem; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
circle:hover {{ stroke: #000; stroke-width: 2; }}
</style></head><body>
<h1>{escape(title)}</h1>
<table><tr><th>genre</th>{"".join(f"<th>{split}</th>" for split in SPLITS)}</tr>
{rows}
</table>
<h2>Map of the tracks</h2>
<p>{escape(axes)}. Move the pointer over a point to see its track and artist.</p>
{_svg(points, genres)}
{images}
</body></html>
"""


def _svg(points: Sequence[Point], genres: Sequence[str]) -> str:
    width, height, legend = 760, 520, 120
    x, y = np.array([p.x for p in points]), np.array([p.y for p in points])
    x_pixels = 20 + (x - x.min()) / max(float(np.ptp(x)), 1e-9) * (width - legend - 40)
    y_pixels = height - 20 - (y - y.min()) / max(float(np.ptp(y)), 1e-9) * (height - 40)
    colour = {genre: COLOURS[i % len(COLOURS)] for i, genre in enumerate(genres)}
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="map of the tracks">']
    for point, cx, cy in zip(points, x_pixels, y_pixels, strict=True):
        label = html.escape(f"{point.track}: {point.genre}, {point.artist or 'artist unknown'} ({point.split})")
        parts.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="5" fill="{colour[point.genre]}" fill-opacity="0.75"><title>{label}</title></circle>'
        )
    for i, genre in enumerate(genres):
        parts.append(f'<circle cx="{width - legend + 10}" cy="{20 + 20 * i}" r="5" fill="{colour[genre]}"/>')
        parts.append(f'<text x="{width - legend + 22}" y="{24 + 20 * i}" font-size="13">{html.escape(genre)}</text>')
    return "\n".join([*parts, "</svg>"])
