"""Split protocols: the assignment of tracks to train, valid and test.

================  ==================================================================================================
``official``      the data set's own split; tracks without a split in it are rejected by name
``artist``        grouped by artist, stratified by genre: each artist is on one side only
``track``         stratified by genre: each track is on one side only; artists that cross are counted
``segment``       windows shuffled: segments of one track cross; kept to show the leak that inflates many published scores
``all``           every track is on the train side; cross-validation over artists gives the score: see `cross_validation`
================  ==================================================================================================

The protocols ``artist``, ``track`` and ``segment`` assign fold ``fold`` of ``folds`` to test, the next fold to valid, and
the remaining folds to train.
If ``official`` has no test part, `_official` builds one; `NO_TEST` is the note that metrics then carry.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from genre_core.corpus.catalogue import SPLITS, Track, artist_group
from genre_core.errors import GenreError

NO_TEST = "valid part: the data set has no test part; one fold of its train part, by artist, stands aside as valid"


@dataclass(frozen=True)
class Crossings:
    """Tracks and artists on more than one side of a split.

    Attributes
    ----------
    tracks : int
        Number of tracks whose windows are on more than one side.
    artists : tuple of str
        Names of known artists on more than one side, sorted.
    """

    tracks: int
    artists: tuple[str, ...]

    @property
    def leaky(self) -> bool:
        """Whether a track or known artist is on several sides."""
        return self.tracks > 0 or bool(self.artists)


def assign_folds(groups: Sequence[str], genres: Sequence[str], folds: int, seed: int) -> list[int]:
    """Assign each item to a fold, with whole groups and balanced genres.

    The function assigns one group after another, the largest first; the seed orders groups of equal size. Each group goes to the
    fold with the fewest items of the group's main genre. So every fold contains each genre that has at least `folds` groups of its
    own; scikit-learn's `StratifiedGroupKFold` does not guarantee this.

    Parameters
    ----------
    groups, genres : sequence of str
        Group and genre of each item, of equal length.
    folds : int > 1
        Number of folds.
    seed : int
        Seed of the order of groups of equal size.

    Returns
    -------
    list of int
        Fold of each item, in [0, folds).
    """
    members: dict[str, Counter[str]] = defaultdict(Counter)
    for group, genre in zip(groups, genres, strict=True):
        members[group][genre] += 1
    names = sorted(members)
    order = np.random.default_rng([seed, folds]).permutation(len(names))
    load: list[Counter[str]] = [Counter() for _ in range(folds)]
    fold_of: dict[str, int] = {}
    for position in sorted(range(len(names)), key=lambda i: (-members[names[order[i]]].total(), i)):
        name = names[order[position]]
        main = members[name].most_common(1)[0][0]
        best = min(range(folds), key=lambda f: (load[f][main], load[f].total(), (f + position) % folds))
        fold_of[name] = best
        load[best].update(members[name])
    return [fold_of[group] for group in groups]


def split(
    tracks: Sequence[Track],
    *,
    protocol: str,
    folds: int,
    fold: int,
    seed: int,
    windows: Sequence[int],
    together: Iterable[tuple[str, str]] = (),
) -> list[list[str]]:
    """Assign each window of each track to train, valid or test.

    Parameters
    ----------
    tracks : sequence of Track
        Tracks to split.
    protocol : {"official", "artist", "track", "segment", "all"}
        Split protocol; see the module's table.
    folds, fold, seed : int
        Number of folds, test fold and seed. ``official`` uses `folds` and `seed` only if it has no test part; ``all``
        uses none of them.
    windows : sequence of int
        Number of windows of each track.
    together : iterable of (str, str)
        Pairs of track names: duplicates of one recording, which ``artist`` and ``track`` keep on one side.

    Returns
    -------
    list of list of str
        Side of each window of each track: train, valid, test, or empty if ``official`` leaves the track out.

    Raises
    ------
    GenreError
        A genre is missing from a side, or a track or known artist crosses under ``official`` or ``artist``.
    """
    if protocol == "all":
        return [["train"] * n for n in windows]
    if protocol == "segment":
        names = [f"{t.track}\n{i}" for t, n in zip(tracks, windows, strict=True) for i in range(n)]
        genres = [t.genre for t, n in zip(tracks, windows, strict=True) for _ in range(n)]
        side_of_next_window = iter(_sides(assign_folds(names, genres, folds, seed), folds, fold))
        sides = [[next(side_of_next_window) for _ in range(n)] for n in windows]
    else:
        if protocol == "official":
            per_track = _official(tracks, folds, seed)
        else:
            by_artist = protocol == "artist"
            groups = artist_groups(tracks, together) if by_artist else merge_linked([t.track for t in tracks], tracks, together)
            per_track = _sides(assign_folds(groups, [t.genre for t in tracks], folds, seed), folds, fold)
        sides = [[side] * n for side, n in zip(per_track, windows, strict=True)]
    # If valid is a fold of the train part, a genre with few artists may be missing from it.
    needed = ("train", "test") if protocol == "official" and lacks_test(tracks) else SPLITS
    _check_complete(tracks, sides, protocol, folds, needed)
    crossing = crossings(tracks, sides)
    if crossing.leaky and protocol in ("official", "artist"):
        raise GenreError(
            f"segment.protocol: {protocol}: {crossing.tracks} tracks and {len(crossing.artists)} known artists are on more than one "
            f"side ({', '.join(crossing.artists[:5])}); correct the data set's split, or use another protocol"
        )
    return sides


def artist_groups(tracks: Sequence[Track], together: Iterable[tuple[str, str]]) -> list[str]:
    """Return the group of each track: its artist, merged with the artists of its duplicates.

    Parameters
    ----------
    tracks : sequence of Track
    together : iterable of (str, str)
        Pairs of track names: duplicates of one recording.
    """
    return merge_linked([artist_group(t.artist, t.track) for t in tracks], tracks, together)


def merge_linked(groups: Sequence[str], tracks: Sequence[Track], together: Iterable[tuple[str, str]]) -> list[str]:
    """Merge the groups that pairs of tracks link.

    Parameters
    ----------
    groups : sequence of str
        Group of each track.
    tracks : sequence of Track
        Tracks, in the order of `groups`.
    together : iterable of (str, str)
        Pairs of track names: duplicates of one recording. A name that is not among `tracks` still links others.

    Returns
    -------
    list of str
        Merged group of each track: the name that sorts first.
    """
    group_of = {t.track: group for t, group in zip(tracks, groups, strict=True)}
    linked_groups = linked((group_of.get(a, f"\n\n{a}"), group_of.get(b, f"\n\n{b}")) for a, b in together)
    used = set(groups)
    return [min(linked_groups[group] & used) if group in linked_groups else group for group in groups]


def linked(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Find the connected component of each name in `pairs`.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Links between two names.

    Returns
    -------
    dict of str to set of str
        All names that are linked to each name, directly or through other names, and the name itself.
    """
    import networkx as nx  # imported here because predictions import this module too and should start quickly

    return {name: names for names in nx.connected_components(nx.Graph(pairs)) for name in names}


def lacks_test(tracks: Sequence[Track]) -> bool:
    """Check whether the official split has a valid but no test part."""
    return any(t.split == "valid" for t in tracks) and not any(t.split == "test" for t in tracks)


def _official(tracks: Sequence[Track], folds: int, seed: int) -> list[str]:
    """Return each track's side in the data set's own split.

    If the split has no test part, its valid part becomes test, and one fold of its train part, grouped by artist, becomes valid.
    So the tracks that score a model never choose its weights.
    """
    if not lacks_test(tracks):
        return [t.split for t in tracks]
    train = [t for t in tracks if t.split == "train"]
    fold_of = dict(
        zip(
            (t.track for t in train),
            assign_folds([artist_group(t.artist, t.track) for t in train], [t.genre for t in train], folds, seed),
            strict=True,
        )
    )
    return ["test" if t.split == "valid" else "valid" if fold_of.get(t.track) == 0 else t.split for t in tracks]


def crossings(tracks: Sequence[Track], sides: Sequence[Sequence[str]]) -> Crossings:
    """Find tracks and known artists that are on several sides.

    Parameters
    ----------
    tracks : sequence of Track
        Tracks of the split.
    sides : sequence of sequence of str
        Side of each window of each track; an empty side is ignored.

    Returns
    -------
    Crossings
        Number of crossing tracks, and names of crossing artists, sorted.
    """
    by_artist: dict[str, set[str]] = defaultdict(set)
    crossing_tracks = 0
    for track, window_sides in zip(tracks, sides, strict=True):
        used = {side for side in window_sides if side}
        crossing_tracks += len(used) > 1
        if track.artist:
            by_artist[track.artist] |= used
    return Crossings(crossing_tracks, tuple(sorted(artist for artist, used in by_artist.items() if len(used) > 1)))


def _sides(folds_of: Sequence[int], folds: int, fold: int) -> list[str]:
    """Convert folds to sides: `fold` is test, the next fold valid."""
    return ["test" if f == fold else "valid" if f == (fold + 1) % folds else "train" for f in folds_of]


def _check_complete(tracks: Sequence[Track], sides: Sequence[Sequence[str]], protocol: str, folds: int, needed: Sequence[str]) -> None:
    """Check that each genre is on all `needed` sides."""
    sides_of: dict[str, set[str]] = defaultdict(set)
    artists: dict[str, set[str]] = defaultdict(set)
    for track, window_sides in zip(tracks, sides, strict=True):
        sides_of[track.genre] |= set(window_sides)
        artists[track.genre].add(artist_group(track.artist, track.track))
    missing = [(genre, side) for genre in sorted(sides_of) for side in needed if side not in sides_of[genre]]
    if not missing:
        return
    counts = Counter(track.genre for track in tracks)
    genres = list(dict.fromkeys(genre for genre, _ in missing))
    details = "; ".join(
        f"{genre!r} ({counts[genre]} tracks, {len(artists[genre])} artists) has none in {', '.join(s for g, s in missing if g == genre)}"
        for genre in genres[:5]
    ) + ("; ..." if len(genres) > 5 else "")
    remedy = {
        "official": "give the data set a split for these genres, or set segment.protocol to artist or track",
        "artist": f"each genre needs an artist of its own for each of the {folds} folds: add artists, lower segment.folds (at least 3), "
        "or set segment.protocol to track (artists may then cross; the report counts them)",
        "track": f"each genre needs {folds} tracks: add tracks or lower segment.folds (at least 3)",
        "segment": f"each genre needs {folds} segments: add tracks",
    }[protocol]
    raise GenreError(f"segment.protocol: {protocol}: genre {details}; {remedy}")
