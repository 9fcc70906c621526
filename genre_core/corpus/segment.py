"""Construction of the index: decoding, rejection, windows and split."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from genre_core.audio.io import decode
from genre_core.corpus import cross_validation, splits
from genre_core.corpus.catalogue import DESCRIPTION, SPLITS, Track, read_catalogue
from genre_core.corpus.corrections import correct, read_corrections
from genre_core.corpus.index import FOLDS, HeldOut, IndexedTrack, Window, window_starts
from genre_core.errors import AudioError, GenreError
from genre_core.util.cached_map import Recipe, audio_file, map_cached
from genre_core.util.files import read_csv, read_json, write_csv, write_json
from genre_core.util.parallel import Workers
from genre_core.util.result_cache import Kept, ResultCache

_SHORTEST_SECONDS = 3.0  # the shortest audio that musicnn reads, which is the model of protocol `all`


def read_pairs(path: str | Path) -> list[tuple[str, str]]:
    """Read the pairs of duplicate files from a pairs.csv.

    Raises
    ------
    GenreError
        The file is missing, or lacks the column a or b.
    """
    return [(row["a"], row["b"]) for row in read_csv(path, ["a", "b"], strip=False)]


def build(
    raw: str | Path,
    out: str | Path,
    *,
    protocol: str,
    folds: int,
    fold: int,
    seed: int,
    seconds: float,
    hop_seconds: float,
    silence_dbfs: float,
    copies: str = "keep",
    labels: str | Path | None = None,
    pairs: Sequence[tuple[str, str]] = (),
    workers: Workers = 0,
    cache: ResultCache | None = None,
) -> dict[str, Any]:
    """Decode all tracks, cut and split their windows, and write the index.

    Parameters
    ----------
    raw : str or Path
        Folder of the catalogue and its tracks.
    out : str or Path
        Folder for the index.
    protocol, folds, fold, seed
        Options of the split; see `splits.split`.
    seconds, hop_seconds : float
        Length of a window, and distance between the starts of two windows. With the protocol ``all``, a track that is shorter than a
        window has one window, if it has at least 3 s.
    silence_dbfs : float
        Lowest accepted peak in dBFS; a track below it is rejected as silent.
    copies : {"keep", "group", "exclude"}
        Treatment of duplicates: keep all, group them (``artist`` and ``track`` keep a group on one side), or exclude all but the first
        usable one in the order of the catalogue. ``all`` groups them for its cross-validation, whether they are kept or grouped.
    labels : str or Path, optional
        CSV file of corrected genres; see `genre_core.corpus.corrections`.
    pairs : sequence of (str, str)
        Paths of two files with the same recording.
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler.
    cache : ResultCache, optional
        Measurements that were kept by earlier runs.

    Returns
    -------
    dict
        Contents of split.json, ``rejected``: the number of rejected tracks, and ``corrected``: the number of corrected genres.

    Raises
    ------
    GenreError
        All tracks of a genre are rejected, the split is impossible, or `labels` is invalid.

    Warns
    -----
    UserWarning
        With the protocol ``all``, a genre has only one artist, so it cannot be scored.
    """
    raw, out = Path(raw), Path(out)
    catalogue = read_catalogue(raw)
    # A track that is left out still links its copies.
    duplicates = _duplicate_tracks(catalogue, pairs) if copies != "keep" or protocol == "all" else []
    corrected = correct(catalogue, read_corrections(labels) if labels else {}, labels or "")
    catalogue = corrected.tracks
    duplicates_of = splits.linked(duplicates) if copies == "exclude" else {}
    kept_track_of: dict[str, str] = {}
    usable: list[Track] = []
    indexed: list[IndexedTrack] = []
    rejected = [(track, f"left out by {labels}") for track in corrected.left_out]
    least_seconds = min(seconds, _SHORTEST_SECONDS) if protocol == "all" else seconds
    kept = _recipe(raw)
    results = map_cached(partial(_measure, raw=raw), catalogue, kept, cache, workers=workers, preload=("genre_core.corpus.segment",))
    for track, measured in tqdm(zip(catalogue, results, strict=True), total=len(catalogue), desc="segment", unit="track", disable=None):
        result = _check(track, measured, least_seconds, silence_dbfs)
        recording = min(duplicates_of.get(track.track, {track.track}))
        if not isinstance(result, IndexedTrack):
            rejected.append((track, result))
        elif recording in kept_track_of:
            rejected.append((track, f"a copy of {kept_track_of[recording]}"))
        else:
            kept_track_of[recording] = track.track
            usable.append(track)
            indexed.append(result)
    unusable_genres = {t.genre for t in catalogue} - {t.genre for t in usable}
    if unusable_genres:
        examples = "; ".join(f"{track.path}: {reason}" for track, reason in rejected if track.genre in unusable_genres)[:500]
        raise GenreError(f"no usable track is left in genre {', '.join(sorted(unusable_genres))}: {examples}")

    starts = [window_starts(t.seconds, seconds, hop_seconds) or [0.0] for t in indexed]
    counts = [len(s) for s in starts]
    sides = splits.split(usable, protocol=protocol, folds=folds, fold=fold, seed=seed, windows=counts, together=duplicates)
    windows = [
        Window(track.track, start, side)
        for track, track_starts, track_sides in zip(usable, starts, sides, strict=True)
        for start, side in zip(track_starts, track_sides, strict=True)
        if side
    ]
    rejected += [(t, "left out by the official split") for t, s in zip(usable, sides, strict=True) if not any(s)]
    crossing = splits.crossings(usable, sides)
    sides_of = {track.path: set(filter(None, s)) for track, s in zip(usable, sides, strict=True)}
    for path, linked_paths in splits.linked(pairs).items():
        if not sides_of.get(path):  # an unused track still links used tracks that are excerpts of it, so it takes their sides
            sides_of[path] = set().union(*(sides_of.get(linked, set()) for linked in linked_paths))
    crossing_copies = sum(len(sides_of[a] | sides_of[b]) > 1 for a, b in pairs)
    tracks_in = {side: sum(side in s for s in sides) for side in SPLITS}
    segments_in = Counter(w.split for w in windows)
    info = {
        "protocol": protocol,
        "folds": None if protocol == "official" else folds,
        "fold": None if protocol == "official" else fold,
        "scored_on": splits.NO_TEST if protocol == "official" and splits.lacks_test(usable) else "test part",
        "leaky": crossing.leaky or crossing_copies > 0,
        "crossing_tracks": crossing.tracks,
        "crossing_artists": len(crossing.artists),
        "copies": {"pairs": len(pairs), "treated": copies, "crossing": crossing_copies},
        "unknown_artists": sum(not t.artist for t in usable),
        "segment_seconds": seconds,
        "hop_seconds": hop_seconds,
        "tracks": tracks_in,
        "segments": {side: segments_in[side] for side in SPLITS},
    }
    if protocol == "all":
        info |= _write_folds(out / FOLDS, usable, duplicates, folds, seed)
    write_csv(out / "tracks.csv", [f.name for f in fields(IndexedTrack)], map(asdict, indexed))
    write_csv(out / "segments.csv", [f.name for f in fields(Window)], map(asdict, windows))
    rows = ({"track": t.track, "path": t.path, "genre": t.genre, "reason": reason} for t, reason in rejected)
    write_csv(out / "rejected.csv", ["track", "path", "genre", "reason"], rows)
    write_json(out / "split.json", info)
    return {**info, "rejected": len(rejected), "corrected": corrected.changed}


def _write_folds(path: Path, tracks: Sequence[Track], duplicates: Sequence[tuple[str, str]], folds: int, seed: int) -> dict[str, Any]:
    """Write the folds of protocol ``all``; return what split.json says about them."""
    groups, genres = splits.artist_groups(tracks, duplicates), [t.genre for t in tracks]
    assigned = cross_validation.over_artists(groups, genres, folds, seed)
    if not assigned.count:
        raise GenreError(
            f"segment.protocol: all: each of the genres {', '.join(sorted(set(genres)))} has tracks of one artist only, so no score on "
            "unseen artists is possible: add tracks of a second artist to at least one genre"
        )
    if left_out := cross_validation.unscored(genres, assigned.of_track):
        warnings.warn(
            f"left out of the score on unseen artists: genre {', '.join(left_out)}, which has only one artist; the model learns it all the "
            "same. To score it, add tracks of a second artist",
            stacklevel=3,
        )
    rows = (asdict(HeldOut(t.track, group, fold)) for t, group, fold in zip(tracks, groups, assigned.of_track, strict=True))
    write_csv(path, [f.name for f in fields(HeldOut)], rows)
    return {"folds": assigned.count, "fold": None, "scored_on": cross_validation.SCORED_ON, "unscored_genres": left_out}


def _duplicate_tracks(catalogue: Sequence[Track], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Convert pairs of paths to pairs of track names, in catalogue order."""
    row_of = {track.path: i for i, track in enumerate(catalogue)}
    ordered = [sorted((row_of[a], row_of[b])) for a, b in pairs if a in row_of and b in row_of]
    return [(catalogue[a].track, catalogue[b].track) for a, b in sorted(ordered)]


@dataclass(frozen=True)
class _Measured:
    """Length, format and level of a track."""

    seconds: float
    sample_rate: int
    channels: int
    peak_dbfs: float


def _recipe(raw: Path) -> Recipe:
    """Say by what the measurements of a track are known, and how they are kept."""
    return Recipe(
        ("audio", "corpus/segment.py"),
        "segment",
        file=lambda track: audio_file(raw / track.path),
        to_kept=lambda measured: Kept({}, asdict(measured)) if isinstance(measured, _Measured) else None,
        from_kept=lambda track, kept: _Measured(**kept.facts),
    )


def _measure(track: Track, *, raw: Path) -> _Measured | str:
    """Decode a track; return its measurements, or the reason why it cannot be decoded.

    A track of precomputed features ends at its last frame. Its level is unknown, so its peak is 0 dBFS.
    """
    if track.path.endswith(".npy"):
        description = read_json(raw / DESCRIPTION)
        frames = len(np.load(raw / track.path, mmap_mode="r", allow_pickle=False))
        return _Measured(
            round((frames - 1) * description["hop_length"] / description["sample_rate"], 6), description["sample_rate"], 1, 0.0
        )
    try:
        audio = decode(raw / track.path)
    except AudioError as error:
        return str(error).removeprefix(f"{raw / track.path}: ")
    return _Measured(audio.seconds, audio.source.sample_rate, audio.source.channels, audio.peak_dbfs)


def _check(track: Track, measured: _Measured | str, seconds: float, silence_dbfs: float) -> IndexedTrack | str:
    """Check the measurements of a track; return its index row or a rejection reason."""
    if isinstance(measured, str):
        return measured
    if not window_starts(measured.seconds, seconds, seconds):
        return f"too short: {measured.seconds:.2f} s, a segment has {seconds:g} s"
    if measured.peak_dbfs < silence_dbfs:
        return f"silent as mono: peak {measured.peak_dbfs:.0f} dBFS, below {silence_dbfs:g}"
    names = (track.track, track.path, track.genre, track.artist)
    return IndexedTrack(*names, round(measured.seconds, 6), measured.sample_rate, measured.channels, round(measured.peak_dbfs, 2))
