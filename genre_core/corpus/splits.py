"""Who may be trained on, and who judges: the split protocols.

================  ==================================================================================================
``official``      the data set's own split; tracks that it leaves out are rejected by name
``artist``        no artist on two sides: grouped by artist, stratified by genre
``track``         no track on two sides: stratified by genre; artists may cross, which is counted
``segment``       windows shuffled: the leak that inflates many published scores, here for showing it
================  ==================================================================================================

Where ``official`` has no test part, see `NO_TEST`. Fold ``fold`` of ``folds`` is the test, the next one valid, the others train.
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
    """Tracks and artists on more than one side of a split."""

    tracks: int
    artists: tuple[str, ...]

    @property
    def leaky(self) -> bool:
        return self.tracks > 0 or bool(self.artists)


def assign_folds(groups: Sequence[str], genres: Sequence[str], folds: int, seed: int) -> list[int]:
    """Fold of each item: a group stays whole, and every genre is spread as evenly as its groups allow.

    Groups go, largest first and in seeded order among equals, to the fold that holds the fewest items of the group's main genre.
    So a genre with at least `folds` groups of its own is in every fold, which `StratifiedGroupKFold` does not promise.

    Parameters
    ----------
    groups, genres : sequences of str, one item each
    folds : int > 1
    seed : int

    Returns
    -------
    list of int, in [0, folds)
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
    """Split of each window of each track.

    Parameters
    ----------
    tracks : sequence of Track
    protocol : {"official", "artist", "track", "segment"}
    folds, fold, seed : int
        Of ``official`` only where it has no test part.
    windows : sequence of int
        Number of windows of each track.
    together : iterable of (track, track)
        Kept on one side by ``artist`` and ``track``: copies of one recording.

    Returns
    -------
    list of list of str
        For each track, for each of its windows: train, valid, test, or empty (left out by ``official``).

    Raises
    ------
    GenreError
        A genre is missing from a side, or a track or known artist crosses where the protocol promises that none does.
    """
    if protocol == "segment":
        names = [f"{t.track}\n{i}" for t, n in zip(tracks, windows, strict=True) for i in range(n)]
        genres = [t.genre for t, n in zip(tracks, windows, strict=True) for _ in range(n)]
        flat = iter(_sides(assign_folds(names, genres, folds, seed), folds, fold))
        sides = [[next(flat) for _ in range(n)] for n in windows]
    else:
        if protocol == "official":
            per_track = _official(tracks, folds, seed)
        else:
            groups = [artist_group(t.artist, t.track) for t in tracks] if protocol == "artist" else [t.track for t in tracks]
            groups = _joined(groups, tracks, together)
            per_track = _sides(assign_folds(groups, [t.genre for t in tracks], folds, seed), folds, fold)
        sides = [[side] * n for side, n in zip(per_track, windows, strict=True)]
    # Of a fold of the train part that stands aside as valid, no genre is asked: it may be one of few artists.
    needed = ("train", "test") if protocol == "official" and lacks_test(tracks) else SPLITS
    _check_complete(tracks, sides, protocol, folds, needed)
    crossing = crossings(tracks, sides)
    if crossing.leaky and protocol in ("official", "artist"):
        raise GenreError(
            f"segment.protocol: {protocol}: {crossing.tracks} tracks and {len(crossing.artists)} known artists stand on more than one "
            f"side ({', '.join(crossing.artists[:5])}); mend the data set's split, or use another protocol"
        )
    return sides


def _joined(groups: Sequence[str], tracks: Sequence[Track], together: Iterable[tuple[str, str]]) -> list[str]:
    """Merge the groups of tracks that `together` links, under the name that sorts first."""
    group_of = {t.track: group for t, group in zip(tracks, groups, strict=True)}
    others = linked((group_of.get(a, f"\n\n{a}"), group_of.get(b, f"\n\n{b}")) for a, b in together)
    used = set(groups)
    return [min(others[group] & used) if group in others else group for group in groups]


def linked(pairs: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """Return all names that each name in `pairs` is linked to, directly or through others."""
    import networkx as nx  # here, as a prediction imports this module too and should start quickly

    return {name: names for names in nx.connected_components(nx.Graph(pairs)) for name in names}


def lacks_test(tracks: Sequence[Track]) -> bool:
    """Tell whether the data set's own split has a valid part and no test part."""
    return any(t.split == "valid" for t in tracks) and not any(t.split == "test" for t in tracks)


def _official(tracks: Sequence[Track], folds: int, seed: int) -> list[str]:
    """The data set's own split. Without a test part, its valid part is the test, and a fold of its train part, by artist, is valid:
    what judges never chooses the weights."""
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
    """Count the tracks, and name the known artists, that stand on more than one side."""
    by_artist: dict[str, set[str]] = defaultdict(set)
    crossing_tracks = 0
    for track, of_windows in zip(tracks, sides, strict=True):
        used = {side for side in of_windows if side}
        crossing_tracks += len(used) > 1
        if track.artist:
            by_artist[track.artist] |= used
    return Crossings(crossing_tracks, tuple(sorted(artist for artist, used in by_artist.items() if len(used) > 1)))


def _sides(folds_of: Sequence[int], folds: int, fold: int) -> list[str]:
    return ["test" if f == fold else "valid" if f == (fold + 1) % folds else "train" for f in folds_of]


def _check_complete(tracks: Sequence[Track], sides: Sequence[Sequence[str]], protocol: str, folds: int, needed: Sequence[str]) -> None:
    held: dict[str, set[str]] = defaultdict(set)
    artists: dict[str, set[str]] = defaultdict(set)
    for track, of_windows in zip(tracks, sides, strict=True):
        held[track.genre] |= set(of_windows)
        artists[track.genre].add(artist_group(track.artist, track.track))
    lacking = [(genre, side) for genre in sorted(held) for side in needed if side not in held[genre]]
    if not lacking:
        return
    counts = Counter(track.genre for track in tracks)
    genres = list(dict.fromkeys(genre for genre, _ in lacking))
    what = "; ".join(
        f"{genre!r} ({counts[genre]} tracks, {len(artists[genre])} artists) has none in {', '.join(s for g, s in lacking if g == genre)}"
        for genre in genres[:5]
    ) + ("; ..." if len(genres) > 5 else "")
    remedy = {
        "official": "give the data set a split for these, or set segment.protocol to artist or track",
        "artist": f"each genre needs an artist of its own for each of the {folds} folds: add artists, lower segment.folds (at least 3), "
        "or set segment.protocol to track (artists may then cross; it is reported)",
        "track": f"each genre needs {folds} tracks: add tracks or lower segment.folds (at least 3)",
        "segment": f"each genre needs {folds} segments: add tracks",
    }[protocol]
    raise GenreError(f"segment.protocol: {protocol}: genre {what}; {remedy}")
