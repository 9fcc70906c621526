"""Folds over artists for models that are fitted on all tracks."""

import numpy as np
import pytest

from genre_core.corpus import cross_validation, splits
from genre_core.corpus.catalogue import Track

NEVER = cross_validation.NEVER


def library(**artists):
    """Tracks of each genre, `artists` a list of tracks per artist: ``library(rock=[2, 1])`` has three tracks of two artists."""
    groups = [f"{genre} {i}" for genre, counts in artists.items() for i, count in enumerate(counts) for _ in range(count)]
    return groups, [group.split()[0] for group in groups]


@pytest.mark.parametrize("seed", range(5))
def test_a_genre_of_two_artists_is_held_out_twice_and_no_training_part_lacks_a_genre(seed):
    groups, genres = library(rock=[3, 1, 1, 2, 4, 1], pop=[4, 4], jazz=[1] * 7)
    folds = cross_validation.over_artists(groups, genres, 5, seed)
    assert folds.count == 5
    assert NEVER not in folds.of_track
    for fold in range(5):
        held_out = {g for g, f in zip(groups, folds.of_track, strict=True) if f == fold}
        fitted = [(g, genre) for g, genre, f in zip(groups, genres, folds.of_track, strict=True) if f != fold]
        assert not held_out & {g for g, _ in fitted}
        assert {genre for _, genre in fitted} == {"rock", "pop", "jazz"}
    assert len({f for f, genre in zip(folds.of_track, genres, strict=True) if genre == "pop"}) == 2


def test_a_genre_of_one_artist_is_never_held_out_and_is_named():
    groups, genres = library(rock=[1, 1, 1], pop=[9])
    folds = cross_validation.over_artists(groups, genres, 5, 0)
    assert {f for f, genre in zip(folds.of_track, genres, strict=True) if genre == "pop"} == {NEVER}
    assert folds.count == 3
    assert cross_validation.unscored(genres, folds.of_track) == ["pop"]
    alone = cross_validation.over_artists(*library(rock=[4], pop=[9]), 5, 0)
    assert (alone.count, set(alone.of_track)) == (0, {NEVER})


def test_an_artist_of_two_genres_stays_in_one_fold_also_when_it_is_never_held_out():
    groups = ["a", "a", "a", "b", "c", "a"]  # all pop is of `a`, which mainly makes rock
    genres = ["rock", "rock", "rock", "rock", "rock", "pop"]
    folds = cross_validation.over_artists(groups, genres, 3, 0).of_track
    assert {f for f, group in zip(folds, groups, strict=True) if group == "a"} == {NEVER}
    assert NEVER not in folds[3:5]


def test_duplicates_of_two_artists_are_one_group():
    tracks = [Track(name, f"{name}.wav", "rock", artist) for name, artist in (("x", "A"), ("y", "B"), ("z", "C"), ("u", ""))]
    groups = splits.artist_groups(tracks, [("x", "y"), ("z", "not used"), ("not used", "u")])
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 2
    sides = splits.split(tracks, protocol="all", folds=5, fold=0, seed=0, windows=[1, 2, 1, 1])
    assert [set(s) for s in sides] == [{"train"}] * 4
    assert np.concatenate(sides).size == 5
