"""What a data set looks and sounds like: balance, lengths, levels, spectrograms, MFCC, and a map of its tracks."""

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
    """A row of map.csv: a track in the plane."""

    track: str
    genre: str
    artist: str
    split: str
    x: float
    y: float


def statistics(store: FeatureStore, tracks: Sequence[str]) -> np.ndarray:
    """Compute mean and deviation over time of each track's MFCC, shape ``(tracks, 2 * n_mfcc)``."""
    rows = []
    for track in tracks:
        mfcc = store.read("mfcc", track)
        rows.append(np.concatenate([mfcc.mean(0), mfcc.std(0)]))
    return np.array(rows)


def project(values: np.ndarray, method: str, seed: int) -> tuple[np.ndarray, str]:
    """Standardised `values` (tracks, any) in the plane, shape ``(tracks, 2)``, and what the axes are.

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

    found = PCA(2, svd_solver="full").fit(scaled)
    plane = found.transform(scaled) * np.sign(found.components_[:, :1].T + 1e-12)  # the sign of an axis is arbitrary: fix it
    shares = " and ".join(f"{share:.0%}" for share in found.explained_variance_ratio_)
    return plane, f"PCA of MFCC statistics; the axes hold {shares} of the variance"


def explore(
    raw: Path, made: Index, store: FeatureStore, levels: Mapping[str, Mapping[str, str]], out: Path, *, title: str, method: str, seed: int
) -> list[Point]:
    """Write overview.png, spectrograms.png, mfcc.png, map.csv and report.html to `out`.

    Parameters
    ----------
    raw : Path
        What the tracks' paths are relative to.
    made : Index
    store : FeatureStore
        Log-mel and MFCC of the tracks.
    levels : mapping of path to mapping
        Rows of audit's tracks.csv.
    out : Path
    title : str
    method : {"pca", "umap"}
    seed : int
    """
    sides = {side: list(made.starts(side)) for side in SPLITS}
    side_of = {track: side for side in reversed(SPLITS) for track in sides[side]}
    tracks = sorted(side_of)
    values = statistics(store, tracks)
    plane, axes = project(values, method, seed)
    points = [
        Point(t, made.tracks[t].genre, made.tracks[t].artist, side_of[t], round(float(x), 4), round(float(y), 4))
        for t, (x, y) in zip(tracks, plane, strict=True)
    ]
    write_csv(out / "map.csv", [f.name for f in fields(Point)], map(asdict, points))
    counts = {side: Counter(made.tracks[t].genre for t in sides[side]) for side in SPLITS}
    seconds = {g: [made.tracks[t].seconds for t in tracks if made.tracks[t].genre == g] for g in made.genres}
    loudness = {
        g: [float(level) for t in tracks if made.tracks[t].genre == g and (level := levels.get(made.tracks[t].path, {}).get("level_dbfs"))]
        for g in made.genres
    }
    figures_data.overview(out / "overview.png", counts, seconds, loudness, title=title)
    first = {g: next(t for t in tracks if made.tracks[t].genre == g) for g in made.genres}
    figures_data.spectrograms(
        out / "spectrograms.png",
        {f"{genre}: {track}": (_waveform(raw / made.tracks[track].path), store.read("mel", track)) for genre, track in first.items()},
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
    """Return the lowest and highest sample of 2,000 stretches, shape ``(2, 2000)``; None for precomputed features."""
    if path.suffix == ".npy":
        return None
    stretches = np.array_split(decode(path).y, 2000)
    return np.array([[part.min(initial=0) for part in stretches], [part.max(initial=0) for part in stretches]])


def _page(title: str, points: Sequence[Point], genres: Sequence[str], axes: str, counts: Mapping[str, Counter[str]], out: Path) -> str:
    """One file that needs no other: pictures within, and the map as SVG, whose points say their track and artist."""
    said = html.escape
    pictures = [
        ("Balance, lengths and levels", "overview.png"),
        ("One track a genre", "spectrograms.png"),
        ("MFCC of each genre (means over a track)", "mfcc.png"),
    ]
    images = "\n".join(
        f'<h2>{heading}</h2>\n<img alt="{heading}" src="data:image/png;base64,{base64.b64encode((out / name).read_bytes()).decode()}">'
        for heading, name in pictures
    )
    rows = "\n".join(f"<tr><td>{said(g)}</td>" + "".join(f"<td>{counts[side][g]}</td>" for side in SPLITS) + "</tr>" for g in genres)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{said(title)}</title>
<style>
body {{ font-family: sans-serif; max-width: 62rem; margin: 1rem auto; padding: 0 1rem; color: #222; }}
img, svg {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; }} td, th {{ padding: 0.1rem 0.8rem; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
circle:hover {{ stroke: #000; stroke-width: 2; }}
</style></head><body>
<h1>{said(title)}</h1>
<table><tr><th>genre</th>{"".join(f"<th>{side}</th>" for side in SPLITS)}</tr>
{rows}
</table>
<h2>Map of the tracks</h2>
<p>{said(axes)}. Point at a track for its name and artist.</p>
{_svg(points, genres)}
{images}
</body></html>
"""


def _svg(points: Sequence[Point], genres: Sequence[str]) -> str:
    width, height, legend = 760, 520, 120
    x, y = np.array([p.x for p in points]), np.array([p.y for p in points])
    across = 20 + (x - x.min()) / max(float(np.ptp(x)), 1e-9) * (width - legend - 40)
    down = height - 20 - (y - y.min()) / max(float(np.ptp(y)), 1e-9) * (height - 40)
    colour = {genre: COLOURS[i % len(COLOURS)] for i, genre in enumerate(genres)}
    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="map of the tracks">']
    for point, cx, cy in zip(points, across, down, strict=True):
        label = html.escape(f"{point.track}: {point.genre}, {point.artist or 'artist unknown'} ({point.split})")
        parts.append(
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="5" fill="{colour[point.genre]}" fill-opacity="0.75"><title>{label}</title></circle>'
        )
    for i, genre in enumerate(genres):
        parts.append(f'<circle cx="{width - legend + 10}" cy="{20 + 20 * i}" r="5" fill="{colour[genre]}"/>')
        parts.append(f'<text x="{width - legend + 22}" y="{24 + 20 * i}" font-size="13">{html.escape(genre)}</text>')
    return "\n".join([*parts, "</svg>"])
