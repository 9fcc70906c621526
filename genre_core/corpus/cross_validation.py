"""Folds of a cross-validation over artists, for models that are fitted on all tracks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from genre_core.corpus.splits import assign_folds

NEVER = -1
SCORED_ON = "nested cross-validation over artists; the model itself is fitted on all tracks"


@dataclass(frozen=True)
class Folds:
    """Assignment of tracks to the folds of a cross-validation.

    Attributes
    ----------
    count : int
        Number of folds; 0 if no genre has two groups.
    of_track : list of int
        Fold in which each track is held out, from 0; `NEVER` if it is always in the training part.
    """

    count: int
    of_track: list[int]


def over_artists(groups: Sequence[str], genres: Sequence[str], folds: int, seed: int) -> Folds:
    """Assign tracks to folds, so that every training part has every genre.

    A genre whose tracks all belong to one artist cannot be scored on an unseen artist: its tracks are never held out. The same
    holds for a genre whose artists are all in one fold because they mainly make other genres.

    Parameters
    ----------
    groups, genres : sequence of str
        Artist group and genre of each track, of equal length: see `splits.artist_groups`.
    folds : int
        Largest number of folds. It falls to the smallest number of groups in a genre that has at least two, and is at least 2.
    seed : int
        Seed of the order of groups of equal size.

    Returns
    -------
    Folds
    """
    groups_of: dict[str, set[str]] = defaultdict(set)
    for group, genre in zip(groups, genres, strict=True):
        groups_of[genre].add(group)
    sizes = [len(found) for found in groups_of.values() if len(found) > 1]
    if not sizes:
        return Folds(0, [NEVER] * len(groups))
    count = max(2, min(folds, *sizes))
    fold_of = assign_folds(groups, genres, count, seed)
    folds_of: dict[str, set[int]] = defaultdict(set)
    for fold, genre in zip(fold_of, genres, strict=True):
        folds_of[genre].add(fold)
    kept = {group for genre, found in folds_of.items() if len(found) == 1 for group in groups_of[genre]}
    return Folds(count, [NEVER if group in kept else fold for group, fold in zip(groups, fold_of, strict=True)])


def unscored(genres: Sequence[str], fold_of: Sequence[int]) -> list[str]:
    """Return the genres without a held-out track, sorted."""
    scored = {genre for genre, fold in zip(genres, fold_of, strict=True) if fold != NEVER}
    return sorted(set(genres) - scored)
