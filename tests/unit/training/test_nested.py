"""A head that is chosen and scored by nested cross-validation."""

import numpy as np
import pytest
import torch

from genre_core.corpus import cross_validation
from genre_core.training import fit_all, nested
from genre_core.training.nested import EMBEDDINGS, Candidate, Examples, Head

WIDTH = {"tags": 10, "penultimate": 20, "pools": 60}


def examples(rng, genres, groups, *, signal=0.0, artist=0.0, only=None, windows=1):
    """Rows of noise, with a direction for each genre and one for each artist (in the embedding `only`, or in all)."""
    names = sorted(set(groups))
    rows = {}
    for name in EMBEDDINGS:
        x = rng.normal(size=(len(genres), WIDTH[name]))
        if only in (None, name):
            x += signal * rng.normal(size=(max(genres) + 1, WIDTH[name]))[genres]
            x += artist * rng.normal(size=(len(names), WIDTH[name]))[[names.index(g) for g in groups]]
        rows[name] = np.repeat(x, windows, axis=0).astype(np.float32)
    return Examples(rows, [slice(i * windows, (i + 1) * windows) for i in range(len(genres))], np.array(genres), list(groups))


def library(n_genres=2, artists=6, tracks=4):
    genres = [g for g in range(n_genres) for _ in range(artists * tracks)]
    return genres, [f"{g} {i // tracks}" for g in range(n_genres) for i in range(artists * tracks)]


def accuracy(data, logits):
    return np.mean([int(x.exp().mean(0).argmax()) == data.genres[track] for track, x in logits.items()])


def folds(data, count=5):
    return np.array(cross_validation.over_artists(data.groups, [str(g) for g in data.genres], count, 0).of_track)


def test_what_only_artists_tell_gives_chance_and_more_if_their_tracks_are_parted(rng):
    data = examples(rng, *library(artists=30, tracks=3), artist=3.0)
    logits, _ = nested.nested(data, "auto", folds(data), 5, 0)
    assert len(logits) == len(data.genres)
    assert accuracy(data, logits) < 0.65
    parted = Examples(data.rows, data.windows_of, data.genres, [str(i) for i in range(len(data.genres))])
    leaky, _ = nested.nested(parted, "auto", folds(parted), 5, 0)
    assert accuracy(parted, leaky) > 0.8


def test_a_choice_has_not_heard_the_artists_that_it_is_scored_on(rng):
    data = examples(rng, *library(3), signal=1.0)
    fold_of = folds(data)
    _, choices = nested.nested(data, "auto", fold_of, 5, 0)
    assert set(choices) == set(range(5))
    for fold, choice in choices.items():
        used = {data.groups[track] for track in choice.logits}
        assert len(used) > 5
        assert not used & {group for group, f in zip(data.groups, fold_of, strict=True) if f == fold}


@pytest.mark.parametrize("n_genres", [2, 4])
def test_the_folded_weights_give_the_probabilities_of_the_pipeline(rng, n_genres):
    data = examples(rng, *library(n_genres), signal=1.0)
    data.rows["tags"][:, 3] = 7.0  # a constant value has no deviation to divide by
    head = Head(data, Candidate("tags", 0.1), np.arange(len(data.genres)))
    weight, bias = head.weights()
    logits = torch.from_numpy(data.rows["tags"]) @ weight.T + bias
    wanted = head.pipeline.predict_proba(data.rows["tags"].astype(np.float64))
    assert wanted.shape[1] == n_genres
    np.testing.assert_allclose(logits.softmax(1).numpy(), wanted, atol=1e-5)


def test_a_long_track_weighs_as_much_as_a_short_one(rng):
    genres, groups = library()
    data = examples(rng, genres, groups, signal=1.0)
    every = np.arange(len(genres))
    repeats = [9 if i % 3 == 0 else 1 for i in range(len(genres))]
    ends = np.cumsum(repeats)
    longer = Examples(
        {name: np.repeat(x, repeats, axis=0) for name, x in data.rows.items()},
        [slice(end - n, end) for end, n in zip(ends, repeats, strict=True)],
        data.genres,
        data.groups,
    )
    for wanted, got in zip(
        Head(data, Candidate("tags", 0.1), every).weights(), Head(longer, Candidate("tags", 0.1), every).weights(), strict=True
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-3)


@pytest.mark.parametrize("best", ["tags", "pools"])
def test_the_embedding_that_alone_tells_the_genre_is_chosen(rng, best):
    data = examples(rng, *library(3), signal=2.0, only=best)
    chosen = nested.choose(data, "auto", np.arange(len(data.genres)), folds(data))
    assert chosen.candidate.embedding == best
    assert set(chosen.accuracy) == {Candidate(name, c) for name in EMBEDDINGS for c in nested.C}
    assert chosen.accuracy[chosen.candidate] > 0.9
    fixed = nested.choose(data, "penultimate", np.arange(len(data.genres)), folds(data))
    assert fixed.candidate.embedding == "penultimate"


def test_the_first_embedding_is_chosen_if_all_are_equal_and_a_default_if_none_can_be_judged(rng):
    genres, groups = library(3)
    data = examples(rng, genres, groups, signal=3.0)
    assert nested.choose(data, "auto", np.arange(len(genres)), folds(data)).candidate.embedding == EMBEDDINGS[0]
    alone = nested.choose(data, "auto", np.arange(len(genres)), np.full(len(genres), cross_validation.NEVER))
    assert alone == nested.Choice(Candidate(EMBEDDINGS[0], nested.DEFAULT_C), {}, {}, 1.0)


def test_a_genre_of_one_artist_is_learned_but_not_scored(rng):
    genres, groups = library(3)
    groups = ["the only one" if genre == 2 else group for genre, group in zip(genres, groups, strict=True)]
    data = examples(rng, genres, groups, signal=3.0)
    logits, _ = nested.nested(data, "auto", folds(data), 5, 0)
    assert {int(data.genres[track]) for track in logits} == {0, 1}
    assert {x.shape[1] for x in logits.values()} == {3}
    head = Head(data, Candidate("tags", 0.1), np.arange(len(genres)))
    assert np.mean([int(head.logits(data.windows_of[i])[0].argmax()) == 2 for i in range(len(genres)) if genres[i] == 2]) > 0.9


def test_the_limit_of_familiar_music_comes_from_tracks_that_did_not_fit_it(rng):
    mixing = rng.normal(size=(50, 50)) / 7
    log_tags, new = (rng.normal(size=(n, 50)) @ mixing for n in (20, 500))
    familiar = fit_all.out_of_distribution(log_tags, np.arange(20) % 4)

    def distances(x):
        difference = torch.tensor(x, dtype=torch.float32) - familiar.mean
        return torch.einsum("ni,ij,nj->n", difference, familiar.precision, difference).sqrt()

    assert (distances(new) <= familiar.limit).float().mean() > 0.8
    assert (distances(new) <= distances(log_tags).max()).float().mean() < 0.8  # the limit that the fitted tracks would give
    assert distances(new + 30.0).min() > familiar.limit
