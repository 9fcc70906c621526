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
        Number of folds with tracks; 0 if no genre can be scored.
    of_track : list of int
        Fold in which each track is held out, from 0; `NEVER` if it is always in the training part.
    """

    count: int
    of_track: list[int]


def over_artists(groups: Sequence[str], genres: Sequence[str], folds: int, seed: int) -> Folds:
    """Assign tracks to folds, so that every training part has every genre.

    A fold may lack a genre: a genre of two artists is held out in two folds, each time with the other artist in the training part.
    With as few folds as the rarest genre has artists, heads would be fitted on half of the tracks. A genre whose tracks all belong
    to one artist cannot be scored on an unseen artist: its tracks are never held out. The same holds for a genre whose artists are
    all in one fold because they mainly make other genres.

    Parameters
    ----------
    groups, genres : sequence of str
        Artist group and genre of each track, of equal length: see `splits.artist_groups`.
    folds : int
        Largest number of folds. There are no more than artist groups in the genre that has the most.
    seed : int
        Seed of the order of groups of equal size.

    Returns
    -------
    Folds
    """
    groups_of: dict[str, set[str]] = defaultdict(set)
    for group, genre in zip(groups, genres, strict=True):
        groups_of[genre].add(group)
    fold_of = assign_folds(groups, genres, max(2, min(folds, max(map(len, groups_of.values())))), seed)
    folds_of: dict[str, set[int]] = defaultdict(set)
    for fold, genre in zip(fold_of, genres, strict=True):
        folds_of[genre].add(fold)
    kept = {group for genre, found in folds_of.items() if len(found) == 1 for group in groups_of[genre]}
    of_track = [NEVER if group in kept else fold for group, fold in zip(groups, fold_of, strict=True)]
    return Folds(len(set(of_track) - {NEVER}), of_track)


def unscored(genres: Sequence[str], fold_of: Sequence[int]) -> list[str]:
    """Return the genres without a held-out track, sorted."""
    scored = {genre for genre, fold in zip(genres, fold_of, strict=True) if fold != NEVER}
    return sorted(set(genres) - scored)
