"""Labels that look wrong, found by probabilities of heads that have not heard the artist.

The labels are ranked by "self-confidence", the out-of-sample probability of the given label: C. G. Northcutt, L. Jiang and I. L.
Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021. A label is listed if another genre is more
probable, and the label is less probable than by chance, 1 / number of genres. The thresholds of confident learning, the mean
self-confidence of each genre, would make another list: it found 77 % of planted wrong labels with a precision of 33 %, this one
81 % with 58 % (116 recordings, 100 draws, `experiments/labels.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from genre_core.audio.io import decode
from genre_core.audio.level import is_silent, to_level
from genre_core.corpus.catalogue import Track, artist_group
from genre_core.corpus.splits import assign_folds, merge_linked
from genre_core.errors import AudioError
from genre_core.util.cached_map import Recipe, audio_file, map_cached
from genre_core.util.parallel import Workers
from genre_core.util.result_cache import Kept, ResultCache

# Chosen by `experiments/labels.py`.
EMBEDDING = "penultimate"
C = 0.03
FOLDS = 5
SEED = 0
LEVEL_DBFS = -15.0  # features.level_dbfs of params.yaml
MIN_OTHERS = 3  # a head that has heard fewer tracks of a genre cannot tell whether this label is right

_CODE = ("audio", "features", "training/heads.py", "analysis/labels.py", "pretrained/msd_musicnn.safetensors")

Select = Callable[[np.ndarray, np.ndarray, np.ndarray], list[int]]


@dataclass(frozen=True)
class Suspect:
    """Row of labels.csv: a track whose label looks wrong.

    Attributes
    ----------
    path : str
        Path of the track in the catalogue.
    genre : str
        Its label.
    suggested : str
        Most probable other genre.
    p_genre, p_suggested : float
        Probability of the label and of the suggested genre, in [0, 1].
    margin : float
        `p_genre` minus `p_suggested`, below 0.
    """

    path: str
    genre: str
    suggested: str
    p_genre: float
    p_suggested: float
    margin: float


@dataclass(frozen=True)
class LabelCheck:
    """Result of a search for wrong labels.

    Attributes
    ----------
    suspects : list of Suspect
        Tracks whose label looks wrong, the worst first.
    judged : int
        Number of tracks whose label could be judged.
    notes : list of str
        What could not be judged, and duplicates that have two genres; one line each.
    """

    suspects: list[Suspect]
    judged: int
    notes: list[str]


def check(
    root: str | Path,
    tracks: Sequence[Track],
    pairs: Iterable[tuple[str, str]] = (),
    *,
    level_dbfs: float = LEVEL_DBFS,
    workers: Workers = 0,
    cache: ResultCache | None = None,
) -> LabelCheck:
    """Find the tracks of a folder whose label looks wrong.

    Parameters
    ----------
    root : str or Path
        Folder that contains the tracks' paths.
    tracks : sequence of Track
        Tracks with a genre. Files that cannot be decoded, are silent or are shorter than 3 s are not judged.
    pairs : iterable of (str, str)
        Paths of two files with the same recording: no head that judges one of them has heard the other.
    level_dbfs : float
        Level to which each track is brought, in dBFS; see `level.to_level`.
    workers : int >= 0 or str
        Number of processes, 0 for one per core; or the address of a Dask scheduler. The result does not depend on it.
    cache : ResultCache, optional
        Statistics that were kept by earlier runs.

    Returns
    -------
    LabelCheck
    """
    pairs = list(pairs)
    work = partial(_statistics, root=Path(root), level_dbfs=level_dbfs)
    recipe = Recipe(
        _CODE,
        f"labels {EMBEDDING} {level_dbfs}",
        file=lambda path: audio_file(Path(root) / path),
        to_kept=lambda x: None if x is None else Kept({"statistics": x}, {}),
        from_kept=lambda path, kept: kept.arrays["statistics"],
    )
    preload = (__name__, "genre_core.features.musicnn", "genre_core.training.heads")
    results = map_cached(work, [track.path for track in tracks], recipe, cache, workers=workers, preload=preload)
    computed = list(tqdm(results, total=len(tracks), desc="labels", unit="track", disable=None))
    heard = [(track, x) for track, x in zip(tracks, computed, strict=True) if x is not None]
    unheard = len(tracks) - len(heard)
    notes = [f"{unheard} files are not judged: they are unreadable, silent, shorter than 3 s, or no audio"] if unheard else []
    found = find([track for track, _ in heard], np.array([x for _, x in heard]), pairs)
    genre_of = {track.path: track.genre for track in tracks}
    notes += [
        f"the same recording has two genres: {a} ({genre_of[a]}) and {b} ({genre_of[b]})"
        for a, b in pairs
        if a in genre_of and b in genre_of and genre_of[a] != genre_of[b]
    ]
    return LabelCheck(found.suspects, found.judged, found.notes + notes)


def _statistics(path: str, root: Path, level_dbfs: float) -> np.ndarray | None:
    """Compute the statistics of a file's embeddings; None if it has none."""
    if path.endswith(".npy"):  # precomputed features
        return None
    from genre_core.features import musicnn  # imported here because a check that is switched off should not import torch
    from genre_core.training.heads import statistics

    sample_rate = musicnn.SPEC.sample_rate
    try:
        audio = decode(root / path, sample_rate=sample_rate)
    except AudioError:
        return None
    if audio.seconds < musicnn.PATCH_SECONDS or is_silent(audio.y):
        return None
    return statistics(musicnn.embeddings(to_level(audio.y, sample_rate, level_dbfs)), EMBEDDING).astype(np.float32)


def find(
    tracks: Sequence[Track],
    x: np.ndarray,
    pairs: Iterable[tuple[str, str]] = (),
    *,
    c: float = C,
    folds: int = FOLDS,
    select: Select | None = None,
) -> LabelCheck:
    """Find wrong labels from the statistics of the tracks' embeddings.

    Parameters
    ----------
    tracks : sequence of Track
    x : np.ndarray [shape=(tracks, values)]
        Statistics of each track; see `heads.statistics`.
    pairs : iterable of (str, str)
        Paths of two files with the same recording.
    c : float > 0
        Inverse of the regularisation strength of the heads.
    folds : int > 1
        Number of folds.
    select : callable, optional
        Another rule than `suspicious`, with its arguments and result.

    Returns
    -------
    LabelCheck
    """
    from genre_core.training.heads import out_of_fold

    genres = sorted({track.genre for track in tracks})
    if len(genres) < 2:
        return LabelCheck([], 0, [f"no label is judged: there are {len(tracks)} tracks of {len(genres)} genres, two genres are needed"])
    labels = np.array([genres.index(track.genre) for track in tracks])
    name_of = {track.path: track.track for track in tracks}
    linked = [(name_of.get(a, f"\n{a}"), name_of.get(b, f"\n{b}")) for a, b in pairs]
    groups = merge_linked([artist_group(track.artist, track.track) for track in tracks], tracks, linked)
    judged = _can_be_judged(labels, groups, folds)
    notes = [
        f"{genre}: {count} of {np.sum(labels == i)} labels are not judged: there are fewer than {MIN_OTHERS} tracks by other artists"
        for i, genre in enumerate(genres)
        if (count := int(np.sum(~judged[labels == i])))
    ]
    if not judged.any():
        return LabelCheck([], 0, notes)
    p = np.exp(out_of_fold(x, labels.tolist(), groups, c=c, folds=folds, seed=SEED))
    suspects = []
    for i in (select or suspicious)(p, labels, judged):
        own, other = float(p[i, labels[i]]), _best_other(p[i], labels[i])
        margin = own - float(p[i, other])
        suspects.append(
            Suspect(tracks[i].path, genres[labels[i]], genres[other], round(own, 4), round(float(p[i, other]), 4), round(margin, 4))
        )
    return LabelCheck(suspects, int(judged.sum()), notes)


def _can_be_judged(labels: np.ndarray, groups: Sequence[str], folds: int) -> np.ndarray:
    """Mark the labels of which enough tracks are in the other folds."""
    fold_of = assign_folds(groups, [str(label) for label in labels], folds, SEED)  # the folds of `out_of_fold`
    total, in_fold = Counter(labels.tolist()), Counter(zip(labels.tolist(), fold_of, strict=True))
    return np.array([total[label] - in_fold[label, fold] >= MIN_OTHERS for label, fold in zip(labels.tolist(), fold_of, strict=True)])


def _best_other(p: np.ndarray, label: int) -> int:
    """Return the most probable genre besides the label."""
    return int(np.argmax(np.where(np.arange(len(p)) == label, -1.0, p)))


def suspicious(p: np.ndarray, labels: np.ndarray, judged: np.ndarray) -> list[int]:
    """Select the tracks whose label looks wrong.

    Parameters
    ----------
    p : np.ndarray [shape=(tracks, genres)]
        Probabilities by heads that have not heard the track.
    labels : np.ndarray [shape=(tracks,), dtype=int]
        Number of the genre of each track's label.
    judged : np.ndarray [shape=(tracks,), dtype=bool]
        Whether the track's label can be judged.

    Returns
    -------
    list of int
        Numbers of the tracks, the lowest probability of the label first.
    """
    own = p[np.arange(len(p)), labels]
    listed = judged & (p.argmax(1) != labels) & (own < 1 / p.shape[1])
    return [int(i) for i in np.argsort(own, kind="stable") if listed[i]]
