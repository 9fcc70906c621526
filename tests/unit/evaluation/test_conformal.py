"""Prediction sets: their promise, checked on data where the truth is known."""

import math

import numpy as np
import pytest

from genre_core.evaluation import conformal

GENRES = 4


def artists_and_tracks(rng, artists):
    """Exchangeable artists: the prolific ones are easy, and all tracks of one artist are alike."""
    genre, groups, probabilities = [], [], []
    for artist in range(artists):
        prolific = rng.random() < 0.2
        true, hard = rng.integers(GENRES), rng.beta(1, 9) if prolific else rng.beta(4, 2)
        for _ in range(30 if prolific else 1):
            p = rng.dirichlet(np.ones(GENRES))
            p[true] = 0
            p *= (share := np.clip(hard + rng.normal(0, 0.03), 0.001, 0.999)) / p.sum()
            p[true] = 1 - share
            genre.append(true)
            groups.append(f"artist {artist}")
            probabilities.append(p)
    return np.array(genre), np.array(probabilities), groups


def mean_coverage(rng, coverage, *, by_artist, draws=150, artists=40):
    """Coverage of one track of a new artist, over many calibrations."""
    covered = []
    for _ in range(draws):
        true, probabilities, groups = artists_and_tracks(rng, artists)
        limit = conformal.threshold(true, probabilities, groups if by_artist else list(map(str, range(len(true)))), coverage)
        true, probabilities, groups = artists_and_tracks(rng, 50)
        first = np.unique(groups, return_index=True)[1]
        covered.append(conformal.members(probabilities[first], limit)[np.arange(50), true[first]].mean())
    return np.mean(covered)


@pytest.mark.parametrize("coverage", [0.7, 0.9])
def test_new_artists_are_covered_as_promised_though_artists_have_unequal_numbers_of_tracks(rng, coverage):
    assert coverage - 0.01 <= mean_coverage(rng, coverage, by_artist=True) <= coverage + 1 / 41 + 0.02


def test_tracks_as_the_sample_do_not_cover_new_artists(rng):
    assert mean_coverage(rng, 0.7, by_artist=False) < 0.6


@pytest.mark.parametrize(("coverage", "least"), [(0.9, 9), (0.8, 4), (0.95, 19), (0.5, 1), (0.99, 99)])
def test_too_few_artists_give_no_threshold(coverage, least):
    assert conformal.least_artists(coverage) == least
    for artists, finite in ((least - 1, False), (least, True)):
        true, probabilities = np.zeros(3 * artists, int), np.tile([0.6, 0.4], (3 * artists, 1))
        groups = [f"artist {i // 3}" for i in range(3 * artists)]
        assert math.isfinite(conformal.threshold(true, probabilities, groups, coverage)) is finite
        promise = conformal.promise(true, probabilities, groups, coverage)
        assert (promise["threshold"] is None) is not finite
        assert finite or promise["reason"] == f"{artists} artists are too few: a coverage of {coverage:g} needs {least}"


def test_the_threshold_is_the_known_quantile():
    probabilities = np.array([[p, 1 - p] for p in (0.9, 0.8, 0.7, 0.6, 0.5)])
    true, alone = np.zeros(5, int), list("abcde")
    assert conformal.threshold(true, probabilities, alone, 0.5) == pytest.approx(0.3)  # 3 of 6 weights
    assert conformal.threshold(true, probabilities, alone, 0.51) == pytest.approx(0.4)
    assert conformal.threshold(true, probabilities, alone, 5 / 6) == pytest.approx(0.5)
    assert conformal.threshold(true, probabilities, alone, 0.84) == math.inf
    # The first three share the weight of one artist: 1/12 + 1/12 + 1/12, then 1/4 each.
    assert conformal.threshold(true, probabilities, ["a", "a", "a", "d", "e"], 0.25) == pytest.approx(0.3)
    assert conformal.threshold(true, probabilities, ["a", "a", "a", "d", "e"], 0.5) == pytest.approx(0.4)


def test_ties_are_inside():
    probabilities = np.array([[0.5, 0.25, 0.25]] * 20)
    true, groups = np.array([0, 1] * 10), list(map(str, range(20)))
    limit = conformal.threshold(true, probabilities, groups, 0.9)
    assert limit == 0.75
    assert conformal.members(probabilities, limit).all()
    assert conformal.prediction_set({"a": 0.25, "b": 0.25, "c": 0.5}, limit) == ("c", "a", "b")


def test_a_set_is_ordered_and_never_empty():
    probabilities = {"pop": 0.2, "rock": 0.45, "metal": 0.35}
    assert conformal.prediction_set(probabilities, 0.7) == ("rock", "metal")
    assert conformal.prediction_set(probabilities, 0.0) == ("rock",)
    assert conformal.prediction_set(probabilities, math.inf) == ("rock", "metal", "pop")


def test_a_stored_threshold_covers_the_tracks_it_came_from(rng):
    true, probabilities, groups = artists_and_tracks(rng, 60)
    promise = conformal.promise(true, probabilities, groups, 0.9)
    exact = conformal.threshold(true, probabilities, groups, 0.9)
    assert exact <= promise["threshold"] <= exact + 1e-6
    assert (promise["tracks"], promise["artists"], promise["coverage"]) == (len(true), 60, 0.9)
    scores = conformal.set_scores(promise, true, probabilities, groups, samples=500, seed=0)
    assert scores["coverage"] >= 0.9
    assert scores["coverage_low"] < scores["coverage"] < scores["coverage_high"]
    assert 1 <= scores["mean_size"] <= GENRES


def test_tracks_that_calibrated_are_covered_by_the_threshold_of_the_other_artists(rng):
    true, probabilities, groups = artists_and_tracks(rng, 20)
    promise = conformal.promise(true, probabilities, groups, 0.8)
    covered = []
    for artist in sorted(set(groups)):
        own = np.array(groups) == artist
        others = [group for group in groups if group != artist]
        limit = conformal.threshold(true[~own], probabilities[~own], others, 0.8)
        covered.append(np.mean(conformal.members(probabilities[own], limit)[np.arange(own.sum()), true[own]]))
    options = {"samples": 100, "seed": 0}
    scores = conformal.set_scores(promise, true, probabilities, groups, **options, calibrated_on_these=True)
    assert scores["coverage"] == pytest.approx(np.mean(covered), abs=1e-4)
    assert scores["coverage"] < conformal.set_scores(promise, true, probabilities, groups, **options)["coverage"]


def test_a_leaky_split_promises_nothing(rng):
    true, probabilities, groups = artists_and_tracks(rng, 60)
    promise = conformal.promise(true, probabilities, groups, 0.9, leaky=True)
    assert promise["threshold"] is None
    assert "leaky" in promise["reason"]
    scores = conformal.set_scores(promise, true, probabilities, groups, samples=100, seed=0)
    assert (scores["coverage"], scores["mean_size"], scores["promised"]) == (None, None, 0.9)


def test_every_artist_has_the_same_weight_in_the_scores():
    probabilities = np.array([[0.9, 0.1]] * 8 + [[0.1, 0.9]])
    promise = {"coverage": 0.9, "threshold": 0.5, "artists": 9}
    scores = conformal.set_scores(promise, np.zeros(9, int), probabilities, ["a"] * 8 + ["b"], samples=100, seed=0)
    assert scores["coverage"] == 0.5  # of the two artists, one is covered; of the tracks, 8 of 9


def test_halves_measure_the_coverage_of_new_artists(rng):
    true, probabilities, groups = artists_and_tracks(rng, 120)
    scores = conformal.held_out_scores(true, probabilities, groups, list("abcd"), 0.9, halves=300, seed=0)
    assert scores["coverage"] == pytest.approx(0.9, abs=0.03)
    assert scores["coverage_low"] < 0.9 < scores["coverage_high"]
    assert list(scores["genres"]) == list("abcd")
    assert 0.8 < scores["coverage_of_several"] <= 1
    assert conformal.held_out_scores(true, probabilities, groups, list("abcd"), 0.9, halves=300, seed=0) == scores
